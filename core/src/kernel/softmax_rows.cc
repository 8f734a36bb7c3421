#include "kernel/softmax_rows.h"

#include <algorithm>
#include <cmath>

#include "kernel/row_product.h"

namespace steelyard {

absl::StatusOr<SoftmaxRows> FindSoftmaxRows(const KernelRows& rows,
                                            const ComputeContext& context) {
  const Index n = rows.rows();
  Matrix<double> ones(1, n);
  std::fill(ones.data(), ones.data() + n, 1.0);
  const absl::StatusOr<RunningRowSums> sums =
      SumRows(rows, rows.centre_logit, ones, context);
  if (!sums.ok()) return sums.status();
  SoftmaxRows softmax;
  softmax.log_sums.resize(static_cast<std::size_t>(n));
  softmax.centred_log_sums.resize(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double log_sum = sums->top[at] + std::log(sums->sums(0, i));
    softmax.centred_log_sums[at] = log_sum;
    softmax.log_sums[at] = log_sum + rows.centre_logit[at] + rows.centre_square;
  }
  return softmax;
}

absl::Status MultiplySoftmax(const KernelRows& rows, const SoftmaxRows& softmax,
                             const Matrix<double>& v, Matrix<double>& out,
                             const ComputeContext& context) {
  std::vector<double> row_offset(softmax.centred_log_sums.size());
  std::transform(softmax.centred_log_sums.begin(),
                 softmax.centred_log_sums.end(), row_offset.begin(),
                 [](double value) { return -value; });
  return MultiplyRows(rows, row_offset, rows.centre_logit, v, out, context);
}

double SoftmaxDiagonal(const KernelRows& rows, const SoftmaxRows& softmax,
                       Index i) {
  const auto at = static_cast<std::size_t>(i);
  return std::exp(std::min(0.0, rows.centred_square[at] +
                                    rows.centre_logit[at] -
                                    softmax.centred_log_sums[at]));
}

}  // namespace steelyard
