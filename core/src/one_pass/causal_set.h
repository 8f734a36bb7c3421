// The causal set of keys that are all there: one pass inside.
//
// SOURCE  NUMERICS N5.
#pragma once

#include "absl/status/statusor.h"
#include "one_pass/arrival_scores.h"
#include "steelyard/universal_set.h"

namespace steelyard {

struct CausalKeys {
  Factor factor;           // of all keys
  ArrivalScores arrivals;  // of every key
};

// Scores every key against those before it. `rows_before` is added to the
// row that an error names. COST as ScoreOnArrival.
absl::StatusOr<CausalKeys> ScoreCausalKeys(const AnyMatrixView& keys,
                                           Index rows_before,
                                           const ComputeContext& context);

// The members and everything the answer says about them.
UniversalSet SelectCausalSet(const CausalKeys& keys,
                             const UniversalSetOptions& options);

}  // namespace steelyard
