#include "sensitivity/newton_solver.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

// Weights below this share of the largest are raised to it, so that the system
// stays definite when all but a few products are small; at p = 64 these are
// below 0.7 of the largest.
constexpr double kLeastWeight = 1e-10;
// The same for the smoothed weights, before their common power of rho.
constexpr double kLeastCurvature = 1e-8;
// mu after a long step, after a short one.
constexpr double kShrinkFast = 0.2;
constexpr double kShrinkSlow = 0.7;
constexpr int kLongerMax = 12;
constexpr int kHalvingsMax = 30;
// Rows between two looks at the stop token.
constexpr Index kLookEvery = Index{1} << 16;

}  // namespace

NewtonSolver::NewtonSolver(const WhitenedKeys& keys, double p)
    : KeySolver(keys),
      power_(p),
      system_(keys.x),
      psi_(keys.norms.size()),
      h_(keys.norms.size()),
      dt_(keys.norms.size()),
      trial_(keys.norms.size()),
      unscaled_dual_(keys.norms.size()),
      dy_(static_cast<std::size_t>(keys.rank())),
      system_x_(static_cast<std::size_t>(keys.rank())) {}

bool NewtonSolver::Start(Index j, const double* y0,
                         const ComputeContext& context) {
  j_ = j;
  std::copy_n(y0, keys_.rank(), y_.data());
  has_dual_ = false;
  if (!Normalise(context.stop)) return false;
  double sum = 0.0;
  for (const double t : t_) sum += std::abs(t);
  mu_ = sum / static_cast<double>(t_.size());
  return true;
}

void NewtonSolver::WeighLarge() {
  const double p = power_.p();
  const AbsPower weight(p - 2.0);
  scale_ = LargestMagnitude(t_.data(), keys_.rows());
  for (std::size_t i = 0; i < t_.size(); ++i) {
    const double a = std::abs(t_[i]) / scale_;
    const double s = weight(a);
    psi_[i] = s * t_[i];
    h_[i] = (p - 1.0) * std::max(s, kLeastWeight);
  }
}

// psi = t rho^(p-2), h = (1 - (2-p) z t rho^-p) rho^(p-2) with the dual z of
// the last step, no larger than rho^(p-1).
void NewtonSolver::WeighSmooth() {
  const double p = power_.p();
  for (std::size_t i = 0; i < t_.size(); ++i) {
    const double t = t_[i];
    const double rho = std::sqrt(t * t + mu_ * mu_);
    const double root = std::pow(rho, p - 2.0);
    psi_[i] = t * root;
    const double most = rho * root;
    const double z =
        has_dual_ ? std::clamp(unscaled_dual_[i], -most, most) : psi_[i];
    const double bend = 1.0 - (2.0 - p) * (z / most) * (t / rho);
    h_[i] = std::max(bend, kLeastCurvature) * root;
  }
}

double NewtonSolver::Value(double alpha, const StopToken& stop) {
  const Index n = keys_.rows();
  const bool smooth = power_.p() < 2.0;
  double sum = 0.0;
  for (Index first = 0; first < n; first += kLookEvery) {
    if (stop.stop_requested()) break;  // Looked at once more after the search.
    const Index end = std::min(n, first + kLookEvery);
    for (Index i = first; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double t = t_[at] + alpha * dt_[at];
      trial_[at] = smooth ? std::sqrt(t * t + mu_ * mu_) : t;
    }
    sum += SumOfPowers(trial_.data() + first, end - first, power_, scale_);
  }
  return sum;
}

double NewtonSolver::LineSearch(const StopToken& stop) {
  const double start = Value(0.0, stop);
  double alpha = 1.0;
  double value = Value(alpha, stop);
  if (value <= start && power_.p() > 2.0) {
    for (int k = 0; k < kLongerMax; ++k) {
      const double longer = Value(1.5 * alpha, stop);
      if (!(longer < value)) break;
      value = longer;
      alpha *= 1.5;
    }
    return alpha;
  }
  for (int k = 0; k < kHalvingsMax && !(value <= start); ++k) {
    alpha *= 0.5;
    value = Value(alpha, stop);
  }
  return value <= start ? alpha : 0.0;
}

bool NewtonSolver::Step(const ComputeContext& context) {
  const Index r = keys_.rank();
  const bool smooth = power_.p() < 2.0;
  smooth ? WeighSmooth() : WeighLarge();
  if (!system_.Factor(h_.data(), context)) return false;
  // dy = -H^-1 (g - lambda x_j), <x_j, dy> = 0, g = X'psi
  const double* x_j = keys_.x.row(j_);
  std::copy_n(x_j, r, system_x_.data());
  system_.Solve(system_x_.data());
  MultiplyTallTransposed(keys_.x, psi_.data(), context.stop, dy_.data());
  system_.Solve(dy_.data());
  const double lambda = Dot(x_j, dy_.data(), r) / Dot(x_j, system_x_.data(), r);
  if (!std::isfinite(1.0 / lambda)) return false;
  Scale(-1.0, dy_.data(), r);
  AddScaled(lambda, system_x_.data(), dy_.data(), r);
  MultiplyTall(keys_.x, dy_.data(), context.stop, dt_.data());
  if (context.stop.stop_requested()) return false;
  for (std::size_t i = 0; i < dt_.size(); ++i) {
    unscaled_dual_[i] = psi_[i] + h_[i] * dt_[i];
    dual_[i] = unscaled_dual_[i] / lambda;
  }
  has_dual_ = true;
  CorrectDual(system_, h_, context.stop);
  const double alpha = LineSearch(context.stop);
  if (alpha > 0.0) {
    AddScaled(alpha, dy_.data(), y_.data(), r);
    if (!Normalise(context.stop)) return false;
  }
  if (!smooth) return alpha > 0.0;
  mu_ *= alpha > 0.5 ? kShrinkFast : kShrinkSlow;
  return mu_ > 0.0;
}

}  // namespace steelyard
