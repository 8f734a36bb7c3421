// What a kernel regression is for: its values at new rows.
//
//     kNone           y = exp(s Q A') x
//     kUnitDiagonal   y_i = sum_j exp(-s |q_i - a_j|^2 / 2) x_j
//     kSoftmaxRows    y_i = sum_j exp(s q_i.a_j) x_j / sum_j exp(s q_i.a_j)
//
// METHOD  Tiles of a GEMM in float64, exponentials in registers, rows taken
//   relative to a centre, a running maximum of each row where logits may leave
//   float64: never infinity, never a clamped logit. Values that lie outside
//   float64 are mantissas and exponents. y_i is off by at most some
//   u (4 sqrt(d) L_i + 64) sum_j |terms of y_i|, L_i the largest of 1,
//   s|q_i - c||a_j - c|, s|q_i||c| and (kUnitDiagonal) s|a_j - c|^2 and
//   s|q_i - c|^2 over the keys that count, c the median key.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

struct KernelPredictionOptions {
  double scale = 1.0;  // s > 0, finite
  KernelNormalization normalization = KernelNormalization::kNone;
  // Rows of y that go to the sink at a time. >= 1. Not a bit of y depends on
  // it.
  Index block_rows = 1024;
  // In [0, m]. Rows before it are checked and not computed: a prediction that
  // its sink has ended goes on there, with the bits that it would have had.
  Index first_row = 0;
  // Empty, or one per entry of x (Solution::x_exponents), in [-2^29, 2^29]:
  // entry i is x[i] * 2^x_exponents[i].
  std::vector<int> x_exponents;
};

// Rows [first, first + y.rows()) of the answer, in order.
struct PredictedRows {
  Index first = 0;
  Matrix<double> y;  // rows x k
  // Empty, or one per entry of y: entry i is y[i] * 2^exponents[i], 0 for those
  // that a normal float64 holds. Empty where it holds all of these rows. What
  // is below 2^-(2^31) is 0.
  std::vector<int> exponents;
};
// Called by the thread that called the prediction. Must not wait. An error it
// returns ends the prediction and is returned.
using PredictionSink = std::function<absl::Status(PredictedRows rows)>;

// SHAPES   a: n x d. x: n x k. queries: m x d.
// SCALARS  any storage types.
// COST     2 m n (d + k) flops and m n exponentials; where logits are more than
//          some 300 apart, m n for each group of columns of x that have their
//          zeros and their sizes (within 2^200, row by row) in common. Memory:
//          CostOfKernelPrediction.
// RANDOM   none.
// ERRORS   InvalidArgument NOT_FINITE: field "a", "x" or "queries".
//          InvalidArgument FIELD_OUT_OF_RANGE (field "a", "queries"): logits
//          that float64 cannot tell apart. Of "a" as in
//          SolveAttentionKernelRegression; a query of s|q||a| > 1e9 for some
//          key, kUnitDiagonal: of s|q - c|^2 > 1e9. All before the first row.
//          The stop token: Cancelled, DeadlineExceeded, Aborted. The sink's.
absl::Status PredictAttentionKernel(const AnyMatrixView& a,
                                    const AnyMatrixView& x,
                                    const AnyMatrixView& queries,
                                    const KernelPredictionOptions& options,
                                    const PredictionSink& sink,
                                    const ComputeContext& context);

Cost CostOfKernelPrediction(Index n, Index d, Index k, Index m,
                            const KernelPredictionOptions& options,
                            int workers);

}  // namespace steelyard
