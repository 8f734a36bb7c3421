// What a kernel regression is for: its values at new rows.
//
//     kNone           y = exp(s Q A') x
//     kUnitDiagonal   y_i = sum_j exp(-s |q_i - a_j|^2 / 2) x_j
//     kSoftmaxRows    y_i = sum_j exp(s q_i.a_j) x_j / sum_j exp(s q_i.a_j)
//
// METHOD  Tiles of a GEMM in float64, exponentials in registers, rows taken
//   relative to a centre, a running maximum of each row where logits may leave
//   float64: never infinity, never a clamped logit. Values that lie outside
//   float64 are mantissas and exponents.
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
  // Rows of y that go to the sink at a time. >= 1.
  Index block_rows = 1024;
  // In [0, m]. Rows before it are checked and not computed: a prediction that
  // its sink has ended goes on there, with the bits that it would have had.
  Index first_row = 0;
};

// Rows [first, first + y.rows()) of the answer, in order.
struct PredictedRows {
  Index first = 0;
  Matrix<double> y;  // rows x k
  // Empty, or one per entry of y: entry i is y[i] * 2^exponents[i].
  std::vector<int> exponents;
};
// Called by the thread that called the prediction. Must not wait. An error it
// returns ends the prediction and is returned.
using PredictionSink = std::function<absl::Status(PredictedRows rows)>;

// SHAPES   a: n x d. x: n x k. queries: m x d.
// SCALARS  any storage types.
// COST     2 m n (d + k) flops and m n exponentials (in SOFTMAX_ROWS and wide
//          logits the exponents are taken from float64 logits one row band at a
//          time). Memory: CostOfKernelPrediction.
// RANDOM   none.
// ERRORS   InvalidArgument NOT_FINITE: field "a", "x" or "queries".
//          InvalidArgument FIELD_OUT_OF_RANGE (field "a", "queries"): logits
//          that float64 cannot tell apart (AttentionKernelRegression).
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
