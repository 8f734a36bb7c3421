// b - (M + diag l) x from the logits themselves, whatever their size.
//
//     (M x)_i = e^{m_i + p_i} sum_j sgn(x_j) exp(s (a_i-c).(a_j-c) + o_j +
//               ln|x_j| - m_i)
//
//   with m_i the running maximum of the row, everything outside the sum as
//   (mantissa, exponent). p and o make M the kernel of any normalization:
//
//     NONE           o_j = s c.(a_j-c),    p_i = s c.a_i
//     UNIT_DIAGONAL  o_j = -s|a_j-c|^2/2,  p_i = -s|a_i-c|^2/2
//     SOFTMAX_ROWS   o_j = s c.(a_j-c),    p_i = -ln sum_j e^{.. + o_j}
//
//   Also softmax rows in float64, P x, whose entries are at most 1.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "kernel/certificate.h"
#include "kernel/logits.h"
#include "kernel/row_product.h"
#include "kernel/scaled_vector.h"
#include "kernel/softmax_rows.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// M + diag l of a problem.
struct TrueMatrix {
  const KernelRows* rows = nullptr;
  std::vector<double> row_log;  // p
  std::vector<double> col_log;  // o
  std::vector<double> ridges;   // l
  // Errors of the exponents by row and by column, in units of u, without those
  // of ln|x_j| and m_i.
  std::vector<double> row_error;
  std::vector<double> col_error;

  Index n() const { return rows->rows(); }
};

// `softmax` for kSoftmaxRows only. `rows` must outlive the matrix.
TrueMatrix MakeTrueMatrix(const KernelRows& rows, const SymmetricForm& form,
                          const SoftmaxRows* softmax);

// COST    2 n^2 (d + 3) flops and n^2 exponentials a right-hand side.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<ResidualRows> TrueResidual(const TrueMatrix& matrix,
                                          const ScaledVector& x,
                                          const ScaledVector& b,
                                          const ComputeContext& context);

// Rows `left` of (M + diag l) x for an x that is zero outside of `right`.
absl::StatusOr<ScaledVector> TrueProduct(const TrueMatrix& matrix,
                                         RowRange left, RowRange right,
                                         const ScaledVector& x,
                                         const ComputeContext& context);

// b - (P + diag l) x.
absl::StatusOr<ResidualRows> SoftmaxResidual(const KernelRows& rows,
                                             const SoftmaxRows& softmax,
                                             const std::vector<double>& ridges,
                                             const Matrix<double>& x,
                                             const Matrix<double>& b,
                                             const ComputeContext& context);

}  // namespace steelyard
