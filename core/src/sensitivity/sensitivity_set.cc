#include "sensitivity/sensitivity_set.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "one_pass/candidate_buffer.h"
#include "sensitivity/interval_refinement.h"
#include "sensitivity/power_pass.h"
#include "sensitivity/tall_products.h"
#include "sensitivity/term_bounds.h"
#include "sensitivity/whitened_keys.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

// Keys of a causal set that are scored at a time.
constexpr Index kCausalPanel = 16384;

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// What is reported for a key: the value in the middle of a tight interval, and
// how far the truth may be from it; else the upper end.
struct Reported {
  double value;
  double error;
  bool is_bound;
};

Reported ReportedFor(const SensitivityInterval& interval) {
  if (!IsTight(interval)) return {interval.upper, 0.0, true};
  const double value = 0.5 * (interval.lower + interval.upper);
  if (value == 0.0) return {0.0, 0.0, false};
  // Relative to the truth, which is at least `lower`; the quotient's rounding
  // goes outward.
  const double error = (interval.upper - interval.lower) /
                           (2.0 * interval.lower) * (1.0 + 0x1p-40) +
                       0x1p-52;
  return {value, error, false};
}

// The most sensitive `top_m` by reported value, ties to the lower index.
void KeepMostSensitive(const std::vector<SensitivityInterval>& intervals,
                       Index top_m, std::vector<Index>* members) {
  if (static_cast<Index>(members->size()) <= top_m) return;
  const auto more_sensitive = [&](Index a, Index b) {
    const double x = ReportedFor(intervals[At(a)]).value;
    const double y = ReportedFor(intervals[At(b)]).value;
    return x != y ? x > y : a < b;
  };
  std::nth_element(members->begin(), members->begin() + top_m - 1,
                   members->end(), more_sensitive);
  members->resize(At(top_m));
  std::sort(members->begin(), members->end());
}

// The largest upper end outside the ascending `members`.
double LargestOutside(const std::vector<SensitivityInterval>& intervals,
                      const std::vector<Index>& members) {
  double largest = 0.0;
  auto member = members.begin();
  for (Index j = 0; j < static_cast<Index>(intervals.size()); ++j) {
    if (member != members.end() && *member == j) {
      ++member;
      continue;
    }
    largest = std::max(largest, intervals[At(j)].upper);
  }
  return largest;
}

double SumOfUpperEnds(const std::vector<SensitivityInterval>& intervals) {
  double sum = 0.0;
  double compensation = 0.0;
  for (const SensitivityInterval& interval : intervals) {
    // Neumaier; all terms are at least 0 and the sum is the larger after the
    // first few.
    const double next = sum + interval.upper;
    compensation += sum >= interval.upper ? (sum - next) + interval.upper
                                          : (interval.upper - next) + sum;
    sum = next;
  }
  return sum + compensation;
}

}  // namespace

std::vector<double> ExponentsOf(const ScoreFunction& function) {
  std::vector<double> exponents;
  if (const auto* power = std::get_if<Power>(&function)) {
    exponents.push_back(power->p);
  } else if (const auto* sum = std::get_if<PowerSum>(&function)) {
    for (const PowerTerm& term : sum->terms) exponents.push_back(term.p);
  }
  std::sort(exponents.begin(), exponents.end());
  exponents.erase(std::unique(exponents.begin(), exponents.end()),
                  exponents.end());
  return exponents;
}

UniversalSet SelectByIntervals(const std::vector<SensitivityInterval>& given,
                               const std::vector<Index>& new_direction,
                               const UniversalSetOptions& options) {
  std::vector<SensitivityInterval> intervals = given;
  for (const Index j : new_direction) intervals[At(j)] = {1.0, 1.0};
  const double epsilon = options.epsilon.value_or(0.0);
  UniversalSet set;
  for (Index j = 0; j < static_cast<Index>(intervals.size()); ++j) {
    if (intervals[At(j)].upper >= epsilon) set.indices.push_back(j);
  }
  const std::size_t above_epsilon = set.indices.size();
  if (options.top_m.has_value()) {
    KeepMostSensitive(intervals, *options.top_m, &set.indices);
  }
  const bool cut = set.indices.size() < above_epsilon;
  set.effective_epsilon = LargestOutside(intervals, set.indices);

  bool any_bound = false;
  for (const Index j : set.indices) {
    const SensitivityInterval& interval = intervals[At(j)];
    const Reported reported = ReportedFor(interval);
    set.sensitivities.push_back(reported.value);
    set.upper_bounds.push_back(reported.is_bound ? 1 : 0);
    any_bound = any_bound || reported.is_bound;
    set.relative_score_error =
        std::max(set.relative_score_error, reported.error);
    if (interval.lower < epsilon ||
        (cut && interval.lower <= set.effective_epsilon)) {
      set.undecided.push_back(j);
    }
    if (std::binary_search(new_direction.begin(), new_direction.end(), j)) {
      set.new_direction.push_back(j);
    }
  }
  if (!any_bound) set.upper_bounds.clear();
  set.exact = set.undecided.empty() && !any_bound;
  set.keys = static_cast<Index>(intervals.size());
  set.total_sensitivity = SumOfUpperEnds(intervals);
  set.size_bound = static_cast<double>(set.keys);
  if (epsilon > 0.0) {
    set.size_bound = std::min(set.size_bound, set.total_sensitivity / epsilon);
  }
  return set;
}

