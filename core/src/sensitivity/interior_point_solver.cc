#include "sensitivity/interior_point_solver.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

// How near a step comes to the boundary.
constexpr double kShort = 0.99;

// The largest step in [0, 1] that keeps x + step dx positive, shortened.
double LongestStep(const std::vector<double>& x, const std::vector<double>& dx,
                   double sign) {
  double longest = 1.0 / kShort;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double change = sign * dx[i];
    if (change < 0.0) longest = std::min(longest, -x[i] / change);
  }
  return std::min(1.0, kShort * longest);
}

}  // namespace

InteriorPointSolver::InteriorPointSolver(const WhitenedKeys& keys)
    : KeySolver(keys), system_(keys.x) {
  const std::size_t n = keys.norms.size();
  const auto r = static_cast<std::size_t>(keys.rank());
  for (std::vector<double>* v :
       {&s1_, &s2_, &a_, &b_, &c1_, &c2_, &h_, &shift_, &predictor_.dt,
        &predictor_.du, &predictor_.da, &corrector_.dt, &corrector_.du,
        &corrector_.da}) {
    v->resize(n);
  }
  for (std::vector<double>* v : {&system_x_, &predictor_.dy, &corrector_.dy}) {
    v->resize(r);
  }
}

bool InteriorPointSolver::Start(Index j, const double* y0,
                                const ComputeContext& context) {
  j_ = j;
  std::copy_n(y0, keys_.rank(), y_.data());
  if (!Normalise(context.stop)) return false;
  // Whatever the last key left there: a product of 0 and infinity is no gap.
  std::fill(predictor_.dt.begin(), predictor_.dt.end(), 0.0);
  std::fill(predictor_.du.begin(), predictor_.du.end(), 0.0);
  std::fill(predictor_.da.begin(), predictor_.da.end(), 0.0);
  double mean = 0.0;
  for (const double t : t_) mean += std::abs(t);
  mean /= static_cast<double>(t_.size());
  for (std::size_t i = 0; i < t_.size(); ++i) {
    const double u = std::abs(t_[i]) + mean;
    s1_[i] = u - t_[i];
    s2_[i] = u + t_[i];
    a_[i] = 0.5 + 0.4 * t_[i] / u;
    b_[i] = 1.0 - a_[i];
  }
  return true;
}

// da = (2 dt + c1/a - c2/b) / D, D = s1/a + s2/b; z + dz = h dt + shift with
// h = 4/D and shift = a - b + 2 (c1/a - c2/b) / D; X'(z + dz) = lambda x_j.
bool InteriorPointSolver::Solve(const ComputeContext& context,
                                Direction& direction) {
  const Index r = keys_.rank();
  for (std::size_t i = 0; i < h_.size(); ++i) {
    shift_[i] = a_[i] - b_[i] + 0.5 * h_[i] * (c1_[i] / a_[i] - c2_[i] / b_[i]);
  }
  std::vector<double>& dy = direction.dy;
  MultiplyTallTransposed(keys_.x, shift_.data(), context.stop, dy.data());
  system_.Solve(dy.data());
  const double* x_j = keys_.x.row(j_);
  const double lambda = Dot(x_j, dy.data(), r) / Dot(x_j, system_x_.data(), r);
  direction.lambda = lambda;
  if (!std::isfinite(1.0 / lambda)) return false;
  Scale(-1.0, dy.data(), r);
  AddScaled(lambda, system_x_.data(), dy.data(), r);
  MultiplyTall(keys_.x, dy.data(), context.stop, direction.dt.data());
  for (std::size_t i = 0; i < h_.size(); ++i) {
    const double dt = direction.dt[i];
    const double z = h_[i] * dt + shift_[i];
    direction.da[i] = 0.5 * (z - (a_[i] - b_[i]));
    direction.du[i] = dt + (c1_[i] - s1_[i] * direction.da[i]) / a_[i];
  }
  return !context.stop.stop_requested();
}

InteriorPointSolver::StepLengths InteriorPointSolver::Longest(
    const Direction& direction) const {
  double primal = 1.0 / kShort;
  for (std::size_t i = 0; i < s1_.size(); ++i) {
    const double d1 = direction.du[i] - direction.dt[i];
    const double d2 = direction.du[i] + direction.dt[i];
    if (d1 < 0.0) primal = std::min(primal, -s1_[i] / d1);
    if (d2 < 0.0) primal = std::min(primal, -s2_[i] / d2);
  }
  return {.primal = std::min(1.0, kShort * primal),
          .dual = std::min(LongestStep(a_, direction.da, 1.0),
                           LongestStep(b_, direction.da, -1.0))};
}

double InteriorPointSolver::Gap(const Direction& direction,
                                StepLengths lengths) const {
  double gap = 0.0;
  for (std::size_t i = 0; i < s1_.size(); ++i) {
    const double dt = lengths.primal * direction.dt[i];
    const double du = lengths.primal * direction.du[i];
    const double da = lengths.dual * direction.da[i];
    gap +=
        (s1_[i] + du - dt) * (a_[i] + da) + (s2_[i] + du + dt) * (b_[i] - da);
  }
  return gap / (2.0 * static_cast<double>(s1_.size()));
}

void InteriorPointSolver::Move(const Direction& direction,
                               StepLengths lengths) {
  AddScaled(lengths.primal, direction.dy.data(), y_.data(), keys_.rank());
  for (std::size_t i = 0; i < s1_.size(); ++i) {
    const double dt = lengths.primal * direction.dt[i];
    const double du = lengths.primal * direction.du[i];
    const double da = lengths.dual * direction.da[i];
    s1_[i] += du - dt;
    s2_[i] += du + dt;
    a_[i] += da;
    b_[i] -= da;
    // Before its step z may leave the box; any z certifies.
    dual_[i] = (h_[i] * direction.dt[i] + shift_[i]) / direction.lambda;
  }
}

bool InteriorPointSolver::Step(const ComputeContext& context) {
  const double gap = Gap(predictor_, {.primal = 0.0, .dual = 0.0});
  if (!std::isfinite(gap)) return false;
  for (std::size_t i = 0; i < h_.size(); ++i) {
    h_[i] = 4.0 / (s1_[i] / a_[i] + s2_[i] / b_[i]);
    c1_[i] = -a_[i] * s1_[i];
    c2_[i] = -b_[i] * s2_[i];
  }
  if (!system_.Factor(h_.data(), context)) return false;
  std::copy_n(keys_.x.row(j_), keys_.rank(), system_x_.data());
  system_.Solve(system_x_.data());
  if (!Solve(context, predictor_)) return false;
  const double ratio = Gap(predictor_, Longest(predictor_)) / gap;
  const double target = gap * ratio * ratio * ratio;
  for (std::size_t i = 0; i < h_.size(); ++i) {
    const double da = predictor_.da[i];
    const double du = predictor_.du[i];
    const double dt = predictor_.dt[i];
    c1_[i] = target - a_[i] * s1_[i] - da * (du - dt);
    c2_[i] = target - b_[i] * s2_[i] + da * (du + dt);
  }
  if (!Solve(context, corrector_)) return false;
  Move(corrector_, Longest(corrector_));
  CorrectDual(system_, h_, context.stop);
  return Normalise(context.stop);
}

}  // namespace steelyard
