#include "universal_set/filtered_scores.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "linalg/stopped.h"
#include "universal_set/block_scores.h"
#include "universal_set/key_filter.h"

namespace steelyard {
namespace {

constexpr Index kLargestOrder = 1024;
constexpr double kLargestDelta = 0.1;
// Below these a filter saves less than it costs: few keys for each column, or
// so small an epsilon that most keys may be members.
constexpr double kKeysPerColumn = 16.0;
constexpr double kKeysPerMember = 3.0;

// The upper end of a score that a bound leaves open.
double Stored(double bound, double delta) { return bound * (1.0 + delta); }

// Bounds of a block of keys become scores where they reach epsilon; returns how
// many keys were scored. Groups of rows, as strips hold them anyway.
Index RescoreCandidates(const AnyMatrixView& keys, const BlockScorer& scorer,
                        Index first, Index count, double delta, double epsilon,
                        const StopToken& stop, double* tau) {
  const auto is_candidate = [&](double bound) {
    // A NaN stays a candidate.
    return !(Stored(bound, delta) * (1.0 + delta) < epsilon);
  };
  Index scored = 0;
  double scores[kStripRowGroup];
  for (Index i = 0; i < count; i += kStripRowGroup) {
    const Index rows = std::min(kStripRowGroup, count - i);
    double* group = tau + i;
    const bool any = std::any_of(group, group + rows, is_candidate);
    if (any) scorer.Score(keys, first + i, rows, stop, scores);
    for (Index r = 0; r < rows; ++r) {
      if (is_candidate(group[r])) {
        group[r] = std::min(1.0, scores[r]);
        ++scored;
      } else {
        group[r] = Stored(group[r], delta);
      }
    }
  }
  return scored;
}

}  // namespace

bool UsesFilter(Index n, const Factor& factor,
                const UniversalSetOptions& options) {
  const Index d = factor.r.cols();
  if (!options.epsilon.has_value() || factor.rank < d || d > kLargestOrder ||
      !(factor.delta <= kLargestDelta)) {
    return false;
  }
  const auto keys = static_cast<double>(n);
  const auto columns = static_cast<double>(d);
  switch (options.selection) {
    case Selection::kDirect:
      return false;
    case Selection::kFast:
    case Selection::kJohnsonLindenstrauss:
      return true;
    case Selection::kAutomatic:
      return keys >= kKeysPerColumn * columns &&
             keys * *options.epsilon >= kKeysPerMember * columns;
  }
  return false;
}

absl::StatusOr<LeverageScores> ComputeFilteredScores(
    const AnyMatrixView& keys, const Factor& factor,
    const UniversalSetOptions& options, const ComputeContext& context) {
  const Index n = Rows(keys);
  const double delta = factor.delta;
  const double epsilon = *options.epsilon;
  const bool sketched = options.selection == Selection::kJohnsonLindenstrauss;
  absl::StatusOr<Matrix<double>> inverse = UpperInverse(factor.r, context);
  if (!inverse.ok()) return inverse.status();
  const KeyFilter filter =
      sketched ? KeyFilter::Sketched(factor, *inverse, {options.seed})
               : KeyFilter::Certain(keys, factor, *inverse,
                                    epsilon / ((1.0 + delta) * (1.0 + delta)));
  const BlockScorer scorer =
      BlockScorer::FromInverse(*std::move(inverse), factor.scales);

  LeverageScores scores;
  scores.tau.resize(static_cast<std::size_t>(n));
  scores.delta = delta;
  std::atomic<Index> scored{0};
  const Index rows = scorer.rows();
  context.workers.ParallelFor(
      (n + rows - 1) / rows, context.stop, [&](Index task) {
        const Index first = task * rows;
        const Index count = std::min(rows, n - first);
        double* tau = scores.tau.data() + first;
        filter.Bound(keys, first, count, tau);
        scored += RescoreCandidates(keys, scorer, first, count, delta, epsilon,
                                    context.stop, tau);
      });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  // sum of all scores = rank, up to the rounding of each.
  scores.total = static_cast<double>(factor.rank);
  if (sketched) {
    // Members are at most rank / epsilon.
    const double failure = std::min(
        1.0, kSketchFailure * static_cast<double>(factor.rank) / epsilon);
    scores.certain = false;
    scores.how = absl::StrCat(
        "Johnson-Lindenstrauss estimates in ", kSketchColumns,
        " columns, seed ", options.seed, ", ", scored.load(),
        " keys at or above 0.1 epsilon scored in float64; misses a member with "
        "probability below ",
        failure);
  } else {
    scores.how =
        absl::StrCat("certain float32 bounds (norms for ", filter.leading(),
                     " columns), ", scored.load(), " keys scored in float64");
  }
  return scores;
}

Cost CostOfFilter(Index d, int workers) {
  if (d > kLargestOrder) return {};
  return CostOfKeyFilter(d, workers);
}

}  // namespace steelyard
