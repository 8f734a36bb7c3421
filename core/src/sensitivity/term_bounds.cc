#include "sensitivity/term_bounds.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace steelyard {
namespace {

// No smaller bound is claimed for a key that is not zero: below this, rounding
// of rows is no longer relative.
constexpr double kLeastUpper = 1e-280;
// Rounding of a power with a logarithm of magnitude up to some 1e4.
constexpr double kPowerRounding = 1e-11;

}  // namespace

absl::StatusOr<TermBounds> ComputeTermBounds(const WhitenedKeys& keys,
                                             const LeverageScores& leverage,
                                             double p,
                                             const ComputeContext& context) {
  TermBounds bounds{PowerCertificate(keys, p), {}, {}, {}};
  const std::size_t n = keys.norms.size();
  if (p == 2.0 || !keys.certifiable()) {
    bounds.lewis.upper.assign(n, 1.0);
  } else {
    absl::StatusOr<LewisBounds> lewis =
        ComputeLewisBounds(keys, bounds.certificate, context);
    if (!lewis.ok()) return lewis.status();
    bounds.lewis = *std::move(lewis);
  }
  bounds.upper = bounds.lewis.upper;
  bounds.lower.assign(n, 0.0);
  const double spread = 1.0 + leverage.delta;
  // ||x_j||^p / (||X x_j||_p / ||x_j||)^p for p < 2; tau^(p/2) for p >= 2.
  const double shrink =
      p < 2.0 ? std::pow(static_cast<double>(n), 0.5 * p - 1.0) : 1.0;
  for (std::size_t j = 0; j < n; ++j) {
    if (keys.norms[j] == 0.0) {
      bounds.upper[j] = 0.0;
      continue;
    }
    const double tau = leverage.tau[j];
    if (p <= 2.0) {
      const double upper =
          std::pow(tau * spread, 0.5 * p) * (1.0 + kPowerRounding);
      bounds.upper[j] = std::min(bounds.upper[j], upper);
    }
    bounds.upper[j] = std::clamp(bounds.upper[j], kLeastUpper, 1.0);
    const double lower =
        std::pow(tau / spread, 0.5 * p) * shrink * (1.0 - kPowerRounding);
    bounds.lower[j] = std::min(lower, bounds.upper[j]);
  }
  return bounds;
}

}  // namespace steelyard