namespace {

// Bounds of scores on arrival: one pass inside, in panels.
absl::StatusOr<std::vector<SensitivityInterval>> BoundsOnArrival(
    const AnyMatrixView& keys, const ScoreFunction& function,
    const ComputeContext& context) {
  PowerPass pass(function, Cols(keys));
  std::vector<SensitivityInterval> intervals;
  std::vector<double> arrival;
  for (Index first = 0; first < Rows(keys); first += kCausalPanel) {
    const Index count = std::min(kCausalPanel, Rows(keys) - first);
    const absl::Status added =
        pass.Add(SubView(keys, first, count), context, &arrival);
    if (!added.ok()) return added;
    for (const double bound : arrival) intervals.push_back({0.0, bound});
  }
  return intervals;
}

absl::StatusOr<UniversalSet> FindCausalPowerSet(
    const AnyMatrixView& keys, Index rows_before,
    const UniversalSetOptions& options, const ComputeContext& context) {
  // Also finds what is not finite.
  const absl::StatusOr<FactoredKeys> factored =
      FactorKeys(keys, rows_before, context);
  if (!factored.ok()) return factored.status();
  const absl::StatusOr<std::vector<SensitivityInterval>> intervals =
      BoundsOnArrival(keys, options.function, context);
  if (!intervals.ok()) return intervals.status();
  UniversalSet set = SelectByIntervals(*intervals, {}, options);
  set.rank = factored->factor.rank;
  set.condition_estimate = factored->factor.condition;
  set.method = absl::StrCat("bounds of the sensitivities of ",
                            DescriptionOf(options.function), " on arrival; ",
                            factored->factor.description);
  return set;
}

}  // namespace

absl::StatusOr<UniversalSet> FindPowerSet(const AnyMatrixView& keys,
                                          Index rows_before,
                                          const UniversalSetOptions& options,
                                          const ComputeContext& context) {
  if (options.causal)
    return FindCausalPowerSet(keys, rows_before, options, context);
  const absl::StatusOr<FactoredKeys> factored =
      FactorKeys(keys, rows_before, context);
  if (!factored.ok()) return factored.status();
  const Factor& factor = factored->factor;
  std::vector<SensitivityInterval> intervals(At(Rows(keys)),
                                             SensitivityInterval{0.0, 0.0});
  std::string refinement = "all keys are zero";
  if (factor.rank > 0) {
    const absl::StatusOr<WhitenedKeys> white =
        WhitenKeys(keys, *factored, context);
    if (!white.ok()) return white.status();
    std::vector<TermBounds> terms;
    int rounds = 0;
    for (const double p : ExponentsOf(options.function)) {
      absl::StatusOr<TermBounds> term =
          ComputeTermBounds(*white, factored->scores, p, context);
      if (!term.ok()) return term.status();
      rounds = std::max(rounds, term->lewis.rounds);
      terms.push_back(*std::move(term));
    }
    IntervalRefinement refined(*white, &terms,
                               {options.epsilon, options.top_m});
    const absl::Status run =
        refined.Run(RefinementBudget(white->rows(), white->rank()), context);
    if (!run.ok()) return run;
    for (Index j = 0; j < Rows(keys); ++j) {
      intervals[At(j)] = refined.IntervalOf(j);
    }
    refinement = absl::StrCat("Lewis bounds in ", rounds, " rounds, ",
                              refined.keys_refined(), " keys refined");
  }
  UniversalSet set =
      SelectByIntervals(intervals, factored->scores.new_direction, options);
  set.rank = factor.rank;
  set.condition_estimate = factor.condition;
  set.method =
      absl::StrCat("sensitivities of ", DescriptionOf(options.function), ": ",
                   refinement, "; ", factor.description);
  return set;
}

Cost CostOfPowerSet(Index n, Index d, const ScoreFunction& function,
                    int workers) {
  const auto rows = static_cast<double>(n);
  const auto columns = static_cast<double>(d);
  const auto terms = static_cast<double>(ExponentsOf(function).size());
  const double side_by_side =
      static_cast<double>(std::min<Index>(workers, kRefinementRound));
  // Slots of a weighted Gram, bounded as in tall_products.cc.
  const double slots =
      8.0 * std::max(64.0 * 64.0 * 1024.0, 2.0 * columns * columns);
  const double blocks = 2.0 * static_cast<double>(TallBlockRows(d)) * columns *
                        sizeof(double) * static_cast<double>(workers);
  return {
      .flops = (3.0 + 2.0 * kLewisRounds * terms) * rows * columns * columns +
               FlopsOfRefinement(n, d, static_cast<Index>(terms)),
      // X; for every term R and some vectors; a round's copies.
      .bytes = 8.0 * rows * columns + slots + blocks +
               terms * 8.0 * (2.0 * columns * columns + 12.0 * rows) +
               side_by_side * terms * BytesOfKeyRefiner(n, d)};
}

}  // namespace steelyard
