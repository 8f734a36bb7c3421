#include "queries/interval_scores.h"

#include <algorithm>
#include <cmath>

#include "queries/scored_keys.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Largest certified error of Z that still counts as exact: that of R for p = 2
// (FactorOptions::delta_max) and of the moments; elsewhere rounding alone.
constexpr double kFactorError = 1e-3;
constexpr double kRoundingError = 0x1p-30;

// x^a y, outward, for numbers whose logarithms are right to a few u.
double ScaledUp(double x, double a, double y) {
  if (y == 0.0) return 0.0;
  const double value = std::pow(x, a) * y;
  const double logs =
      std::abs(a * std::log2(std::max(x, 1e-300))) + std::abs(a) + 8.0;
  return value * (1.0 + 4.0 * logs * kUnitRoundoff);
}

double ScaledDown(double x, double a, double y) {
  if (y == 0.0 || x == 0.0) return 0.0;
  const double value = std::pow(x, a) * y;
  const double logs = std::abs(a * std::log2(x)) + std::abs(a) + 8.0;
  return value * (1.0 - 4.0 * logs * kUnitRoundoff);
}

struct BlockOfScores {
  const QueryableSetData& set;
  const QueryBlock& block;
  double epsilon;
  std::vector<ScaledFunction> functions;
  std::vector<NormalizerInterval> normalizers;
};

// Appends the keys whose score's upper end reaches epsilon.
void KeepReaching(const BlockOfScores& scores, const ProductBlock& products,
                  HeavyRow* rows) {
  const QueryBlock& block = scores.block;
  const double unit = ProductRounding(scores.set.factor.r.cols());
  for (Index i = 0; i < block.count; ++i) {
    if (rows[i].undefined) continue;
    const auto at = static_cast<std::size_t>(i);
    const ScaledFunction& function = scores.functions[at];
    const NormalizerInterval& z = scores.normalizers[at];
    for (Index u = 0; u < products.count; ++u) {
      const double t = std::abs(products.product(i, u));
      const double r = unit * block.norms[i] * products.key_norms[u];
      if (t + r == 0.0) continue;
      const double high = function(t + r) * (1.0 + function.roundoff());
      if (high < scores.epsilon * z.interval.lower) continue;
      const Index key =
          scores.set.indices[static_cast<std::size_t>(products.first + u)];
      rows[i].indices.push_back(key);
      if (z.exact) {
        const double score = std::min(1.0, function(t) / z.value);
        rows[i].scores.push_back(score);
        rows[i].captured_mass += score;
        continue;
      }
      const double low =
          function(std::max(0.0, t - r)) * (1.0 - function.roundoff());
      rows[i].scores.push_back(std::min(1.0, low / z.interval.upper));
      rows[i].scores_upper.push_back(
          z.interval.lower > 0.0 ? std::min(1.0, high / z.interval.lower)
                                 : 1.0);
      rows[i].captured_mass += rows[i].scores.back();
    }
  }
}

}  // namespace

Rest RestOf(const QueryableSetData& set, const std::vector<PowerTerm>& terms,
            const PowerSums& sums, double z, double delta, double rounding) {
  Rest rest;
  rest.keys = set.set.keys - static_cast<Index>(set.indices.size());
  if (rest.keys <= 0) return {};
  // |  ||t~|| - ||t||  | <= rounding ||K_S||_F, beside the sum's own roundings.
  const double norm = std::ldexp(std::sqrt(sums.squares(terms)), sums.shift);
  const double error =
      rounding * std::sqrt(sums.key_square) +
      norm * (static_cast<double>(sums.count) + 256.0) * kUnitRoundoff;
  const double low = std::max(0.0, norm - error);
  const double high = norm + error;
  const double most = z * (1.0 + delta) * (1.0 + 4.0 * kUnitRoundoff);
  rest.squares.upper =
      std::max(0.0, most - low * low) + 4.0 * kUnitRoundoff * most;
  rest.squares.lower = std::max(
      0.0, z / (1.0 + delta) - high * high - 4.0 * kUnitRoundoff * most);
  // Rank < d: |<q, k>|^2 <= tau Z_2 / EpsilonOfMembers(1) (there).
  const double weight = set.leverage_epsilon /
                        EpsilonOfMembers(set.factor, 1.0) *
                        (1.0 + 4.0 * kUnitRoundoff);
  rest.largest = std::min(weight * most, rest.squares.upper);
  const double all = rest.largest * static_cast<double>(rest.keys);
  rest.squares.upper = std::min(rest.squares.upper, all);
  rest.squares.lower = std::min(rest.squares.lower, rest.squares.upper);
  return rest;
}

Interval RestOfPowers(const Rest& rest, double p, int shift) {
  if (rest.keys <= 0 || rest.squares.upper == 0.0) return {};
  const auto m = static_cast<double>(rest.keys);
  const auto scaled = [&](double square) {
    return std::ldexp(square, -2 * shift);
  };
  const double low = scaled(rest.squares.lower);
  const double high = scaled(rest.squares.upper);
  const double g = scaled(rest.largest);
  if (p == 2.0) return {low, high};
  const double a = p / 2.0;
  if (p > 2.0) return {ScaledDown(low / m, a, m), ScaledUp(g, a - 1.0, high)};
  return {ScaledDown(g, a - 1.0, low), ScaledUp(high / m, a, m)};
}

