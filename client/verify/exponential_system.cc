#include "client/verify/exponential_system.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <lapacke.h>

#include "client/verify/leverage.h"

namespace steelyard::verify {
namespace {

constexpr double kUnit = 0x1p-53;
constexpr double kWideUnit = 0x1p-64;
constexpr int kTermsMax = 60;
constexpr double kStepsMax = 10000;
constexpr double kProductsMax = 3e9;  // Multiplications in 80 bits.

}  // namespace

ExponentialSystem::ExponentialSystem(RowMatrix a) : a_(std::move(a)) {
  const auto tensor = tensor_files::StoredTensor::Of(
      absl::MakeConstSpan(a_.data(), static_cast<std::size_t>(a_.size())),
      {a_.rows(), a_.cols()});
  const RightSingular scaled = RightSingularOf(HeadsOf(tensor)[0]);
  const auto d = static_cast<lapack_int>(a_.cols());
  Eigen::MatrixXd r = scaled.factor;
  for (Eigen::Index c = 0; c < r.cols(); ++c) {
    for (Eigen::Index i = 0; i < r.rows(); ++i) {
      r(i, c) = std::ldexp(r(i, c), scaled.exponents[c]);
    }
  }
  values_.resize(d);
  Eigen::MatrixXd transposed(d, d);
  Eigen::VectorXd superdiagonal(d);
  LAPACKE_dgesvd(LAPACK_COL_MAJOR, 'N', 'A', d, d, r.data(), d, values_.data(),
                 nullptr, 1, transposed.data(), d, superdiagonal.data());
  vectors_ = transposed.transpose();
  const double squared = values_[0] * values_[0];
  const double steps = std::max(1.0, std::ceil(squared));
  affordable_ = steps <= kStepsMax &&
                steps * 25 * 2 * static_cast<double>(a_.size()) <= kProductsMax;
  if (affordable_) steps_ = static_cast<int>(steps);
}

ScaledVector ExponentialSystem::Apply(ScaledVector v) const {
  v.Normalize();
  for (int step = 0; step < steps_; ++step) {
    WideVector term = v.mantissa;
    WideVector sum = term;
    for (int k = 1; k <= kTermsMax; ++k) {
      term = MultiplyTransposed(a_, Multiply(a_, term)) /
             (static_cast<long double>(steps_) * k);
      sum += term;
      if (term.norm() <= static_cast<long double>(0x1p-70) * sum.norm()) break;
    }
    v.mantissa = sum;
    v.Normalize();
  }
  return v;
}

// V e^(-S^2) V'c; what lies outside float64 stays in the exponent.
ScaledVector ExponentialSystem::Solve(const ScaledVector& c) const {
  const Eigen::VectorXd t = vectors_.transpose() * c.mantissa.cast<double>();
  const double least = values_.array().square().minCoeff();
  Eigen::VectorXd damped(t.size());
  for (Eigen::Index i = 0; i < t.size(); ++i) {
    // -(s_i^2 - s_d^2), as a product: no cancellation.
    const double s = values_[i];
    const double low = std::sqrt(least);
    damped[i] = t[i] * std::exp(-(s - low) * (s + low));
  }
  ScaledVector y;
  y.mantissa = (vectors_ * damped).cast<long double>();
  // e^(-s_d^2) = 2^whole 2^fraction
  const double bits = -least / std::log(2.0);
  const double whole = std::floor(bits);
  y.mantissa *= static_cast<long double>(std::exp2(bits - whole));
  y.exponent = c.exponent + static_cast<int64_t>(whole);
  y.Normalize();
  return y;
}

SolveFigures ExponentialSystem::Examine(const WideVector& b,
                                        const ScaledVector& x) const {
  SolveFigures figures;
  const ScaledVector target = ScaledOf(b);
  if (target.mantissa.isZero(0)) {
    figures.remark = "b is zero";
    figures.relative_residual = x.mantissa.isZero(0) ? 0.0 : 1.0;
    return figures;
  }
  const double largest = values_[0] * values_[0];
  const double log_ratio = largest + x.LogNorm() - target.LogNorm();
  figures.residual_floor = kUnit * std::exp(log_ratio);
  const ScaledVector lapack = Solve(target);
  figures.lapack_method = "dgesvd V e^(-S^2) V'b";
  figures.difference = RelativeDistance(x, lapack);
  if (!affordable_) {
    figures.remark = "e^(A'A) x takes too many products to recompute here";
    return figures;
  }
  const auto residual = [&](const ScaledVector& y) {
    return Difference(target, Apply(y));
  };
  figures.relative_residual = NormRatio(residual(x), target);
  figures.lapack_residual = NormRatio(residual(lapack), target);
  figures.backward_error =
      figures.relative_residual / (std::exp(log_ratio) + 1);
  double last = 0.0;
  const ScaledVector reference = Refined(
      lapack, residual, [this](const ScaledVector& c) { return Solve(c); },
      &last);
  figures.forward_error = RelativeDistance(x, reference);
  figures.lapack_error = RelativeDistance(lapack, reference);
  // Rounding of the steps, each relative to e^(A'A) x: b's own size, but
  // amplified for the parts of x along small singular values.
  figures.reference_error = last + kWideUnit *
                                       static_cast<double>(steps_ * 30) *
                                       std::exp(std::min(700.0, log_ratio));
  return figures;
}

}  // namespace steelyard::verify
