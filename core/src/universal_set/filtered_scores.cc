#include "universal_set/filtered_scores.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "linalg/stopped.h"
#include "universal_set/block_scores.h"
#include "universal_set/key_filter.h"
#include "universal_set/norm_bound.h"

namespace steelyard {
namespace {

constexpr Index kLargestOrder = 1024;
constexpr double kLargestDelta = 0.1;
// Below these a filter saves less than it costs: few keys for each column, or
// so small an epsilon that most keys may be members.
constexpr double kKeysPerColumn = 16.0;
constexpr double kKeysPerMember = 3.0;
// Columns up to which lengths are measured: those of one tile of the Gram.
constexpr Index kLargestMeasured = 512;
// Share of the keys that lengths may leave open: to float64 scores, which then
// cost what the float32 product of all keys would; and at all.
constexpr double kMostByLength = 0.3;
constexpr double kMostOpen = 0.9;

// The upper end of a score that a bound leaves open.
double Stored(double bound, double delta) { return bound * (1.0 + delta); }

// work(rows, first) for some rows of keys first .. first + count - 1, side by
// side: a copy of them unless they are all.
template <class Work>
void WithRows(const AnyMatrixView& keys, Index first, Index count,
              const std::vector<Index>& some, const Work& work) {
  if (static_cast<Index>(some.size()) == count) return work(keys, first);
  std::visit(
      [&](const auto& view) {
        using T = std::remove_cvref_t<decltype(*view.data())>;
        const Index d = view.cols();
        std::vector<T> rows(some.size() * static_cast<std::size_t>(d));
        T* to = rows.data();
        for (const Index i : some) to = std::copy_n(view.row(first + i), d, to);
        work(MatrixView<T>(rows.data(), static_cast<Index>(some.size()), d),
             Index{0});
      },
      keys);
}

// What is below is excluded; a NaN is not.
std::vector<Index> NotBelow(const double* bounds, Index count, double delta,
                            double epsilon) {
  std::vector<Index> open;
  for (Index i = 0; i < count; ++i) {
    if (!(Stored(bounds[i], delta) * (1.0 + delta) < epsilon)) {
      open.push_back(i);
    }
  }
  return open;
}

// Bounds of a block of keys become scores where they reach epsilon; returns how
// many keys were scored.
Index RescoreCandidates(const AnyMatrixView& keys, const BlockScorer& scorer,
                        Index first, Index count, double delta, double epsilon,
                        const StopToken& stop, double* tau) {
  const std::vector<Index> open = NotBelow(tau, count, delta, epsilon);
  for (Index i = 0; i < count; ++i) tau[i] = Stored(tau[i], delta);
  if (open.empty()) return 0;
  const auto candidates = static_cast<Index>(open.size());
  std::vector<double> scores(open.size());
  WithRows(keys, first, count, open,
           [&](const AnyMatrixView& rows, Index from) {
             scorer.Score(rows, from, candidates, stop, scores.data());
           });
  for (std::size_t i = 0; i < open.size(); ++i) {
    tau[open[i]] = std::min(1.0, scores[i]);
  }
  return candidates;
}

// Whether the selection asks for a filter, or gains by one.
bool WantsFilter(Index n, Index d, const UniversalSetOptions& options) {
  if (!options.epsilon.has_value() || d > kLargestOrder) return false;
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

// bounds(first, count, tau) for all keys, block after block, then scores where
// they leave a key open; returns how many were scored.
template <class Bounds>
absl::StatusOr<Index> BoundAndRescore(const AnyMatrixView& keys,
                                      const BlockScorer& scorer, double epsilon,
                                      const ComputeContext& context,
                                      const Bounds& bounds,
                                      LeverageScores& scores) {
  const Index n = Rows(keys);
  std::atomic<Index> scored{0};
  const Index rows = scorer.rows();
  context.workers.ParallelFor(
      (n + rows - 1) / rows, context.stop, [&](Index task) {
        const Index first = task * rows;
        const Index count = std::min(rows, n - first);
        double* tau = scores.tau.data() + first;
        bounds(first, count, tau);
        scored += RescoreCandidates(keys, scorer, first, count, scores.delta,
                                    epsilon, context.stop, tau);
      });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return scored.load();
}

// Bounds by lengths that were measured: tau_j <= mu ||k_j||^2.
struct LengthBounds {
  double mu = 0.0;
  double open = 1.0;  // share of the keys that they do not exclude
};

double OpenShare(const RowLengths& lengths, double mu, double level) {
  const auto open = std::count_if(
      lengths.squares.begin(), lengths.squares.end(),
      [&](double square) { return !(mu * lengths.Above(square) < level); });
  return static_cast<double>(open) /
         static_cast<double>(lengths.squares.size());
}

// None where they exclude too few keys to be worth it.
std::optional<LengthBounds> BoundByLengths(const Matrix<double>& inverse,
                                           const Factor& factor,
                                           const RowLengths& lengths,
                                           double level) {
  if (lengths.squares.empty()) return std::nullopt;
  const Matrix<double> right =
      InverseForLengths(inverse, factor.scales, lengths);
  const double least = LargestSquareEstimate(BlockOf(right));
  if (OpenShare(lengths, least, level) > kMostOpen) return std::nullopt;
  LengthBounds bounds{.mu = LargestSquareBound(BlockOf(right))};
  bounds.open = OpenShare(lengths, bounds.mu, level);
  if (bounds.open > kMostOpen) return std::nullopt;
  return bounds;
}

std::string HowSketched(const Factor& factor,
                        const UniversalSetOptions& options, Index scored) {
  // Members are at most rank / epsilon.
  const double failure =
      std::min(1.0, kSketchFailure * static_cast<double>(factor.rank) /
                        *options.epsilon);
  return absl::StrCat(
      "Johnson-Lindenstrauss estimates in ", kSketchColumns, " columns, seed ",
      options.seed, ", ", scored,
      " keys at or above 0.1 epsilon scored in float64; misses a member with "
      "probability below ",
      failure);
}

std::string HowCertain(const std::optional<LengthBounds>& by_length,
                       const std::optional<KeyFilter>& filter, Index scored) {
  std::string how = "certain bounds";
  if (by_length.has_value()) absl::StrAppend(&how, " by length");
  if (filter.has_value()) {
    absl::StrAppend(&how, by_length.has_value() ? ", then" : "",
                    " by a float32 product (norms for ", filter->leading(),
                    " columns)");
  }
  absl::StrAppend(&how, ", ", scored, " keys scored in float64");
  return how;
}

}  // namespace

bool MayUseLengths(Index n, Index d, const UniversalSetOptions& options) {
  return d <= kLargestMeasured &&
         options.selection != Selection::kJohnsonLindenstrauss &&
         WantsFilter(n, d, options);
}

bool UsesFilter(Index n, const Factor& factor,
                const UniversalSetOptions& options) {
  const Index d = factor.r.cols();
  return factor.rank == d && factor.delta <= kLargestDelta &&
         WantsFilter(n, d, options);
}

absl::StatusOr<LeverageScores> ComputeFilteredScores(
    const AnyMatrixView& keys, const Factor& factor,
    const UniversalSetOptions& options, const ComputeContext& context,
    RowLengths lengths) {
  const double epsilon = *options.epsilon;
  absl::StatusOr<Matrix<double>> inverse = UpperInverse(factor.r, context);
  if (!inverse.ok()) return inverse.status();
  LeverageScores scores;
  scores.delta = factor.delta;
  // sum of all scores = rank, up to the rounding of each.
  scores.total = static_cast<double>(factor.rank);

  const bool sketched = options.selection == Selection::kJohnsonLindenstrauss;
  const double level = epsilon / ((1.0 + scores.delta) * (1.0 + scores.delta));
  const std::optional<LengthBounds> by_length =
      BoundByLengths(*inverse, factor, lengths, level);
  std::optional<KeyFilter> filter;
  if (sketched) {
    filter = KeyFilter::Sketched(factor, *inverse, {options.seed});
  } else if (!by_length.has_value() || by_length->open > kMostByLength) {
    filter = KeyFilter::Certain(keys, factor, *inverse, level);
  }
  const BlockScorer scorer =
      BlockScorer::FromInverse(*std::move(inverse), factor.scales);

  // Lengths first, then float32 for what they leave open.
  scores.tau = std::move(lengths.squares);
  scores.tau.resize(static_cast<std::size_t>(Rows(keys)));
  const auto bounds = [&](Index first, Index count, double* tau) {
    if (!by_length.has_value()) return filter->Bound(keys, first, count, tau);
    for (Index i = 0; i < count; ++i) {
      tau[i] = by_length->mu * lengths.Above(tau[i]) * (1.0 + 0x1p-40);
    }
    if (!filter.has_value()) return;
    const std::vector<Index> open = NotBelow(tau, count, scores.delta, epsilon);
    if (open.empty()) return;
    std::vector<double> closer(open.size());
    WithRows(keys, first, count, open,
             [&](const AnyMatrixView& rows, Index from) {
               filter->Bound(rows, from, static_cast<Index>(open.size()),
                             closer.data());
             });
    for (std::size_t i = 0; i < open.size(); ++i) tau[open[i]] = closer[i];
  };
  const absl::StatusOr<Index> scored =
      BoundAndRescore(keys, scorer, epsilon, context, bounds, scores);
  if (!scored.ok()) return scored.status();
  if (sketched) scores.certain = false;
  scores.how = sketched ? HowSketched(factor, options, *scored)
                        : HowCertain(by_length, filter, *scored);
  return scores;
}

Cost CostOfFilter(Index d, int workers) {
  if (d > kLargestOrder) return {};
  return CostOfKeyFilter(d, workers);
}

}  // namespace steelyard
