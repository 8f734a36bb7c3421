#include "steelyard/universal_set.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "one_pass/causal_set.h"
#include "sensitivity/sensitivity_set.h"
#include "softmax/heuristic_set.h"
#include "universal_set/filtered_scores.h"
#include "universal_set/keys.h"
#include "universal_set/leverage.h"
#include "universal_set/membership.h"
#include "universal_set/ridge_set.h"

namespace steelyard {
namespace {

// An upper bound of what one key costs besides its score: index lists.
constexpr double kBytesPerKey = 8.0 + 1.0 + 4.0 * 8.0;

absl::StatusOr<UniversalSet> FindInHead(const AnyMatrixView& keys,
                                        Index rows_before,
                                        const UniversalSetOptions& options,
                                        const ComputeContext& context) {
  // First: it refuses every other function, and causal sets.
  if (options.ridge.has_value()) {
    return FindRidgeSet(keys, rows_before, options, context);
  }
  if (std::holds_alternative<Softmax>(options.function)) {
    return FindSoftmaxSet(keys, rows_before, options, context);
  }
  if (!IsSquare(options.function)) {
    return FindPowerSet(keys, rows_before, options, context);
  }
  if (options.causal) {
    const absl::StatusOr<CausalKeys> scored =
        ScoreCausalKeys(keys, rows_before, context);
    if (!scored.ok()) return scored.status();
    return SelectCausalSet(*scored, options);
  }
  absl::StatusOr<FactoredKeys> factored =
      FactorKeys(keys, rows_before, options, context);
  if (!factored.ok()) return factored.status();
  return SelectSet(*factored, options);
}

}  // namespace

absl::StatusOr<FactoredKeys> FactorKeys(const AnyMatrixView& keys,
                                        Index rows_before,
                                        const UniversalSetOptions& options,
                                        const ComputeContext& context) {
  // R'R = K'K
  RowLengths lengths;
  const bool measure = MayUseLengths(Rows(keys), Cols(keys), options);
  if (measure) lengths = LengthsToMeasure(keys);
  absl::StatusOr<Factor> factor =
      ScanAndFactorMatrix(keys, "keys", {}, context, rows_before,
                          measure ? &lengths : nullptr);
  if (!factor.ok()) return factor.status();

  // tau_j = ||R^-T k_j||^2
  absl::StatusOr<LeverageScores> scores =
      UsesFilter(Rows(keys), *factor, options)
          ? ComputeFilteredScores(keys, *factor, options, context,
                                  std::move(lengths))
          : ComputeLeverageScores(keys, *factor, context);
  if (!scores.ok()) return scores.status();
  return FactoredKeys{*std::move(factor), *std::move(scores)};
}

absl::StatusOr<FactoredKeys> FactorKeys(const AnyMatrixView& keys,
                                        Index rows_before,
                                        const ComputeContext& context) {
  return FactorKeys(keys, rows_before, {.selection = Selection::kDirect},
                    context);
}

UniversalSet SelectSet(const FactoredKeys& keys,
                       const UniversalSetOptions& options) {
  UniversalSet set;
  SelectMembers(keys.scores, options, &set);
  set.rank = keys.factor.rank;
  set.keys = static_cast<Index>(keys.scores.tau.size());
  set.size_bound = static_cast<double>(set.keys);
  if (options.epsilon.has_value()) {
    set.size_bound = static_cast<double>(set.rank) / *options.epsilon;
  }
  // Columns are scaled before the rank is found: rank 0 means that K = 0, whose
  // sensitivities are 0 exactly, though no R bounds their error.
  set.relative_score_error = set.rank == 0 ? 0.0 : keys.scores.delta;
  set.condition_estimate = keys.factor.condition;
  set.method = keys.factor.description;
  if (!keys.scores.how.empty()) {
    absl::StrAppend(&set.method, "; ", keys.scores.how);
  }
  return set;
}

absl::StatusOr<UniversalSet> FindUniversalSet(
    const AnyMatrixView& keys, const UniversalSetOptions& options,
    const ComputeContext& context) {
  return FindInHead(keys, 0, options, context);
}

absl::StatusOr<std::vector<UniversalSet>> FindUniversalSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context) {
  return ForEachHead<UniversalSet>(
      static_cast<Index>(heads.size()), context,
      [&](Index head, const ComputeContext& quiet) {
        return FindInHead(heads[static_cast<std::size_t>(head)],
                          RowsBefore(heads, head), options, quiet);
      });
}

Cost CostOfUniversalSet(Index heads, Index n, Index d, int workers) {
  const auto keys = static_cast<double>(n);
  const auto count = static_cast<double>(heads);
  const double at_once = std::min(count, static_cast<double>(workers));
  const Cost factor = CostOfFactor(n, d, workers);
  const Cost scores = CostOfLeverageScores(n, d, workers);
  const Cost filter = CostOfFilter(d, workers);
  return {.flops = count * (factor.flops + scores.flops + filter.flops),
          .bytes = at_once * (factor.bytes + scores.bytes + filter.bytes) +
                   count * keys * kBytesPerKey};
}

Cost CostOfUniversalSet(Index heads, Index n, Index d,
                        const UniversalSetOptions& options, int workers) {
  Cost cost = CostOfUniversalSet(heads, n, d, workers);
  const auto count = static_cast<double>(heads);
  const double at_once = std::min(count, static_cast<double>(workers));
  if (std::holds_alternative<Softmax>(options.function)) {
    // Centred keys: a copy, whose sums are taken in blocks.
    const double numbers = static_cast<double>(n) * static_cast<double>(d);
    cost += {.flops = 2.0 * count * numbers,
             .bytes = at_once * 8.0 *
                      (1.25 * numbers + 4.0 * static_cast<double>(d))};
    return cost;
  }
  if (IsSquare(options.function)) {
    // A second factor, and members once more.
    if (options.ridge.has_value()) cost += cost;
    return cost;
  }
  const Cost one = CostOfPowerSet(n, d, options.function, workers);
  cost += {.flops = count * one.flops, .bytes = at_once * one.bytes};
  return cost;
}

}  // namespace steelyard
