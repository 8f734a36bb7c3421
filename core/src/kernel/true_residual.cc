#include "kernel/true_residual.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernel/row_product.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double SignOf(double value) { return value > 0.0 ? 1.0 : -1.0; }

}  // namespace

absl::StatusOr<ResidualRows> TrueResidual(const KernelRows& rows,
                                          const std::vector<double>& ridges,
                                          const ScaledVector& x,
                                          const ScaledVector& b,
                                          const ComputeContext& context) {
  const Index n = rows.rows();
  const double dot_error = DotErrorConstant(rows.cols());
  const double sum_error = SumErrorConstant(n);
  std::vector<double> col_offset(At(n));
  Matrix<double> v(3, n);
  for (Index j = 0; j < n; ++j) {
    const double log_x = LogOf(x[At(j)]);
    col_offset[At(j)] = rows.centre_logit[At(j)] + log_x;
    if (x[At(j)].zero()) continue;
    v(0, j) = SignOf(x[At(j)].mantissa);
    v(1, j) = 1.0;
    v(2, j) = dot_error * rows.centred_square[At(j)] +
              3.0 * std::abs(rows.centre_logit[At(j)]) + 3.0 * std::abs(log_x);
  }
  const absl::StatusOr<RunningRowSums> sums =
      SumRows(rows, col_offset, v, context);
  if (!sums.ok()) return sums.status();

  ResidualRows out;
  out.rhs = b;
  for (Index i = 0; i < n; ++i) {
    const double outside =
        sums->top[At(i)] + rows.centre_logit[At(i)] + rows.centre_square;
    const auto scaled = [&](Index row) {
      const double sum = sums->sums(row, i);
      return sum == 0.0 ? ScaledNumber{} : TimesExp(MakeScaled(sum), outside);
    };
    const double ridge = ridges[At(i)];
    const ScaledNumber ridge_part =
        ridge == 0.0 ? ScaledNumber{} : Times(x[At(i)], ridge);
    const ScaledNumber magnitude = scaled(1);
    out.residual.push_back(Subtract(Subtract(b[At(i)], scaled(0)), ridge_part));
    out.magnitude.push_back(Add(magnitude, Absolute(ridge_part)));
    // Row i: its dot products, the sums outside, e^outside.
    const double row_error =
        dot_error * rows.centred_square[At(i)] +
        3.0 * (std::abs(rows.centre_logit[At(i)]) + rows.centre_square +
               std::min(std::abs(sums->top[At(i)]), -kLogOfZero / 2.0));
    const ScaledNumber terms =
        Add(Times(Add(out.magnitude.back(), Absolute(b[At(i)])), sum_error),
            Add(Times(magnitude, row_error), scaled(2)));
    out.error.push_back(Times(terms, kUnitRoundoff));
  }
  return out;
}

absl::StatusOr<ResidualRows> SoftmaxResidual(const KernelRows& rows,
                                             const SoftmaxRows& softmax,
                                             const std::vector<double>& ridges,
                                             const Matrix<double>& x,
                                             const Matrix<double>& b,
                                             const ComputeContext& context) {
  const Index n = rows.rows();
  const double dot_error = DotErrorConstant(rows.cols());
  const double sum_error = SumErrorConstant(n);
  Matrix<double> v(3, n);
  std::vector<double> logit_error(At(n));
  for (Index j = 0; j < n; ++j) {
    logit_error[At(j)] = dot_error * rows.centred_square[At(j)] +
                         3.0 * std::abs(rows.centre_logit[At(j)]) +
                         std::abs(softmax.centred_log_sums[At(j)]);
    v(0, j) = x(0, j);
    v(1, j) = std::abs(x(0, j));
    v(2, j) = logit_error[At(j)] * std::abs(x(0, j));
  }
  Matrix<double> product(3, n);
  const absl::Status done = MultiplySoftmax(rows, softmax, v, product, context);
  if (!done.ok()) return done;
  ResidualRows out;
  for (Index i = 0; i < n; ++i) {
    const double ridge = ridges[At(i)];
    const double magnitude = product(1, i) + ridge * std::abs(x(0, i));
    out.residual.push_back(
        MakeScaled(b(0, i) - (product(0, i) + ridge * x(0, i))));
    out.magnitude.push_back(MakeScaled(magnitude));
    out.rhs.push_back(MakeScaled(b(0, i)));
    out.error.push_back(
        MakeScaled(kUnitRoundoff *
                   (sum_error * (magnitude + std::abs(b(0, i))) +
                    2.0 * logit_error[At(i)] * product(1, i) + product(2, i))));
  }
  return out;
}

}  // namespace steelyard
