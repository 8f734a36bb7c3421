#include "kernel/scaled_system.h"

#include <algorithm>
#include <cmath>

#include "linalg/stopped.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double LargestMagnitude(const std::vector<double>& values) {
  double most = 0.0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace

ScaledSystem::ScaledSystem(const KernelRows& rows, const SymmetricForm& form,
                           KernelProduct& product)
    : rows_(rows), form_(form), product_(product) {
  const Index n = rows.rows();
  const double least =
      *std::min_element(form.log_left.begin(), form.log_left.end());
  const double dot_error = DotErrorConstant(rows.cols());
  weights_.resize(At(n));
  logit_error_.resize(At(n));
  for (Index i = 0; i < n; ++i) {
    weights_[At(i)] = std::exp(least - form.log_left[At(i)]);
    // s|a_i||a_j| <= (q_i + q_j) / 2; offsets carry the error of their own
    // sums.
    logit_error_[At(i)] =
        dot_error *
        (rows.centred_square[At(i)] +
         (form.unit_diagonal ? 0.0
                             : 2.0 * std::abs(form.offsets[At(i)]) +
                                   std::abs(rows.centre_logit[At(i)])));
  }
  scaling_error_ =
      LargestMagnitude(form.log_left) + LargestMagnitude(form.log_right);
}

absl::Status ScaledSystem::Apply(const Matrix<double>& v,
                                 TilePrecision precision, Matrix<double>& out,
                                 const ComputeContext& context) {
  Matrix<double> weighted(v.rows(), v.cols());
  context.workers.ParallelFor(v.rows(), context.stop, [&](Index c) {
    for (Index i = 0; i < v.cols(); ++i) {
      weighted(c, i) = form_.weight[At(i)] * v(c, i);
    }
  });
  const absl::Status done =
      precision == TilePrecision::kFloat32
          ? product_.MultiplyFloat32(weighted, out, context)
          : product_.Multiply(weighted, out, context);
  if (!done.ok()) return done;
  context.workers.ParallelFor(v.rows(), context.stop, [&](Index c) {
    for (Index i = 0; i < v.cols(); ++i) {
      out(c, i) =
          form_.weight[At(i)] * out(c, i) + form_.shift[At(i)] * v(c, i);
    }
  });
  return CheckStop(context.stop);
}

void ScaledSystem::CheckColumn(Index column, const Matrix<double>& c,
                               const Matrix<double>& z,
                               const Matrix<double>& products,
                               CheckedResidual& checked) const {
  const Index n = size();
  const double* signed_sums = products.row(3 * column);
  const double* sums = products.row(3 * column + 1);
  const double* error_sums = products.row(3 * column + 2);
  ResidualRows rows;
  for (Index i = 0; i < n; ++i) {
    const double w = form_.weight[At(i)];
    const double shift = form_.shift[At(i)];
    const double size_z = std::abs(z(column, i));
    const double residual =
        c(column, i) - (w * signed_sums[i] + shift * z(column, i));
    const double magnitude = w * sums[i] + shift * size_z;
    // The diagonal of G is exact: one huge row is no reason for doubt.
    const double own = form_.unit_diagonal ? w * size_z : 0.0;
    const double p = logit_error_[At(i)];
    const double logits = w * (p * std::max(0.0, sums[i] - own) +
                               std::max(0.0, error_sums[i] - p * own));
    const double error =
        kUnitRoundoff * ((SumErrorConstant(n) + scaling_error_) *
                             (magnitude + std::abs(c(column, i))) +
                         logits);
    checked.residual(column, i) = residual;
    checked.error(column, i) = error;
    const double weight = weights_[At(i)];
    rows.residual.push_back(MakeScaled(weight * residual));
    rows.magnitude.push_back(MakeScaled(weight * magnitude));
    rows.rhs.push_back(MakeScaled(weight * c(column, i)));
    rows.error.push_back(MakeScaled(weight * error));
  }
  checked.certificates[At(column)] = Certify(rows);
}

absl::StatusOr<CheckedResidual> ScaledSystem::Check(
    const Matrix<double>& c, const Matrix<double>& z,
    const ComputeContext& context) {
  const Index n = size();
  const Index k = c.rows();
  CheckedResidual checked{Matrix<double>(k, n), Matrix<double>(k, n),
                          std::vector<Certificate>(At(k))};
  // As many columns at a time as one pass of the product takes.
  constexpr Index kColumns = 5;
  for (Index first = 0; first < k; first += kColumns) {
    const Index count = std::min(kColumns, k - first);
    Matrix<double> vectors(3 * count, n);
    Matrix<double> products(3 * count, n);
    Matrix<double> part_c(count, n);
    for (Index column = 0; column < count; ++column) {
      for (Index i = 0; i < n; ++i) {
        const double value = form_.weight[At(i)] * z(first + column, i);
        vectors(3 * column, i) = value;
        vectors(3 * column + 1, i) = std::abs(value);
        vectors(3 * column + 2, i) = logit_error_[At(i)] * std::abs(value);
      }
    }
    const absl::Status done = product_.Multiply(vectors, products, context);
    if (!done.ok()) return done;
    CheckedResidual part{Matrix<double>(count, n), Matrix<double>(count, n),
                         std::vector<Certificate>(At(count))};
    Matrix<double> part_z(count, n);
    std::copy(c.row(first), c.row(first) + count * n, part_c.data());
    std::copy(z.row(first), z.row(first) + count * n, part_z.data());
    context.workers.ParallelFor(count, StopToken(), [&](Index column) {
      CheckColumn(column, part_c, part_z, products, part);
    });
    std::copy(part.residual.data(), part.residual.data() + count * n,
              checked.residual.row(first));
    std::copy(part.error.data(), part.error.data() + count * n,
              checked.error.row(first));
    std::copy(part.certificates.begin(), part.certificates.end(),
              checked.certificates.begin() + first);
  }
  return checked;
}

bool Float32Allowed(const KernelRows& rows, const SymmetricForm& form) {
  constexpr double kUnitRoundoff32 = 0x1p-24;
  constexpr double kErrorMax = 1e-2;
  double most = 0.0;
  for (Index i = 0; i < rows.rows(); ++i) {
    most = std::max(
        {most, rows.centred_square[At(i)], std::abs(form.offsets[At(i)])});
  }
  return 4.0 * kUnitRoundoff32 * most <= kErrorMax;
}

}  // namespace steelyard
