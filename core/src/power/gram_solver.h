// (A'A)^+ in scaled coordinates, from R.
//
// With S = diag(2^exponents), A = A_s S and G = A_s'A_s = R'R (ridge included),
// the equation A'A y = c reads G z = w with z = S y, w = S^-1 c.
//
// METHOD  Full rank: z = R^-1 R^-T w. Rank r < d (N1): V_r the leading right
//   singular vectors of R, B = orth(S V_r) an orthonormal basis of the rows of
//   A; the refactored R S B = U diag(s) W' has full rank, and
//   y = (B W) diag(s^-2) (B W)'c has minimum norm. (The SVD in place of QR
//   costs a constant factor and needs no triangular solves.)
//
// SOURCE  NUMERICS N1 (ladder, 4).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "linalg/block.h"
#include "power/scaled_block.h"

namespace steelyard {

class GramSolver {
 public:
  virtual ~GramSolver() = default;
  GramSolver(GramSolver&&) = default;
  GramSolver& operator=(GramSolver&&) = default;

  // `factor` must outlive the solver.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted here and below: the stop
  // token.
  static absl::StatusOr<GramSolver> Make(const Factor& factor,
                                         const ComputeContext& context);

  Index rank() const { return rank_; }
  bool truncated() const { return truncated_; }
  // Memory that it holds beside the Factor.
  std::int64_t bytes() const {
    return 8 * (basis_.size() + scaled_basis_.size() +
                static_cast<std::int64_t>(values_.capacity()));
  }
  // Rank < d: about how far the computed row space is turned from that of A,
  // relative to 1 (infinite: not known at all). 0 for full rank.
  double row_space_error() const { return row_space_error_; }

  // R; where it is that of a sketch, lengths are kept to 1 -+ distortion.
  const Factor& factor() const { return *factor_; }
  virtual double distortion() const { return 0.0; }

  // Whether what is below reads A, some 35 times a Solve.
  virtual bool reads_matrix() const { return false; }

  // w -> z. COST 2 d^2 k.
  virtual absl::Status Solve(Matrix<double>& block,
                             const ComputeContext& context) const;
  // The same for the next correction of a z: G^-1 residual, no more of it than
  // float64 keeps beside `sizes`, |z| of every column.
  virtual absl::Status Correct(const std::vector<double>& sizes,
                               Matrix<double>& block,
                               const ComputeContext& context) const;
  // The same for errors that are only told to their first digit.
  virtual absl::Status Estimate(Matrix<double>& block,
                                const ComputeContext& context) const;
  // What tells whether corrections halve: |z| of every column; without an R of
  // A about |A_s z|, since only that is known to shrink.
  virtual std::vector<double> Lengths(const Matrix<double>& block) const;
  // What rounding leaves of a z refined in float64, of its Lengths: A z is
  // rounded at u ||A|| |z|, which G^-1 A' magnifies to u kappa.
  virtual double rounding() const;
  // z -> R z, and z -> G z = R'(R z). Of R z only the length is asked:
  // a solver without an R of A returns another vector as long as A_s z.
  virtual absl::Status MultiplyRoot(Matrix<double>& block,
                                    const ComputeContext& context) const;
  virtual absl::Status MultiplyGram(Matrix<double>& block,
                                    const ComputeContext& context) const;
  // w = S^-1 c -> S^-1 B B'c: the part of c in the row space of A. The
  // identity for full rank.
  absl::Status Project(ScaledBlock& block, const ComputeContext& context) const;

 protected:
  // Of full rank, whatever `factor` says.
  explicit GramSolver(const Factor& factor)
      : factor_(&factor), rank_(factor.r.cols()) {}

 private:
  absl::Status Truncate(const ComputeContext& context);

  const Factor* factor_;
  Index rank_ = 0;
  bool truncated_ = false;
  double row_space_error_ = 0.0;
  int top_exponent_ = 0;         // S below is divided by 2^top_exponent
  Matrix<double> basis_;         // B W, d x r
  Matrix<double> scaled_basis_;  // S B W, d x r
  std::vector<double> values_;   // s, descending
};

// C := A B; every column has the bits that it has alone (column_products.h).
absl::Status Product(Operand<double> a, const Matrix<double>& b,
                     Matrix<double>& c, const ComputeContext& context);

}  // namespace steelyard
