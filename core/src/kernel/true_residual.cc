#include "kernel/true_residual.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernel/row_product.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double SignOf(double value) { return value > 0.0 ? 1.0 : -1.0; }

// ln|x_j| + o_j for j in `right`.
std::vector<double> ColumnOffsets(const TrueMatrix& matrix, RowRange right,
                                  const ScaledVector& x) {
  std::vector<double> offsets(x.size());
  for (Index j = right.first; j < right.first + right.count; ++j) {
    offsets[At(j)] = matrix.col_log[At(j)] + LogOf(x[At(j)]);
  }
  return offsets;
}

ScaledNumber RidgePart(const TrueMatrix& matrix, const ScaledVector& x,
                       Index i) {
  const double ridge = matrix.ridges[At(i)];
  return ridge == 0.0 ? ScaledNumber{} : Times(x[At(i)], ridge);
}

}  // namespace

TrueMatrix MakeTrueMatrix(const KernelRows& rows, const SymmetricForm& form,
                          const SoftmaxRows* softmax) {
  const double dot_error = DotErrorConstant(rows.cols());
  TrueMatrix matrix{.rows = &rows, .ridges = form.ridges};
  for (Index i = 0; i < rows.rows(); ++i) {
    const double square = rows.centred_square[At(i)];
    const double logit = rows.centre_logit[At(i)];
    double row = logit + rows.centre_square;
    double col = logit;
    double row_error =
        dot_error * square + 3.0 * (std::abs(logit) + rows.centre_square);
    double col_error = dot_error * square + 3.0 * std::abs(logit);
    if (form.normalization == KernelNormalization::kUnitDiagonal) {
      row = col = -0.5 * square;
      row_error = col_error = 2.0 * dot_error * square;
    } else if (form.normalization == KernelNormalization::kSoftmaxRows) {
      row = -softmax->centred_log_sums[At(i)];
      // Once more for the log-sum-exp, which is of the same logits.
      row_error = 2.0 * (col_error + std::abs(row));
    }
    matrix.row_log.push_back(row);
    matrix.col_log.push_back(col);
    matrix.row_error.push_back(row_error);
    matrix.col_error.push_back(col_error);
  }
  return matrix;
}

absl::StatusOr<ResidualRows> TrueResidual(const TrueMatrix& matrix,
                                          const ScaledVector& x,
                                          const ScaledVector& b,
                                          const ComputeContext& context) {
  const Index n = matrix.n();
  const RowRange all{0, n};
  const double sum_error = SumErrorConstant(n);
  Matrix<double> v(3, n);
  for (Index j = 0; j < n; ++j) {
    if (x[At(j)].zero()) continue;
    v(0, j) = SignOf(x[At(j)].mantissa);
    v(1, j) = 1.0;
    v(2, j) = matrix.col_error[At(j)] + 3.0 * std::abs(LogOf(x[At(j)]));
  }
  const absl::StatusOr<RunningRowSums> sums = SumRows(
      *matrix.rows, all, all, ColumnOffsets(matrix, all, x), v, context);
  if (!sums.ok()) return sums.status();

  ResidualRows out;
  out.rhs = b;
  for (Index i = 0; i < n; ++i) {
    const double outside = sums->top[At(i)] + matrix.row_log[At(i)];
    const auto scaled = [&](Index row) {
      const double sum = sums->sums(row, i);
      return sum == 0.0 ? ScaledNumber{} : TimesExp(MakeScaled(sum), outside);
    };
    const ScaledNumber ridge_part = RidgePart(matrix, x, i);
    const ScaledNumber magnitude = scaled(1);
    out.residual.push_back(Subtract(Subtract(b[At(i)], scaled(0)), ridge_part));
    out.magnitude.push_back(Add(magnitude, Absolute(ridge_part)));
    // Row i: its exponents, the sums outside, e^outside.
    const double row_error =
        matrix.row_error[At(i)] +
        3.0 * std::min(std::abs(sums->top[At(i)]), -kLogOfZero / 2.0);
    const ScaledNumber terms =
        Add(Times(Add(out.magnitude.back(), Absolute(b[At(i)])), sum_error),
            Add(Times(magnitude, row_error), scaled(2)));
    out.error.push_back(Times(terms, kUnitRoundoff));
  }
  return out;
}

absl::StatusOr<ScaledVector> TrueProduct(const TrueMatrix& matrix,
                                         RowRange left, RowRange right,
                                         const ScaledVector& x,
                                         const ComputeContext& context) {
  Matrix<double> signs(1, matrix.n());
  for (Index j = right.first; j < right.first + right.count; ++j) {
    if (!x[At(j)].zero()) signs(0, j) = SignOf(x[At(j)].mantissa);
  }
  const absl::StatusOr<RunningRowSums> sums =
      SumRows(*matrix.rows, left, right, ColumnOffsets(matrix, right, x), signs,
              context);
  if (!sums.ok()) return sums.status();
  ScaledVector out(At(left.count));
  for (Index i = 0; i < left.count; ++i) {
    const Index row = left.first + i;
    const double sum = sums->sums(0, i);
    if (sum != 0.0) {
      out[At(i)] =
          TimesExp(MakeScaled(sum), sums->top[At(i)] + matrix.row_log[At(row)]);
    }
    if (row >= right.first && row < right.first + right.count) {
      out[At(i)] = Add(out[At(i)], RidgePart(matrix, x, row));
    }
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
