// States that leave a pass, come back, and join: OnePassUniversalSet::Export,
// Restore and Merge.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "one_pass/pass.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Of a float64 column's norm: 2^-1074 to 2^1024 times sqrt(n).
constexpr int kMostExponent = 1100;

absl::Status Corrupt(absl::string_view field, absl::string_view message) {
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument, std::string(message),
      {.reason = "STATE_CORRUPT", .field = std::string(field)});
}

bool IsBound(double x) { return std::isfinite(x) && x >= 0.0; }

// The number of keys, or what is wrong with the ranges.
absl::StatusOr<Index> CountKeys(const std::vector<KeyRange>& ranges) {
  constexpr Index kMost = std::numeric_limits<Index>::max();
  Index end = 0;
  Index keys = 0;
  for (const KeyRange& range : ranges) {
    if (range.first < end || range.count < 1 ||
        range.count > kMost - range.first) {
      return Corrupt("ranges",
                     "ranges must be sorted, disjoint, of at least one key and "
                     "within int64");
    }
    end = range.first + range.count;
    keys += range.count;
  }
  return keys;
}

absl::Status CheckFactor(const OnePassOptions& options, Index keys,
                         const OnePassState& state) {
  const Index d = options.columns;
  if (state.factor.rows() != d || state.factor.cols() != d) {
    return Corrupt("factor", absl::StrCat("factor is ", state.factor.rows(),
                                          " x ", state.factor.cols(),
                                          "; it must be ", d, " x ", d));
  }
  bool zero = true;
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < d; ++j) {
      const double x = state.factor(i, j);
      // Column norms of R grow with the square root of the number of keys.
      if (!(std::abs(x) <= 0x1p64) || (j < i && x != 0.0)) {
        return Corrupt("factor", absl::StrCat("factor[", i, ",", j, "] is ", x,
                                              "; it must be finite, upper "
                                              "triangular and scaled"));
      }
      zero = zero && x == 0.0;
    }
  }
  if (keys == 0 && !zero) {
    return Corrupt("factor", "factor is not zero, though there are no keys");
  }
  if (static_cast<Index>(state.column_exponents.size()) != d) {
    return Corrupt("column_exponents",
                   absl::StrCat("there are ", state.column_exponents.size(),
                                " column exponents; there must be ", d));
  }
  for (const int exponent : state.column_exponents) {
    if (exponent < -kMostExponent || exponent > kMostExponent) {
      return Corrupt("column_exponents",
                     absl::StrCat("a column exponent is ", exponent));
    }
  }
  if (!IsBound(state.factor_error) || state.factor_error >= 1.0) {
    return Corrupt("factor_error",
                   absl::StrCat("factor_error is ", state.factor_error,
                                "; it must be in [0, 1)"));
  }
  if (!IsBound(state.householder_error)) {
    return Corrupt(
        "householder_error",
        absl::StrCat("householder_error is ", state.householder_error,
                     "; it must be finite and at least 0"));
  }
  return absl::OkStatus();
}

bool IsInRanges(const std::vector<KeyRange>& ranges, Index index) {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), index,
      [](Index i, const KeyRange& range) { return i < range.first; });
  if (after == ranges.begin()) return false;
  const KeyRange& range = *(after - 1);
  return index - range.first < range.count;
}

absl::Status CheckCandidates(const OnePassOptions& options,
                             const OnePassState& state,
                             const ComputeContext& context) {
  for (std::size_t i = 0; i < state.indices.size(); ++i) {
    const bool ascends = i == 0 || state.indices[i - 1] < state.indices[i];
    if (!ascends || !IsInRanges(state.ranges, state.indices[i])) {
      return Corrupt("indices",
                     absl::StrCat("indices[", i, "] is ", state.indices[i],
                                  "; indices must ascend within the ranges"));
    }
  }
  const std::size_t row_bytes = BytesPerNumber(options.storage) *
                                static_cast<std::size_t>(options.columns);
  // By division: a product of hostile counts could wrap.
  if (state.candidates.size() % row_bytes != 0 ||
      state.candidates.size() / row_bytes != state.indices.size()) {
    return Corrupt("candidates",
                   absl::StrCat("candidates hold ", state.candidates.size(),
                                " bytes; ", state.indices.size(), " keys of ",
                                row_bytes, " bytes are needed"));
  }
  if (state.indices.empty()) return absl::OkStatus();
  const absl::Status finite = CheckFinite(
      ViewOfBytes(options.storage, state.candidates.data(),
                  static_cast<Index>(state.indices.size()), options.columns),
      "candidates", context);
  if (absl::IsInvalidArgument(finite)) {
    return Corrupt("candidates", finite.message());
  }
  return finite;
}

