// Rows of softmax attention, P = diag(K 1)^-1 K, without overflow at any logit.
//
//     P_ij = exp(s a_i.a_j - L_i),   L_i = ln sum_j exp(s a_i.a_j)
//
// METHOD  L by a running maximum of each row. A shift of all a_j by c changes
//   s a_i.a_j by a number of row i, which L_i takes along: P comes from centred
//   rows on the left and s c.(a_j - c) on the right.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct SoftmaxRows {
  // L_i
  std::vector<double> log_sums;
  // ln sum_j exp(s (a_i - c).(a_j - c) + s c.(a_j - c))
  std::vector<double> centred_log_sums;
};

// COST    One pass of 2 n^2 d flops. RANDOM none.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<SoftmaxRows> FindSoftmaxRows(const KernelRows& rows,
                                            const ComputeContext& context);

// out := P V; v and out are k x n.
absl::Status MultiplySoftmax(const KernelRows& rows, const SoftmaxRows& softmax,
                             const Matrix<double>& v, Matrix<double>& out,
                             const ComputeContext& context);

// P_ii.
double SoftmaxDiagonal(const KernelRows& rows, const SoftmaxRows& softmax,
                       Index i);

}  // namespace steelyard
