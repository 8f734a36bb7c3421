// What a pass answers: OnePassUniversalSet::Snapshot and Queryable.
#include <algorithm>
#include <utility>

#include "factor/row_loader.h"
#include "one_pass/pass.h"
#include "queries/queryable_set_data.h"
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

// `answer.set` from the scores of the candidates.
void Select(const OnePassOptions& options, Index keys, Answer& answer) {
  UniversalSet& set = answer.set;
  UniversalSetOptions wanted;
  wanted.epsilon = options.epsilon;
  wanted.top_m = options.top_m;
  SelectMembers(answer.scores, wanted, &set);
  ToGlobal(answer.candidates.indices, set.indices);
  ToGlobal(answer.candidates.indices, set.undecided);
  ToGlobal(answer.candidates.indices, set.new_direction);
  set.keys = keys;
  set.rank = answer.factor.rank;
  set.size_bound = static_cast<double>(set.rank) / options.epsilon;
  set.total_sensitivity = static_cast<double>(set.rank);
  set.relative_score_error = set.rank == 0 ? 0.0 : answer.scores.delta;
  set.condition_estimate = answer.factor.condition;
  set.method = answer.factor.description;
  // Of dropped keys it is known that they are below epsilon.
  if (answer.candidates.size() < keys) {
    set.effective_epsilon = std::max(set.effective_epsilon, options.epsilon);
  }
}

absl::StatusOr<Answer> Answered(const PassState& state,
                                const OnePassOptions& options,
                                const ComputeContext& context) {
  Answer answer;
  absl::StatusOr<Factor> factor = state.CurrentFactor(context);
  if (!factor.ok()) return factor.status();
  answer.factor = *std::move(factor);
  absl::StatusOr<LeverageScores> scores =
      state.ScoreCandidates(answer.factor, context);
  if (!scores.ok()) return scores.status();
  answer.scores = *std::move(scores);
  answer.candidates = state.candidates().Joined();
  Select(options, state.keys(), answer);
  return answer;
}

// Positions of the candidates that numerators are taken over: the members, and
// for rank r < d what queries near the null space ask for (EpsilonOfMembers).
std::vector<Index> PositionsForQueries(const Answer& answer, double epsilon) {
  const std::vector<Index>& all = answer.candidates.indices;
  const bool full_rank = answer.factor.rank == answer.factor.r.cols();
  const double threshold = DropThreshold(
      answer.factor, std::max(epsilon, answer.set.effective_epsilon));
  std::vector<Index> positions;
  auto member = answer.set.indices.begin();
  for (Index i = 0; i < answer.candidates.size(); ++i) {
    const bool is_member =
        member != answer.set.indices.end() && *member == all[At(i)];
    if (is_member) ++member;
    const double tau = answer.scores.tau[At(i)];
    const bool weighs =
        !full_rank && tau > 0.0 &&
        !(tau * (1.0 + answer.scores.delta) < threshold);
    if (is_member || weighs) positions.push_back(i);
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
  const std::vector<Index> positions =
      PositionsForQueries(*answer, options.epsilon);
  data->keys = Matrix<double>(static_cast<Index>(positions.size()),
                              options.columns);
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
  data->set = std::move(answer->set);
  data->factor = std::move(answer->factor);
  return QueryableSet(std::move(data));
}

}  // namespace steelyard