absl::Status CheckArrivalSums(Index keys, const OnePassState& state) {
  // Sums are added up in another order than they are checked.
  constexpr double kSlack = 1.0 + 1e-6;
  double sum = 0.0;
  for (const double score : state.arrival_scores) sum += score;
  if (!IsBound(state.arrival_total) || sum > state.arrival_total * kSlack ||
      state.arrival_total > static_cast<double>(keys) * kSlack) {
    return Corrupt("arrival_total",
                   absl::StrCat("arrival_total is ", state.arrival_total,
                                "; the candidates alone have ", sum,
                                ", and no key has more than 1"));
  }
  if (!IsBound(state.arrival_bound) ||
      state.arrival_bound * kSlack < state.arrival_total ||
      state.arrival_bound > static_cast<double>(keys) * kSlack) {
    return Corrupt("arrival_bound",
                   absl::StrCat("arrival_bound is ", state.arrival_bound,
                                "; arrival_total is ", state.arrival_total));
  }
  return absl::OkStatus();
}

// Scores on arrival: a causal pass has one for every candidate, another none.
absl::Status CheckArrivals(const OnePassOptions& options, Index keys,
                           const OnePassState& state) {
  const std::size_t wanted = options.causal ? state.indices.size() : 0;
  for (const auto& [name, list] :
       {std::pair{"arrival_scores", &state.arrival_scores},
        std::pair{"arrival_errors", &state.arrival_errors}}) {
    if (list->size() == wanted) continue;
    return Corrupt(name, absl::StrCat("there are ", list->size(), " ", name,
                                      "; there must be ", wanted));
  }
  for (const double score : state.arrival_scores) {
    if (score >= 0.0 && score <= 1.0) continue;
    return Corrupt("arrival_scores",
                   absl::StrCat("a score on arrival is ", score));
  }
  for (const double error : state.arrival_errors) {
    if (error >= 0.0) continue;
    return Corrupt("arrival_errors",
                   absl::StrCat("an error of a score is ", error));
  }
  if (options.causal) return CheckArrivalSums(keys, state);
  if (state.arrival_total != 0.0) {
    return Corrupt("arrival_total", "the pass is not causal");
  }
  if (state.arrival_bound != 0.0) {
    return Corrupt("arrival_bound", "the pass is not causal");
  }
  return absl::OkStatus();
}

absl::StatusOr<Index> CheckState(const OnePassOptions& options,
                                 const OnePassState& state,
                                 const ComputeContext& context) {
  const absl::StatusOr<Index> keys = CountKeys(state.ranges);
  if (!keys.ok()) return keys.status();
  if (absl::Status s = CheckFactor(options, *keys, state); !s.ok()) return s;
  if (absl::Status s = CheckArrivals(options, *keys, state); !s.ok()) return s;
  if (absl::Status s = CheckCandidates(options, state, context); !s.ok()) {
    return s;
  }
  return keys;
}

bool SameOptions(const OnePassOptions& a, const OnePassOptions& b) {
  // Powers and sums: descriptions name every number of them.
  return a.columns == b.columns && a.storage == b.storage &&
         a.epsilon == b.epsilon && a.top_m == b.top_m &&
         DescriptionOf(a.function) == DescriptionOf(b.function) &&
         a.causal == b.causal;
}

