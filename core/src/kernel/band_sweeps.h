// A kernel regression whose rows have scales too far apart for float64, cut
// into bands of rows that are not.
//
// METHOD  Rows in the order of e^{log_left}, the scale of the symmetric form S,
//   largest first (NONE: shortest rows first). A band is as many rows as lie
//   within e^width, solved by preconditioned conjugate gradients of its own, or
//   up to `dense_rows` rows of any scale where that is more, solved by Cholesky
//   in pairs. Bands end at the widest gap near their limit, so that doubled
//   rows stay together. A forward sweep of block Gauss-Seidel is
//
//     y_b = S_bb^-1 (r_b - sum_{a < b} M_ba y_a)
//
//   with the coupling from the true logits, in (mantissa, exponent) pairs: the
//   lower triangle of M solved as exactly as its bands are.
//
// COST    making: the factors of the bands, at most 128 MiB of them dense;
//         a sweep: n^2 (d + 1) flops, n^2 / 2 exponentials, and the bands.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
// SOURCE  NUMERICS N3.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel/dense_solver.h"
#include "kernel/logits.h"
#include "kernel/row_product.h"
#include "kernel/scaled_vector.h"
#include "kernel/softmax_rows.h"
#include "kernel/symmetric_form.h"
#include "kernel/true_residual.h"
#include "preconditioner/preconditioner.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct BandLimits {
  // ln of the scales of a band for conjugate gradients: within the common scale
  // of float64 with digits to spare.
  double width = 12.0;
  Index dense_rows = 1024;
};

// All rows by conjugate gradients.
inline constexpr BandLimits kOneBand = {
    .width = std::numeric_limits<double>::infinity(), .dense_rows = 0};

// So that dense bands take at most 128 MiB together.
BandLimits BandLimitsOf(Index n);

// `log_scale` descending. In order, without gaps, none empty.
std::vector<RowRange> CutBands(const std::vector<double>& log_scale,
                               const BandLimits& limits);

class BandSweeps {
 public:
  // The preconditioners of its iterations are as `options` say. Everything is
  // copied. `softmax` for kSoftmaxRows only. Not for a degenerate form.
  static absl::StatusOr<std::unique_ptr<const BandSweeps>> Make(
      const KernelRows& rows, const SymmetricForm& form,
      const SoftmaxRows* softmax, const AttentionKernelOptions& options,
      const BandLimits& limits, const ComputeContext& context);

  BandSweeps(const BandSweeps&) = delete;
  BandSweeps& operator=(const BandSweeps&) = delete;

  // The problem with its rows in the order of the bands.
  const TrueMatrix& matrix() const { return matrix_; }
  const SymmetricForm& form() const { return form_; }
  // v[order[i]] as entry i, and back.
  ScaledVector Sorted(const ScaledVector& v) const;
  ScaledVector Unsorted(const ScaledVector& v) const;

  // r := y of a sweep from zero, in the order of the bands.
  absl::Status Sweep(ScaledVector& r, const ComputeContext& context) const;

  Index bands() const { return static_cast<Index>(bands_.size()); }
  // A band had no positive pivots and was lifted until it had.
  bool singular() const { return singular_; }
  std::string Describe() const;
  std::int64_t bytes() const;
  // Upper bound of them, and of what is held beside one while it is made.
  static double BytesMax(Index n, Index d);

 private:
  struct IterativeBand {
    KernelRows rows;
    SymmetricForm form;
    std::shared_ptr<const Preconditioner> preconditioner;  // null: Jacobi
    int iterations_max = 0;
  };
  struct Band {
    RowRange range;
    std::optional<DenseFactor> dense;
    std::optional<IterativeBand> iterative;  // or this
  };

  BandSweeps() = default;
  absl::Status AddBand(RowRange range, const AttentionKernelOptions& options,
                       const BandLimits& limits, const ComputeContext& context);
  absl::Status Precondition(const AttentionKernelOptions& options,
                            IterativeBand& band,
                            const ComputeContext& context) const;
  absl::Status Iterate(const IterativeBand& band, ScaledVector& c,
                       const ComputeContext& context) const;
  absl::Status SolveBand(const Band& band, ScaledVector& r,
                         const ComputeContext& context) const;

  std::vector<Index> order_;
  KernelRows rows_;
  SymmetricForm form_;
  TrueMatrix matrix_;
  std::vector<Band> bands_;
  bool singular_ = false;
};

}  // namespace steelyard
