#include "one_pass/pass_state.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "queries/queryable_set_data.h"
#include "universal_set/filtered_scores.h"
#include "universal_set/leverage.h"

namespace steelyard {
namespace {

// Of a panel: so large that what a panel costs by itself does not count.
constexpr Index kMostPanelRows = 65536;
constexpr Index kMostPanelEntries = Index{1} << 22;
constexpr Index kPendingEntries = Index{1} << 18;

// Whether a filter gains by that epsilon depends on all keys, of which a panel
// is a part.
UniversalSetOptions Filtered(double epsilon) {
  UniversalSetOptions options;
  options.epsilon = epsilon;
  return options;
}

// A factor by which keys can be excluded.
bool Excludes(const Factor& factor) {
  // Keys of zeros so far: the next of them scores 0.
  return std::isfinite(factor.delta) || factor.rank == 0;
}

}  // namespace

Index PendingRows(Index d) {
  const Index most = std::max<Index>(64, kPendingEntries / d);
  return std::clamp<Index>(64 * d, std::min<Index>(256, most), most);
}

Index MostPanelRows(Index d) {
  return std::max(PendingRows(d),
                  std::min(kMostPanelRows, kMostPanelEntries / d));
}

PassState::PassState(const OnePassOptions& options)
    : epsilon_(options.epsilon),
      causal_(options.causal),
      first_index_(options.first_index),
      factor_(options.columns),
      power_(options.function, options.columns),
      candidates_(options.storage, options.columns),
      prune_above_(PendingRows(options.columns) / 4) {}

Index PassState::next_index() const {
  if (ranges_.empty()) return first_index_;
  return ranges_.back().first + ranges_.back().count;
}

double PassState::bytes() const {
  const double scorer =
      scorer_ == nullptr
          ? 0.0
          : 8.0 * static_cast<double>(scorer_->factor.r.size() +
                                      scorer_->factor.v_transposed.size());
  return factor_.bytes() + power_.bytes() + candidates_.bytes() + scorer;
}

Index PassState::PanelRows() const {
  return std::clamp(keys(), PendingRows(factor_.d()),
                    MostPanelRows(factor_.d()));
}

absl::Status PassState::AddPanel(const AnyMatrixView& keys, Index row_offset,
                                 const ComputeContext& context) {
  if (power_.used()) return AddByBounds(keys, row_offset, context);
  if (causal_) return AddByArrival(keys, row_offset, context);
  const bool measure =
      MayUseLengths(factor_.keys(), factor_.d(), Filtered(epsilon_));
  RowLengths lengths;
  if (measure) lengths = LengthsToMeasure(keys);
  if (absl::Status s =
          factor_.Fold(keys, row_offset, context, measure ? &lengths : nullptr);
      !s.ok()) {
    return s;
  }
  if (factor_.keys() / 5 * 4 >= refreshed_at_ || ScorerMissesColumns()) {
    if (absl::Status s = Refresh(context); !s.ok()) return s;
  }
  const absl::StatusOr<std::vector<unsigned char>> keep =
      KeysToKeep(keys, std::move(lengths), context);
  if (!keep.ok()) return keep.status();
  TakeCandidates(keys, *keep, nullptr);
  if (candidates_.size() <= prune_above_) return absl::OkStatus();
  return Prune(context);
}

absl::Status PassState::AddByArrival(const AnyMatrixView& keys,
                                     Index row_offset,
                                     const ComputeContext& context) {
  ArrivalScores arrivals;
  arrivals.total = arrival_total_;
  arrivals.bound = arrival_bound_;
  if (absl::Status s =
          ScoreOnArrival(keys, row_offset, context, factor_, arrivals);
      !s.ok()) {
    return s;
  }
  std::vector<unsigned char> keep(arrivals.scores.size());
  for (std::size_t i = 0; i < keep.size(); ++i) {
    const double threshold = epsilon_ * arrivals.shares[i];
    keep[i] =
        UpperEndOfArrival(arrivals.scores[i], arrivals.errors[i]) < threshold
            ? 0
            : 1;
  }
  TakeCandidates(keys, keep, &arrivals);
  arrival_total_ = arrivals.total;
  arrival_bound_ = arrivals.bound;
  return absl::OkStatus();
}

absl::Status PassState::AddByBounds(const AnyMatrixView& keys, Index row_offset,
                                    const ComputeContext& context) {
  // First of all: finds what is not finite.
  if (absl::Status s = factor_.Fold(keys, row_offset, context); !s.ok()) {
    return s;
  }
  ArrivalScores arrivals;
  std::vector<double>* bounds = causal_ ? &arrivals.scores : nullptr;
  if (absl::Status s = power_.Add(keys, context, bounds); !s.ok()) return s;
  if (causal_) {
    const auto n = static_cast<std::size_t>(Rows(keys));
    arrivals.errors.assign(n, 0.0);
    std::vector<unsigned char> keep(n);
    for (std::size_t i = 0; i < n; ++i) {
      keep[i] = arrivals.scores[i] >= epsilon_ ? 1 : 0;
      arrival_total_ += arrivals.scores[i];
    }
    arrival_bound_ = arrival_total_;
    TakeCandidates(keys, keep, &arrivals);
    return absl::OkStatus();
  }
  if (factor_.keys() / 5 * 4 >= refreshed_at_ || ScorerMissesColumns()) {
    if (absl::Status s = Refresh(context); !s.ok()) return s;
  }
  const absl::StatusOr<std::vector<unsigned char>> keep =
      KeysToKeepByBounds(keys, context);
  if (!keep.ok()) return keep.status();
  TakeCandidates(keys, *keep, nullptr);
  if (candidates_.size() <= prune_above_) return absl::OkStatus();
  return PruneByBounds(context);
}

// keep[i]: the sensitivity may reach epsilon, or the leverage score
// kLeverageKept. Scores by fewer keys than there are are larger.
absl::StatusOr<std::vector<unsigned char>> PassState::KeysToKeepByBounds(
    const AnyMatrixView& keys, const ComputeContext& context) const {
  std::vector<unsigned char> keep(static_cast<std::size_t>(Rows(keys)), 1);
  if (!ScorerExcludes()) return keep;
  const absl::StatusOr<LeverageScores> leverage =
      ComputeLeverageScores(keys, scorer_->factor, context);
  if (!leverage.ok()) return leverage.status();
  const auto intervals = power_.Intervals(keys, *leverage, context);
  if (!intervals.ok()) return intervals.status();
  for (std::size_t i = 0; i < keep.size(); ++i) {
    const double tau = leverage->tau[i];
    const double upper = tau == 0.0 ? 0.0 : tau * (1.0 + leverage->delta);
    keep[i] =
        (*intervals)[i].upper >= epsilon_ || upper >= kLeverageKept ? 1 : 0;
  }
  for (const Index i : leverage->new_direction) {
    keep[static_cast<std::size_t>(i)] = 1;
  }
  return keep;
}

absl::Status PassState::PruneByBounds(const ComputeContext& context) {
  if (absl::Status s = Refresh(context); !s.ok()) return s;
  if (absl::Status s = power_.Refresh(context); !s.ok()) return s;
  std::vector<unsigned char> keep;
  for (const auto& list : candidates_.lists()) {
    const auto some = KeysToKeepByBounds(candidates_.View(*list), context);
    if (!some.ok()) return some.status();
    keep.insert(keep.end(), some->begin(), some->end());
  }
  candidates_.Keep(keep);
  prune_above_ = std::max(2 * candidates_.size(),
                          candidates_.size() + PendingRows(factor_.d()) / 4);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SensitivityInterval>>
PassState::IntervalsOfCandidates(const LeverageScores& leverage,
                                 const ComputeContext& context) const {
  PowerPass power = power_;
  if (absl::Status s = power.Refresh(context); !s.ok()) return s;
  const CandidateList all = candidates_.Joined();
  if (all.size() == 0) return std::vector<SensitivityInterval>();
  return power.Intervals(candidates_.View(all), leverage, context);
}

absl::Status PassState::Refresh(const ComputeContext& context) {
  absl::StatusOr<Factor> factor =
      factor_.Refactor(FactorDetail::kScores, context);
  if (!factor.ok()) return factor.status();
  refreshed_at_ = factor_.keys();
  if (ScorerExcludes() && !Excludes(*factor)) return absl::OkStatus();
  std::vector<Index> zero_columns = ZeroColumns(factor->r);
  scorer_ = std::make_shared<const Scorer>(
      Scorer{*std::move(factor), factor_.keys(), std::move(zero_columns)});
  return absl::OkStatus();
}

bool PassState::ScorerMissesColumns() const {
  return scorer_ != nullptr &&
         std::any_of(scorer_->zero_columns.begin(), scorer_->zero_columns.end(),
                     [&](Index c) { return !factor_.IsZeroColumn(c); });
}

bool PassState::ScorerExcludes() const {
  return scorer_ != nullptr && Excludes(scorer_->factor) &&
         !ScorerMissesColumns();
}

absl::StatusOr<LeverageScores> PassState::ScoresUpTo(
    double epsilon, const AnyMatrixView& keys, RowLengths lengths,
    const ComputeContext& context) const {
  const Factor& factor = scorer_->factor;
  const UniversalSetOptions options = Filtered(epsilon);
  if (UsesFilter(scorer_->keys, factor, options)) {
    return ComputeFilteredScores(keys, factor, options, context,
                                 std::move(lengths));
  }
  return ComputeLeverageScores(keys, factor, context);
}

// keep[i] of keys that are the last to have been folded.
absl::StatusOr<std::vector<unsigned char>> PassState::KeysToKeep(
    const AnyMatrixView& keys, RowLengths lengths,
    const ComputeContext& context) const {
  const auto n = static_cast<std::size_t>(Rows(keys));
  std::vector<unsigned char> keep(n, 1);
  if (!ScorerExcludes()) return keep;
  const Factor& factor = scorer_->factor;
  const bool seen = scorer_->keys == factor_.keys();
  const double threshold = EpsilonOfMembers(factor, epsilon_);
  // q / (1 + q) < t where q < t / (1 - t).
  const double enough =
      seen ? threshold : std::min(1.0, threshold / (1.0 - threshold));
  const absl::StatusOr<LeverageScores> scores =
      ScoresUpTo(enough, keys, std::move(lengths), context);
  if (!scores.ok()) return scores.status();
  for (std::size_t i = 0; i < n; ++i) {
    const double tau = scores->tau[i];
    const double q = tau == 0.0 ? 0.0 : tau * (1.0 + scores->delta);
    // Clipped at 1, as keys of a new direction are: nothing is known above.
    const double upper = seen || tau == 1.0 ? q : q / (1.0 + q);
    keep[i] = upper < threshold ? 0 : 1;
  }
  for (const Index i : scores->new_direction) {
    keep[static_cast<std::size_t>(i)] = 1;
  }
  return keep;
}

// Of `keys`, the last that were folded, those to keep.
void PassState::TakeCandidates(const AnyMatrixView& keys,
                               const std::vector<unsigned char>& keep,
                               const ArrivalScores* arrivals) {
  const auto count = static_cast<std::size_t>(
      std::count(keep.begin(), keep.end(), static_cast<unsigned char>(1)));
  const Index first = next_index();
  const std::size_t row_bytes = candidates_.row_bytes();
  CandidateList taken;
  taken.indices.reserve(count);
  taken.rows.reserve(count * row_bytes);
  for (std::size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] == 0) continue;
    taken.indices.push_back(first + static_cast<Index>(i));
    AppendBytes(BytesOf(keys) + i * row_bytes, row_bytes, taken.rows);
    if (arrivals == nullptr) continue;
    taken.scores.push_back(arrivals->scores[i]);
    taken.errors.push_back(arrivals->errors[i]);
  }
  candidates_.Append(std::move(taken));
  if (ranges_.empty()) ranges_.push_back({first, 0});
  ranges_.back().count += Rows(keys);
}

