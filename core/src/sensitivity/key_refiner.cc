#include "sensitivity/key_refiner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "linalg/blas.h"
#include "sensitivity/interior_point_solver.h"
#include "sensitivity/newton_solver.h"

namespace steelyard {
namespace {

// Steps that narrow an interval by less than a tenth before it is given up.
constexpr int kIdleSteps = 8;

std::unique_ptr<KeySolver> SolverFor(const WhitenedKeys& keys, double p) {
  if (p == 1.0) return std::make_unique<InteriorPointSolver>(keys);
  return std::make_unique<NewtonSolver>(keys, p);
}

double RelativeWidth(const SensitivityInterval& interval) {
  return interval.lower > 0.0 ? interval.upper / interval.lower - 1.0 : 1e300;
}

}  // namespace

bool IsReached(const RefinementGoal& goal,
               const SensitivityInterval& interval) {
  if (interval.upper < goal.epsilon || IsTight(interval)) return true;
  return !goal.value && interval.lower >= goal.epsilon;
}

KeyRefiner::KeyRefiner(const WhitenedKeys& keys,
                       const PowerCertificate& certificate,
                       const LewisBounds& start)
    : keys_(keys),
      certificate_(certificate),
      start_(start),
      solver_(SolverFor(keys, certificate.p())),
      y0_(static_cast<std::size_t>(keys.rank())) {}

void KeyRefiner::Narrow(Index j, const StopToken& stop,
                        SensitivityInterval* interval) {
  witness_ = certificate_.WitnessOf(solver_->y().data(), solver_->t().data());
  const double lower = certificate_.LowerEnd(
      witness_, j, solver_->t()[static_cast<std::size_t>(j)]);
  const double upper = certificate_.UpperEnd(j, stop, solver_->dual().data());
  if (stop.stop_requested()) return;  // Products were left unfinished.
  interval->lower = std::max(interval->lower, lower);
  interval->upper = std::min(interval->upper, upper);
}

int KeyRefiner::Refine(Index j, const RefinementGoal& goal,
                       const ComputeContext& context,
                       SensitivityInterval* interval) {
  witness_ = {};
  const Index r = keys_.rank();
  // y0 = M^-1 x_j, z0 = s X y0: what Hoelder makes of the shared weights.
  std::copy_n(keys_.x.row(j), r, y0_.data());
  if (start_.rounds > 0) {
    const Block<double> column{y0_.data(), r, 1, 1};
    TrsmUpper(Side::kLeft, Transposed(BlockOf(start_.r)), column);
    TrsmUpper(Side::kLeft, BlockOf(start_.r), column);
  }
  if (goal.steps_max < 1 || !solver_->Start(j, y0_.data(), context)) return 0;
  // Normalised to <x_j, y> = 1: X'z = x_j needs the factor a_j = <x_j, y0>.
  const double a = Dot(keys_.x.row(j), y0_.data(), r);
  for (std::size_t i = 0; i < keys_.norms.size(); ++i) {
    const double weight = start_.rounds > 0 ? start_.weights[i] : 1.0;
    solver_->dual()[i] = a * weight * solver_->t()[i];
  }
  Narrow(j, context.stop, interval);
  int steps = 1;
  double best = RelativeWidth(*interval);
  for (int idle = 0; steps < goal.steps_max && idle < kIdleSteps; ++steps) {
    if (IsReached(goal, *interval)) break;
    const bool moved = solver_->Step(context);
    if (context.stop.stop_requested()) return steps;
    Narrow(j, context.stop, interval);
    if (!moved) break;
    const double width = RelativeWidth(*interval);
    idle = width < 0.9 * best ? 0 : idle + 1;
    best = std::min(best, width);
  }
  return steps;
}

void KeyRefiner::RaiseLowerEnds(std::vector<double>* lower) const {
  if (!(witness_.norm > 0.0)) return;
  for (std::size_t i = 0; i < lower->size(); ++i) {
    double& end = (*lower)[i];
    if (end >= 1.0) continue;
    end = std::max(end, certificate_.LowerEnd(witness_, static_cast<Index>(i),
                                              solver_->t()[i]));
  }
}

double FlopsOfRefinementStep(Index n, Index r) {
  const auto rows = static_cast<double>(n);
  const auto rank = static_cast<double>(r);
  // The system, some ten products with X, powers and line search.
  return rows * rank * rank + rank * rank * rank / 3.0 + 20.0 * rows * rank +
         1000.0 * rows;
}

double BytesOfKeyRefiner(Index n, Index r) {
  const auto rows = static_cast<double>(n);
  const auto rank = static_cast<double>(r);
  return 8.0 * (20.0 * rows + 2.0 * rank * rank + 1024.0 * 256.0);
}

}  // namespace steelyard
