// What a pass answers: OnePassUniversalSet::Snapshot and Queryable.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/row_loader.h"
#include "one_pass/arrival_scores.h"
#include "one_pass/pass.h"
#include "queries/queryable_set_data.h"
#include "sensitivity/sensitivity_set.h"
#include "universal_set/membership.h"

namespace steelyard {
namespace {

struct Answer {
  Factor factor;
  CandidateList candidates;
  LeverageScores scores;  // of the candidates
  UniversalSet set;
};

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

void ToGlobal(const std::vector<Index>& global, std::vector<Index>& positions) {
  for (Index& i : positions) i = global[At(i)];
}

// Causal: what is known of the candidates since they came.
ArrivalScores ArrivalsOf(const PassState& state,
                         const CandidateList& candidates) {
  ArrivalScores arrivals;
  arrivals.scores = candidates.scores;
  arrivals.errors = candidates.errors;
  arrivals.total = state.arrival_total();
  arrivals.bound = state.arrival_bound();
  return arrivals;
}

// Other functions than |x|^2: members by the upper ends of their intervals.
absl::Status SelectByBounds(const OnePassOptions& options,
                            const PassState& state,
                            const ComputeContext& context, Answer& answer) {
  std::vector<SensitivityInterval> intervals;
  if (options.causal) {
    for (const double bound : answer.candidates.scores) {
      intervals.push_back({0.0, bound});
    }
  } else {
    auto some = state.IntervalsOfCandidates(answer.scores, context);
    if (!some.ok()) return some.status();
    intervals = *std::move(some);
  }
  UniversalSetOptions wanted;
  wanted.epsilon = options.epsilon;
  wanted.top_m = options.top_m;
  answer.set =
      SelectByIntervals(intervals, answer.scores.new_direction, wanted);
  UniversalSet& set = answer.set;
  set.rank = answer.factor.rank;
  // Causal: of the bounds. Else of the true sensitivities, all keys of them;
  // the members are counted by their bounds.
  set.total_sensitivity = options.causal
                              ? state.arrival_total()
                              : state.power().TotalSensitivity(set.rank);
  set.size_bound = std::min(static_cast<double>(state.keys()),
                            std::max(static_cast<double>(set.indices.size()),
                                     set.total_sensitivity / options.epsilon));
  set.method = absl::StrCat("bounds of the sensitivities of ",
                            DescriptionOf(options.function),
                            options.causal ? " on arrival" : " in one pass",
                            "; ", answer.factor.description);
  return absl::OkStatus();
}

// `answer.set` from the scores of the candidates.
void SelectSquare(const OnePassOptions& options, const PassState& state,
                  Answer& answer) {
  UniversalSet& set = answer.set;
  UniversalSetOptions wanted;
  wanted.epsilon = options.epsilon;
  wanted.top_m = options.top_m;
  set.rank = answer.factor.rank;
  if (options.causal) {
    SelectArrivals(ArrivalsOf(state, answer.candidates), wanted, &set);
  } else {
    SelectMembers(answer.scores, wanted, &set);
    set.size_bound = static_cast<double>(set.rank) / options.epsilon;
    set.total_sensitivity = static_cast<double>(set.rank);
    set.relative_score_error = set.rank == 0 ? 0.0 : answer.scores.delta;
  }
  set.method = options.causal ? absl::StrCat(answer.factor.description,
                                             "; scores on arrival")
                              : answer.factor.description;
}

absl::Status Select(const OnePassOptions& options, const PassState& state,
                    const ComputeContext& context, Answer& answer) {
  if (state.power().used()) {
    if (absl::Status s = SelectByBounds(options, state, context, answer);
        !s.ok()) {
      return s;
    }
  } else {
    SelectSquare(options, state, answer);
  }
  UniversalSet& set = answer.set;
  ToGlobal(answer.candidates.indices, set.indices);
  ToGlobal(answer.candidates.indices, set.undecided);
  ToGlobal(answer.candidates.indices, set.new_direction);
  set.keys = state.keys();
  set.condition_estimate = answer.factor.condition;
  // Of dropped keys it is known that they are below epsilon.
  if (answer.candidates.size() < set.keys) {
    set.effective_epsilon = std::max(set.effective_epsilon, options.epsilon);
  }
  return absl::OkStatus();
}

absl::StatusOr<Answer> Answered(const PassState& state,
                                const OnePassOptions& options,
                                const ComputeContext& context) {
  Answer answer;
  absl::StatusOr<Factor> factor = state.CurrentFactor(context);
  if (!factor.ok()) return factor.status();
  answer.factor = *std::move(factor);
  answer.candidates = state.candidates().Joined();
  if (!options.causal) {
    absl::StatusOr<LeverageScores> scores =
        state.ScoreCandidates(answer.factor, context);
    if (!scores.ok()) return scores.status();
    answer.scores = *std::move(scores);
  }
  if (absl::Status s = Select(options, state, context, answer); !s.ok()) {
    return s;
  }
  return answer;
}

double UpperEnd(const LeverageScores& scores, Index i) {
  const double tau = scores.tau[At(i)];
  return tau == 0.0 ? 0.0 : std::min(1.0, tau * (1.0 + scores.delta));
}

// Positions of the candidates that numerators are taken over: the members, and
// for rank r < d what queries near the null space ask for (EpsilonOfMembers);
// where top_m forbids that, the set answers for less. Causal: every candidate,
// since what it was held against differs from key to key.
std::vector<Index> PositionsForQueries(const OnePassOptions& options,
                                       Answer& answer) {
  const Index count = answer.candidates.size();
  if (!IsSquare(options.function)) {
    // All of them: what they add to Z is known exactly.
    std::vector<Index> every(At(count));
    for (Index i = 0; i < count; ++i) every[At(i)] = i;
    return every;
  }
  const double share = EpsilonOfMembers(answer.factor, 1.0);
  const bool all =
      !options.top_m.has_value() && (options.causal || share < 1.0);
  const double least = options.causal ? 0.0 : options.epsilon * share;
  // Of dropped keys.
  double outside = count < answer.set.keys ? options.epsilon * share : 0.0;
  std::vector<Index> positions;
  auto member = answer.set.indices.begin();
  for (Index i = 0; i < count; ++i) {
    const bool is_member = member != answer.set.indices.end() &&
                           *member == answer.candidates.indices[At(i)];
    if (is_member) ++member;
    const double upper = options.causal ? 1.0 : UpperEnd(answer.scores, i);
    if (is_member || (all && upper > 0.0 && upper >= least)) {
      positions.push_back(i);
    } else {
      outside = std::max(outside, upper);
    }
  }
  if (!options.causal && share < 1.0) {
    answer.set.effective_epsilon = std::min(1.0, outside / share);
  }
  return positions;
}

}  // namespace

absl::StatusOr<UniversalSet> OnePassUniversalSet::Snapshot(
    const ComputeContext& context) const {
  const absl::StatusOr<PassState> state = pass_->Settled(context);
  if (!state.ok()) return state.status();
  absl::StatusOr<Answer> answer = Answered(*state, pass_->options, context);
  if (!answer.ok()) return answer.status();
  return std::move(answer->set);
}

absl::StatusOr<QueryableSet> OnePassUniversalSet::Queryable(
    const ComputeContext& context) const {
  const OnePassOptions& options = pass_->options;
  const absl::StatusOr<PassState> state = pass_->Settled(context);
  if (!state.ok()) return state.status();
  absl::StatusOr<Answer> answer = Answered(*state, options, context);
  if (!answer.ok()) return answer.status();
  auto data = std::make_shared<QueryableSetData>();
  data->function = options.function;
  data->causal = options.causal;
  const std::vector<Index> positions = PositionsForQueries(options, *answer);
  data->keys =
      Matrix<double>(static_cast<Index>(positions.size()), options.columns);
  if (!positions.empty()) {
    const RowLoader rows(
        ViewOfBytes(options.storage, answer->candidates.rows.data(),
                    answer->candidates.size(), options.columns),
        answer->factor.scales.exponents);
    for (Index i = 0; i < data->keys.rows(); ++i) {
      const Index from = positions[At(i)];
      data->indices.push_back(answer->candidates.indices[At(from)]);
      rows.Load(from, 0, BlockOf(data->keys).Part(i, 0, 1, options.columns));
    }
  }
  // Others were dropped below kLeverageKept; causal ones by their bound alone.
  if (answer->candidates.size() == answer->set.keys) {
    data->leverage_epsilon = 0.0;
  } else if (!IsSquare(options.function) && !options.causal) {
    data->leverage_epsilon = kLeverageKept;
  }
  if (answer->set.keys > 0) data->last_index = state->next_index() - 1;
  data->set = std::move(answer->set);
  data->factor = std::move(answer->factor);
  return QueryableSet(std::move(data));
}

}  // namespace steelyard