NormalizerInterval NormalizerOf(const Rest& rest, const PowerSums& sums,
                                const ScaledFunction& function,
                                const FourthPowers* fourth, double rounding,
                                double delta) {
  const SumOfScores stored = ScoresOf(sums, function, rounding);
  NormalizerInterval result{stored.value, stored.interval, true};
  for (std::size_t i = 0; i < function.terms().size(); ++i) {
    const double p = function.terms()[i].p;
    Interval tail = RestOfPowers(rest, p, sums.shift);
    double tolerance = p == 2.0 ? kFactorError : kRoundingError;
    double point = 0.5 * (tail.lower + tail.upper);
    if (p == 4.0 && fourth != nullptr && rest.keys > 0) {
      const double unit = std::ldexp(1.0, -4 * sums.shift);
      const double known = unit * fourth->z - sums.sums[i];
      // The stored keys' sum has errors of its own: of products, |q| |k| (d +
      // 2) u <= g |y| |x|, below fourth->error, and of additions.
      const double error = 2.0 * unit * fourth->error +
                           (static_cast<double>(sums.count) + 256.0) *
                               kUnitRoundoff * sums.sums[i];
      tail.lower = std::max(tail.lower, known - error);
      tail.upper = std::max(tail.lower, std::min(tail.upper, known + error));
      tolerance = kFactorError;
      point = std::clamp(known, tail.lower, tail.upper);
    }
    const double weight = function.weight(i);
    result.value += weight * point;
    result.interval.lower += weight * tail.lower * (1.0 - function.roundoff());
    result.interval.upper += weight * tail.upper * (1.0 + function.roundoff());
    const double known = sums.sums[i] + tail.lower;
    if (tail.upper - tail.lower > 2.0 * tolerance * known) {
      result.exact = false;
    }
  }
  if (delta > kFactorError && rest.keys > 0) result.exact = false;
  return result;
}

Index IntervalScratch(Index d) {
  const Index lifted = d <= kMomentsColumnsMax ? d + 2 * MomentsOrder(d) : 0;
  return kQueryBlock * d +
         std::max({ProductScratch(d), kQueryBlock * kFactorColumns,
                   kQueryBlock * lifted});
}

void ScoreByInterval(const QueryableSetData& set, const AnyMatrixView& queries,
                     Index first, double epsilon, const StopToken& stop,
                     double* work, HeavyRow* all_rows) {
  const Index d = Cols(queries);
  const std::vector<PowerTerm> terms = TermsOf(set.function);
  QueryBlock block =
      LoadQueries(queries, first, set.factor.scales.exponents, work);
  work += kQueryBlock * d;
  ComputeNormalizers(set.factor, stop, work, &block);
  FourthPowers fourth[kQueryBlock];
  const bool moments = !set.fourth_moments.empty();
  if (moments) {
    ComputeFourthPowers(set.fourth_moments, set.set.keys, set.factor,
                        Block<const double>{block.scaled, block.count, d, d},
                        work, fourth);
  }
  const ScoredKeys keys(set);
  std::vector<PowerSums> sums(static_cast<std::size_t>(kQueryBlock));
  ForEachProduct(keys, 0, keys.count(), block, d, stop, work,
                 [&](const ProductBlock& products) {
                   for (Index i = 0; i < block.count; ++i) {
                     AddPowers(terms, products.products + i * products.count,
                               products.key_norms, products.count,
                               &sums[static_cast<std::size_t>(i)]);
                   }
                 });
  if (stop.stop_requested()) return;
  HeavyRow* rows = all_rows + first;
  BlockOfScores scores{set, block, epsilon, {}, {}};
  for (Index i = 0; i < block.count; ++i) {
    PowerSums& sum = sums[static_cast<std::size_t>(i)];
    const double rounding = ProductRounding(d) * block.norms[i];
    const Rest rest =
        RestOf(set, terms, sum, block.z[i], block.delta[i], rounding);
    RaiseShift(terms, std::sqrt(rest.largest), &sum);
    scores.functions.emplace_back(terms, block.exponents[i], sum.shift);
    const ScaledFunction& function = scores.functions.back();
    scores.normalizers.push_back(NormalizerOf(rest, sum, function,
                                              moments ? &fourth[i] : nullptr,
                                              rounding, block.delta[i]));
    rows[i].undefined =
        IsUndefined(block.z[i], block.norms[i], set.factor.frobenius_norm, d);
    if (rows[i].undefined) continue;
    const NormalizerInterval& z = scores.normalizers.back();
    SetNormalizer(z.exact ? z.value : z.interval.lower, function.exponent(),
                  &rows[i]);
  }
  ForEachProduct(keys, 0, keys.count(), block, d, stop, work,
                 [&](const ProductBlock& products) {
                   KeepReaching(scores, products, rows);
                 });
  for (Index i = 0; i < block.count; ++i) {
    rows[i].captured_mass = std::min(1.0, rows[i].captured_mass);
  }
}

}  // namespace steelyard
