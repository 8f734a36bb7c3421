// Randomly pivoted Cholesky of the kernel part w E w of a symmetric form,
// grown as far as it pays.
//
//     w E w ~ F F',   the next pivot i with probability rest_i / sum(rest),
//     rest = diag(w E w - F F') >= 0
//
// METHOD  By rounds. A round draws b rows at once from the rest at its
//   beginning, looks at the b x b matrix of what is left between them, and
//   goes through it: a row is taken with probability what is left of it over
//   what was left at the beginning. Those taken are distributed as pivots
//   drawn one after the other, and become a block of columns of F by products.
//   b doubles while half of the draws are taken, to 128 at most.
//   Rounds depend on the seed alone, never on the rank that is asked for: the
//   factor of rank r is the beginning of that of any larger rank.
//   The rest below the floor of rounding (n u, and 8 u q_i of the logits)
//   counts as 0; no rest left: the factor is complete.
//   Columns are kept and made in float32 as long as PrecisionOfFactor says so
//   of their number, from entries of E and with pivots in float64. The rest is
//   that of the columns as they are kept, and below 8 u_32 of the diagonal it
//   counts as 0, too. Where float32 leaves no rest at all, a kernel whose
//   numerical rank is reached, it starts again in float64: there alone the
//   digits are worth something, a handful of steps instead of one or two.
//
// SOURCE  Chen, Epperly, Tropp, Webber, arXiv 2207.06503; by rounds: Epperly,
//   Tropp, Webber, arXiv 2410.03969.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "preconditioner/factor_columns.h"
#include "preconditioner/low_rank_preconditioner.h"
#include "preconditioner/preconditioner.h"
#include "steelyard/random.h"

namespace steelyard {

class RandomPivots {
 public:
  // What `source` refers to must outlive the growing. `importance`: n weights
  // >= 0 of the rows, that their rest is multiplied by in drawing (K_ii over
  // that of S: the textbook's pivots); empty: 1. `least` kFloat64: in that
  // alone.
  explicit RandomPivots(const PreconditionerSource& source,
                        std::vector<double> importance = {},
                        FactorPrecision least = FactorPrecision::kFloat32);

  // Until there are `rank` columns or no pivot is left. After a stop the state
  // is that of the last round that ended.
  // COST    n r^2 + 2 n r d flops and n r exponentials for r new columns on
  //         top of none; 8 n r bytes, half of that in float32.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
  //         between panels of some 1e9 flops.
  absl::Status Grow(Index rank, const ComputeContext& context);

  // Columns there are: what was asked for, up to 127 more, or less.
  Index columns() const { return columns_; }
  // No pivot is left: E is F F' up to rounding.
  bool complete() const { return complete_; }

  // Of the first `rank` <= columns() columns.
  FactorColumns Factor(Index rank) const;
  std::vector<double> Rest(Index rank) const;
  // The rows that the columns come from, in order.
  const std::vector<Index>& pivots() const { return pivots_; }

 private:
  struct Round {
    std::vector<Index> rows;   // taken
    std::vector<Index> spent;  // their rest is a rounding error
    Matrix<double> triangle;   // R'R = what is left between them, upper
    Matrix<double> factor;     // F' there
  };
  void Start(FactorPrecision least);
  absl::Status GrowByARound(const ComputeContext& context);
  FactorPrecision PrecisionAt(Index columns) const;
  bool AnyLeft() const;
  std::vector<Index> Draw(Index count);
  Round Take(const std::vector<Index>& draws, const ComputeContext& context);
  Matrix<double> LeftBetween(const std::vector<Index>& draws,
                             const Matrix<double>& factor) const;
  Matrix<double> PivotRows(const std::vector<Index>& rows) const;
  Matrix<double> FactorAt(const std::vector<Index>& rows,
                          const ComputeContext& context) const;
  void FillKernel(const std::vector<Index>& rows, const Matrix<double>& a,
                  Index first, Block<double> out) const;
  template <typename T>
  absl::Status Append(const Round& round, const ComputeContext& context);

  const PreconditionerSource source_;
  const KernelRows& rows_;
  const SymmetricForm& form_;
  RandomStream random_;
  std::uint64_t drawn_ = 0;
  std::uint64_t tried_ = 0;
  FactorPrecision least_;
  Index draws_of_round_;
  bool complete_ = false;
  Index columns_ = 0;
  std::vector<double> importance_;
  std::vector<double> rest_;
  std::vector<double> floor_;
  std::vector<Index> pivots_;
  std::vector<FactorBlock> blocks_;
};

// P = F F' + diag(shift + rest / 4) with the first `rank` columns.
//   Of what F leaves, few directions have more than their share and most have
//   less: with the whole rest these, the bulk, lie far below the eigenvalues 1
//   of F's range, with none of it the few lie far above. A quarter took the
//   fewest steps, or within some of them, on 16 kernels of
//   preconditioner_benchmark at two ranks, where the whole took up to 1.4 times
//   as many and none of it up to 5 times or did not end.
absl::StatusOr<std::unique_ptr<LowRankPreconditioner>> MakeRpCholesky(
    const RandomPivots& pivots, Index rank, const PreconditionerSource& source,
    const ComputeContext& context);

// Growing to `rank` and the preconditioner.
Cost CostOfRpCholesky(Index rank, Index n, Index d, int workers);

}  // namespace steelyard