absl::StatusOr<Factor> PassState::CurrentFactor(
    const ComputeContext& context) const {
  RunningFactor copy = factor_;
  return copy.Refactor(FactorDetail::kAnswer, context);
}

absl::StatusOr<LeverageScores> PassState::ScoreCandidates(
    const Factor& factor, const ComputeContext& context) const {
  LeverageScores all;
  all.delta = factor.delta;
  for (const auto& list : candidates_.lists()) {
    const auto before = static_cast<Index>(all.tau.size());
    const absl::StatusOr<LeverageScores> scores =
        ComputeLeverageScores(candidates_.View(*list), factor, context);
    if (!scores.ok()) return scores.status();
    all.tau.insert(all.tau.end(), scores->tau.begin(), scores->tau.end());
    for (const Index i : scores->new_direction) {
      all.new_direction.push_back(before + i);
    }
  }
  return all;
}

absl::Status PassState::Resume(Triangle triangle, CandidateList candidates,
                               const OnePassState& state,
                               const ComputeContext& context) {
  factor_ = RunningFactor(std::move(triangle));
  ranges_ = state.ranges;
  arrival_total_ = state.arrival_total;
  arrival_bound_ = state.arrival_bound;
  candidates_.Append(std::move(candidates));
  prune_above_ = std::max(prune_above_, 2 * candidates_.size());
  return power_.Resume(state.coreset, factor_.keys(), context);
}

