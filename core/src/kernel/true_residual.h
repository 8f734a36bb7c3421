// b - (K + diag l) x from the logits themselves, whatever their size.
//
//     (K x)_i = e^{m_i} sum_j sgn(x_j) exp(s a_i.a_j + ln|x_j| - m_i)
//
//   with m_i the running maximum of the row, everything outside the sum as
//   (mantissa, exponent). Also softmax rows, P x, whose entries are at most 1.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "kernel/certificate.h"
#include "kernel/logits.h"
#include "kernel/scaled_vector.h"
#include "kernel/softmax_rows.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// COST    2 n^2 (d + 3) flops and n^2 exponentials a right-hand side.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<ResidualRows> TrueResidual(const KernelRows& rows,
                                          const std::vector<double>& ridges,
                                          const ScaledVector& x,
                                          const ScaledVector& b,
                                          const ComputeContext& context);

// b - (P + diag l) x.
absl::StatusOr<ResidualRows> SoftmaxResidual(const KernelRows& rows,
                                             const SoftmaxRows& softmax,
                                             const std::vector<double>& ridges,
                                             const Matrix<double>& x,
                                             const Matrix<double>& b,
                                             const ComputeContext& context);

}  // namespace steelyard
