#include "server/convert/threshold.h"

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr char kEpsilonRule[] = "it must be in (0, 1]";

}  // namespace

absl::StatusOr<Threshold> ThresholdFromProto(
    double epsilon, std::optional<std::int64_t> top_m) {
  Threshold threshold;
  if (top_m.has_value()) {
    if (*top_m < 1) {
      return OutOfRangeError("top_m", absl::StrCat(*top_m), "it must be >= 1");
    }
    threshold.top_m = *top_m;
  }
  if (epsilon != 0.0) {
    const absl::StatusOr<double> checked = EpsilonFromProto(epsilon);
    if (!checked.ok()) return checked.status();
    threshold.epsilon = *checked;
  }
  return threshold;
}

absl::StatusOr<Threshold> RequiredThreshold(double epsilon,
                                            std::optional<std::int64_t> top_m) {
  if (epsilon == 0.0 && !top_m.has_value()) {
    return FieldRequiredError(
        "epsilon", absl::StrCat(kEpsilonRule, " unless top_m is set"));
  }
  return ThresholdFromProto(epsilon, top_m);
}

absl::StatusOr<double> EpsilonFromProto(double epsilon) {
  if (epsilon == 0.0) return FieldRequiredError("epsilon", kEpsilonRule);
  if (!(epsilon > 0.0 && epsilon <= 1.0)) {
    return OutOfRangeError("epsilon", absl::StrCat(epsilon), kEpsilonRule);
  }
  return epsilon;
}

}  // namespace steelyard::server