absl::Status PassState::Join(const PassState& other,
                             std::vector<KeyRange> ranges,
                             const ComputeContext& context) {
  const absl::StatusOr<Triangle> triangle = other.factor_.Export(context);
  if (!triangle.ok()) return triangle.status();
  if (absl::Status s = factor_.FoldTriangle(*triangle, context); !s.ok()) {
    return s;
  }
  if (absl::Status s = power_.Merge(other.power_, context); !s.ok()) return s;
  candidates_.MergeFrom(other.candidates_);
  ranges_ = std::move(ranges);
  return Prune(context);
}

absl::Status PassState::Prune(const ComputeContext& context) {
  if (power_.used()) return PruneByBounds(context);
  if (scorer_ == nullptr || scorer_->keys != factor_.keys()) {
    if (absl::Status s = Refresh(context); !s.ok()) return s;
  }
  // Also of a scorer that has not seen the latest keys, tau is an upper bound.
  if (ScorerExcludes()) {
    const absl::StatusOr<LeverageScores> scores =
        ScoreCandidates(scorer_->factor, context);
    if (!scores.ok()) return scores.status();
    const double threshold = EpsilonOfMembers(scorer_->factor, epsilon_);
    std::vector<unsigned char> keep(scores->tau.size(), 0);
    for (std::size_t i = 0; i < keep.size(); ++i) {
      const double tau = scores->tau[i];
      const double upper = tau == 0.0 ? 0.0 : tau * (1.0 + scores->delta);
      keep[i] = upper < threshold ? 0 : 1;
    }
    for (const Index i : scores->new_direction) {
      keep[static_cast<std::size_t>(i)] = 1;
    }
    candidates_.Keep(keep);
  }
  prune_above_ = std::max(2 * candidates_.size(),
                          candidates_.size() + PendingRows(factor_.d()) / 4);
  return absl::OkStatus();
}

}  // namespace steelyard