// Both, adjoining ranges joined; false: they overlap.
bool UniteRanges(const std::vector<KeyRange>& a, const std::vector<KeyRange>& b,
                 std::vector<KeyRange>& both) {
  std::vector<KeyRange> all = a;
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end(), [](const KeyRange& x, const KeyRange& y) {
    return x.first < y.first;
  });
  both.clear();
  for (const KeyRange& range : all) {
    const Index end = both.empty() ? 0 : both.back().first + both.back().count;
    if (range.first < end) return false;
    if (!both.empty() && range.first == end) {
      both.back().count += range.count;
    } else {
      both.push_back(range);
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<OnePassState> OnePassUniversalSet::Export(
    const ComputeContext& context) const {
  const absl::StatusOr<PassState> settled = pass_->Settled(context);
  if (!settled.ok()) return settled.status();
  absl::StatusOr<Triangle> triangle = settled->factor().Export(context);
  if (!triangle.ok()) return triangle.status();
  OnePassState state;
  state.ranges = settled->ranges();
  state.factor = std::move(triangle->r);
  state.column_exponents = std::move(triangle->scales.exponents);
  state.factor_error = triangle->error.relative;
  state.householder_error = triangle->error.householder;
  CandidateList candidates = settled->candidates().Joined();
  state.indices = std::move(candidates.indices);
  state.candidates.assign(candidates.rows.begin(), candidates.rows.end());
  state.arrival_scores = std::move(candidates.scores);
  state.arrival_errors = std::move(candidates.errors);
  state.arrival_total = settled->arrival_total();
  state.arrival_bound = settled->arrival_bound();
  absl::StatusOr<std::string> coreset = settled->power().Serialize(context);
  if (!coreset.ok()) return coreset.status();
  state.coreset = *std::move(coreset);
  return state;
}

absl::StatusOr<OnePassUniversalSet> OnePassUniversalSet::Restore(
    const OnePassOptions& options, OnePassState state,
    const ComputeContext& context) {
  absl::StatusOr<OnePassUniversalSet> set = Create(options);
  if (!set.ok()) return set.status();
  const absl::StatusOr<Index> keys = CheckState(options, state, context);
  if (!keys.ok()) return keys.status();
  CandidateList candidates;
  candidates.indices = std::move(state.indices);
  AppendBytes(state.candidates.data(), state.candidates.size(),
              candidates.rows);
  Triangle triangle;
  triangle.r = std::move(state.factor);
  triangle.scales.exponents = std::move(state.column_exponents);
  triangle.error = {.relative = state.factor_error,
                    .householder = state.householder_error};
  triangle.keys = *keys;
  candidates.scores = std::move(state.arrival_scores);
  candidates.errors = std::move(state.arrival_errors);
  const absl::Status resumed = set->pass_->state.Resume(
      std::move(triangle), std::move(candidates), state, context);
  if (!resumed.ok()) return resumed;
  return set;
}

absl::Status OnePassUniversalSet::Merge(const OnePassUniversalSet& other,
                                        const ComputeContext& context) {
  if (!SameOptions(options(), other.options())) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        "only passes of the same options can be merged",
        {.reason = "CONFLICTING_FIELDS", .field = "options"});
  }
  if (options().causal) {
    return ErrorWithDetail(
        absl::StatusCode::kFailedPrecondition,
        "scores on arrival depend on the keys before: causal passes cannot be "
        "merged",
        {.reason = "CAUSAL_NOT_MERGEABLE", .field = "causal"});
  }
  std::vector<KeyRange> both;
  if (!UniteRanges(ranges(), other.ranges(), both)) {
    return ErrorWithDetail(absl::StatusCode::kFailedPrecondition,
                           "the passes have seen some of the same indices",
                           {.reason = "RANGES_OVERLAP", .field = "ranges"});
  }
  absl::StatusOr<PassState> mine = pass_->Settled(context);
  if (!mine.ok()) return mine.status();
  const absl::StatusOr<PassState> theirs = other.pass_->Settled(context);
  if (!theirs.ok()) return theirs.status();
  if (absl::Status s = mine->Join(*theirs, std::move(both), context); !s.ok()) {
    return s;
  }
  pass_->state = *std::move(mine);
  pass_->pending = {};
  return absl::OkStatus();
}

}  // namespace steelyard
