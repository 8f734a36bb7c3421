#include "sensitivity/certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/blas.h"
#include "sensitivity/power_norm.h"
#include "sensitivity/tall_products.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Real(Index i) { return static_cast<double>(i); }

double Norm(const double* x, Index count) {
  return std::sqrt(Dot(x, x, count));
}

// a^p with its rounding taken outward, p roundings of a included.
double PowerUp(double a, double p) {
  return std::min(1.0,
                  std::pow(a, p) * (1.0 + 8.0 * (p + 1.0) * kUnitRoundoff));
}
double PowerDown(double a, double p) {
  if (!(a > 0.0)) return 0.0;
  return std::min(1.0, std::pow(a, p)) *
         (1.0 - 8.0 * (p + 1.0) * kUnitRoundoff);
}

}  // namespace

PowerCertificate::PowerCertificate(const WhitenedKeys& keys, double p)
    : keys_(keys),
      p_(p),
      q_(DualExponent(p)),
      row_error_(keys.row_error + (Real(keys.rank()) + 4.0) * kUnitRoundoff),
      norm_sum_(1.01 * PowerNorm(keys.norms.data(), keys.rows(), p)) {
  const double n = Real(keys.rows());
  longest_ = 1.01 * std::pow(n, std::max(0.0, 0.5 - 1.0 / p)) /
             keys.smallest_singular_value;
  widest_ = 1.01 * std::pow(n, std::max(0.0, 1.0 / p - 0.5)) *
            keys.largest_singular_value;
  // ||X y||_p changes by at most row_error norm_sum ||y|| <= rho ||X y||_p, and
  // sigma_j^(1/p) by at most row_error ||x_j|| longest; the query x_j proves
  // sigma_j^(1/p) >= ||x_j|| / widest.
  const double rho = row_error_ * norm_sum_ * longest_;
  const double eta = row_error_ * widest_ * longest_;
  transfer_ = rho < 1.0 ? std::pow((1.0 + eta) / (1.0 - rho), p) * (1.0 + 1e-12)
                        : kInfinity;
}

PowerCertificate::Witness PowerCertificate::WitnessOf(const double* y,
                                                      const double* t) const {
  const double slack = row_error_ * 1.01 * Norm(y, keys_.rank());
  const double norm = PowerNorm(t, keys_.rows(), p_);
  return {
      .norm = norm * (1.0 + PowerNormError(keys_.rows())) + slack * norm_sum_,
      .slack = slack};
}

double PowerCertificate::LowerEnd(const Witness& witness, Index j,
                                  double t_j) const {
  const double least =
      std::abs(t_j) - witness.slack * keys_.norms[static_cast<std::size_t>(j)];
  // A norm that is no number proves nothing.
  if (!(least > 0.0) || !(witness.norm > 0.0)) return 0.0;
  return PowerDown(least / witness.norm, p_);
}

double PowerCertificate::UpperEnd(Index j, const StopToken& stop,
                                  double* z) const {
  const Index n = keys_.rows();
  const auto r = static_cast<std::size_t>(keys_.rank());
  const double* x_j = keys_.x.row(j);
  std::vector<double> residual(r);
  std::vector<double> step(static_cast<std::size_t>(n));
  for (const bool corrected : {false, true}) {
    // x_j - X'z
    MultiplyTallTransposed(keys_.x, z, stop, residual.data());
    for (std::size_t c = 0; c < r; ++c) residual[c] = x_j[c] - residual[c];
    if (corrected) break;
    // z += X (x_j - X'z): X'X is near I.
    MultiplyTall(keys_.x, residual.data(), stop, step.data());
    AddScaled(1.0, step.data(), z, n);
  }
  if (stop.stop_requested()) return 1.0;
  // ||X||_F^2 <= r sigma_max^2.
  const double frobenius =
      std::sqrt(Real(keys_.rank())) * keys_.largest_singular_value;
  const double rounding =
      (row_error_ + TallSumError(n)) *
      (keys_.norms[static_cast<std::size_t>(j)] + frobenius * Norm(z, n));
  const double left =
      1.01 * Norm(residual.data(), keys_.rank()) + 1.01 * rounding;
  const double root =
      PowerNorm(z, n, q_) * (1.0 + PowerNormError(n)) + longest_ * left;
  return std::isfinite(root) ? PowerUp(root, p_) : 1.0;
}

}  // namespace steelyard
