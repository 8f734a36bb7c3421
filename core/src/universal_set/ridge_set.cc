#include "universal_set/ridge_set.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "steelyard/status.h"
#include "universal_set/keys.h"
#include "universal_set/leverage.h"

namespace steelyard {
namespace {

// Members whose attaining queries are found at once.
constexpr Index kMemberBlock = 64;

absl::Status CheckOptions(const UniversalSetOptions& options) {
  if (!IsSquare(options.function) || options.causal) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        "ridge: only for |x|^2 without causal",
        {.reason = "CONFLICTING_FIELDS", .field = "ridge", .metadata = {}});
  }
  for (const auto& [name, value] :
       {std::pair{"ridge.lambda", options.ridge->lambda},
        std::pair{"ridge.ratio", options.ridge->ratio}}) {
    if (value > 0.0 && std::isfinite(value)) continue;
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat(name, " is ", value, "; it must be positive and finite"),
        {.reason = "FIELD_OUT_OF_RANGE", .field = name, .metadata = {}});
  }
  return absl::OkStatus();
}

// 1 + 1/c, finite.
double RidgeFactor(double ratio) {
  return std::min(1.0 + 1.0 / ratio, std::numeric_limits<double>::max());
}

// sigma of every key. Where one of the two bounds has no error bound, the other
// one alone.
LeverageScores Combined(const LeverageScores& plain,
                        const LeverageScores& ridge, double factor) {
  if (!std::isfinite(ridge.delta)) return plain;
  const bool both = std::isfinite(plain.delta);
  LeverageScores scores;
  scores.delta = both ? std::max(plain.delta, ridge.delta) : ridge.delta;
  scores.tau.resize(plain.tau.size());
  for (std::size_t j = 0; j < plain.tau.size(); ++j) {
    scores.tau[j] = std::min(both ? plain.tau[j] : 1.0, factor * ridge.tau[j]);
  }
  // A key that leaves the row space of K is a member as long as the ridge does
  // not tell that its scores are small.
  for (const Index j : plain.new_direction) {
    if (scores.tau[static_cast<std::size_t>(j)] >= 1.0) {
      scores.new_direction.push_back(j);
    }
  }
  return scores;
}

// Sets upper_bounds[u] = 0 where (K'K)^-1 k_u satisfies the condition with room
// for rounding: q = R^-1 R^-T k, ||K q||^2 = tau.
absl::Status MarkReached(const AnyMatrixView& keys, const FactoredKeys& plain,
                         const UniversalSetOptions& options,
                         const StopToken& stop, UniversalSet* set) {
  const Index d = Cols(keys);
  const Factor& factor = plain.factor;
  const auto members = static_cast<Index>(set->indices.size());
  set->upper_bounds.assign(set->indices.size(), 1);
  // Both solves are as right as the scores: within delta each.
  const double room = 1.0 + 8.0 * factor.delta;
  if (factor.rank < d || !(factor.delta <= 0.1)) return absl::OkStatus();
  Matrix<double> rows(std::min(kMemberBlock, members), d);
  const double least = options.ridge->ratio * options.ridge->lambda * room;
  for (Index first = 0; first < members; first += kMemberBlock) {
    const Index count = std::min(kMemberBlock, members - first);
    for (Index u = 0; u < count; ++u) {
      LoadScaledRows(keys, set->indices[static_cast<std::size_t>(first + u)], 1,
                     factor.scales.exponents, rows.row(u));
    }
    const Block<double> x = BlockOf(rows).Part(0, 0, count, d);
    absl::Status solved = SolveUpperFromRight(x, BlockOf(factor.r), stop);
    if (!solved.ok()) return solved;
    solved = SolveUpperFromRight(x, Transposed(BlockOf(factor.r)), stop);
    if (!solved.ok()) return solved;
    for (Index u = 0; u < count; ++u) {
      double square = 0.0;
      for (Index c = 0; c < d; ++c) {
        const double q = std::ldexp(
            x(u, c), -factor.scales.exponents[static_cast<std::size_t>(c)]);
        square += q * q;
      }
      const auto at = static_cast<std::size_t>(first + u);
      const double tau =
          plain.scores.tau[static_cast<std::size_t>(set->indices[at])];
      if (tau >= least * square) set->upper_bounds[at] = 0;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniversalSet> FindRidgeSet(const AnyMatrixView& keys,
                                          Index rows_before,
                                          const UniversalSetOptions& options,
                                          const ComputeContext& context) {
  const absl::Status valid = CheckOptions(options);
  if (!valid.ok()) return valid;
  const absl::StatusOr<ColumnScales> scales =
      ScanColumns(keys, "keys", context, rows_before);
  if (!scales.ok()) return scales.status();
  const auto score = [&](double ridge) -> absl::StatusOr<FactoredKeys> {
    absl::StatusOr<Factor> factor =
        FactorMatrix(keys, *scales, {.ridge = ridge}, context);
    if (!factor.ok()) return factor.status();
    absl::StatusOr<LeverageScores> scores =
        ComputeLeverageScores(keys, *factor, context);
    if (!scores.ok()) return scores.status();
    return FactoredKeys{*std::move(factor), *std::move(scores)};
  };
  const absl::StatusOr<FactoredKeys> plain = score(0.0);
  if (!plain.ok()) return plain.status();
  const absl::StatusOr<FactoredKeys> ridge = score(options.ridge->lambda);
  if (!ridge.ok()) return ridge.status();

  const double factor = RidgeFactor(options.ridge->ratio);
  UniversalSet set;
  const LeverageScores scores = Combined(plain->scores, ridge->scores, factor);
  SelectMembers(scores, options, &set);
  set.rank = plain->factor.rank;
  set.keys = Rows(keys);
  set.size_bound = static_cast<double>(set.keys);
  if (options.epsilon.has_value()) {
    double sum = 0.0;
    for (const double tau : ridge->scores.tau) sum += tau;
    set.size_bound = std::min(static_cast<double>(set.rank),
                              factor * sum * (1.0 + ridge->scores.delta)) /
                     *options.epsilon;
  }
  set.relative_score_error = set.rank == 0 ? 0.0 : scores.delta;
  set.condition_estimate = plain->factor.condition;
  set.method = absl::StrCat(plain->factor.description,
                            "; with the ridge: ", ridge->factor.description);
  const absl::Status marked =
      MarkReached(keys, *plain, options, context.stop, &set);
  if (!marked.ok()) return marked;
  return set;
}

}  // namespace steelyard
