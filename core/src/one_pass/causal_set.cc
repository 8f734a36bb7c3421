#include "one_pass/causal_set.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace steelyard {

absl::StatusOr<CausalKeys> ScoreCausalKeys(const AnyMatrixView& keys,
                                           Index rows_before,
                                           const ComputeContext& context) {
  RunningFactor running(Cols(keys));
  CausalKeys scored;
  const absl::Status status = ScoreOnArrival(keys, rows_before, context,
                                             running, scored.arrivals);
  if (!status.ok()) return status;
  absl::StatusOr<Factor> factor =
      running.Refactor(FactorDetail::kAnswer, context);
  if (!factor.ok()) return factor.status();
  scored.factor = *std::move(factor);
  return scored;
}

UniversalSet SelectCausalSet(const CausalKeys& keys,
                             const UniversalSetOptions& options) {
  UniversalSet set;
  SelectArrivals(keys.arrivals, options, &set);
  set.keys = static_cast<Index>(keys.arrivals.scores.size());
  set.rank = keys.factor.rank;
  set.condition_estimate = keys.factor.condition;
  set.method = absl::StrCat(keys.factor.description, "; scores on arrival");
  return set;
}

}  // namespace steelyard
