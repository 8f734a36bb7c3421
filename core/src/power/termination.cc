#include "power/termination.h"

#include <algorithm>

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Above this no digit is certified.
constexpr double kForwardErrorMax = 0.1;

// From harmless to bad.
constexpr Termination kOrder[] = {
    Termination::kConverged,      Termination::kPrecisionFloor,
    Termination::kIterationLimit, Termination::kTimeLimit,
    Termination::kStopped,        Termination::kIllConditioned,
};

const Termination* PlaceOf(Termination termination) {
  return std::find(std::begin(kOrder), std::end(kOrder), termination);
}

}  // namespace

double FloorFactor(int exponent) { return 8.0 * (exponent + 1); }

double ToleranceOf(std::optional<double> given, int exponent, double phi) {
  if (given) return *given;
  return FloorFactor(exponent) * std::max(phi, kUnitRoundoff);
}

Termination TerminationOf(const Measured& measured, double tolerance,
                          int exponent) {
  if (measured.zero_right_side) return Termination::kConverged;
  if (measured.stopped != StopReason::kNone &&
      !(measured.judged_residual <= tolerance)) {
    return measured.stopped == StopReason::kTimeLimit ? Termination::kTimeLimit
                                                      : Termination::kStopped;
  }
  if (measured.beyond_format) return Termination::kIllConditioned;
  if (measured.judged_residual <= tolerance) return Termination::kConverged;
  if (!(measured.forward_error < kForwardErrorMax)) {
    return Termination::kIllConditioned;
  }
  if (measured.limited) return Termination::kIterationLimit;
  if (measured.judged_residual <=
      FloorFactor(exponent) * measured.residual_floor) {
    return Termination::kPrecisionFloor;
  }
  return Termination::kIterationLimit;
}

Termination Worst(const std::vector<Termination>& terminations) {
  const auto worse = [](Termination a, Termination b) {
    return PlaceOf(a) < PlaceOf(b);
  };
  const auto worst =
      std::max_element(terminations.begin(), terminations.end(), worse);
  return worst == terminations.end() ? Termination::kConverged : *worst;
}

}  // namespace steelyard
