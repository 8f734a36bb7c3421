#include "steelyard/heavy_scores.h"

#include <algorithm>
#include <cmath>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "queries/all_keys.h"
#include "queries/interval_scores.h"
#include "queries/query_block.h"
#include "queries/queryable_set_data.h"
#include "queries/scored_keys.h"
#include "softmax/heavy_softmax.h"
#include "steelyard/softmax_index.h"
#include "steelyard/status.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// One head of keys by its factor and the only keys that can be heavy.
struct SquareHead {
  const Factor* factor;
  ScoredKeys keys;
  double coefficient;  // c of f = c |x|^2
};

// One head of inline keys.
struct InlineKeys {
  FactoredKeys factored;
  std::vector<Index> members;
};

double CoefficientOfSquare(const ScoreFunction& function) {
  const auto* sum = std::get_if<PowerSum>(&function);
  if (sum == nullptr) return 1.0;
  double total = 0.0;
  for (const PowerTerm& term : sum->terms) total += term.coefficient;
  return total;
}

// Appends the keys whose score may reach epsilon, exact scores.
void KeepHeavy(const SquareHead& head, const QueryBlock& block,
               const ProductBlock& products, double epsilon, HeavyRow* rows) {
  const double rounding = ProductRounding(head.factor->r.cols());
  for (Index i = 0; i < block.count; ++i) {
    if (rows[i].undefined) continue;
    const double z = block.z[i];
    for (Index u = 0; u < products.count; ++u) {
      const double t = std::abs(products.product(i, u));
      const double upper =
          t + rounding * block.norms[i] * products.key_norms[u];
      if (upper == 0.0) continue;
      if (upper * upper * (1.0 + block.delta[i]) < epsilon * z) continue;
      const double score = std::min(1.0, t * t / z);
      rows[i].indices.push_back(head.keys.index(products.first + u));
      rows[i].scores.push_back(score);
      rows[i].captured_mass += score;
    }
  }
}

// Numbers that one block of queries needs.
Index ScratchSize(Index d) {
  return kQueryBlock * d +
         std::max(ProductScratch(d), kQueryBlock * kFactorColumns);
}

void ScoreQueries(const SquareHead& head, const AnyMatrixView& queries,
                  Index first, double epsilon, const StopToken& stop,
                  double* work, HeavyRow* all_rows) {
  const Index d = Cols(queries);
  const Factor& factor = *head.factor;
  QueryBlock block = LoadQueries(queries, first, factor.scales.exponents, work);
  work += kQueryBlock * d;
  ComputeNormalizers(factor, stop, work, &block);
  HeavyRow* rows = all_rows + first;
  int coefficient_exponent = 0;
  const double coefficient =
      std::frexp(head.coefficient, &coefficient_exponent);
  for (Index i = 0; i < block.count; ++i) {
    rows[i].undefined =
        IsUndefined(block.z[i], block.norms[i], factor.frobenius_norm, d);
    if (rows[i].undefined) continue;
    SetNormalizer(coefficient * block.z[i],
                  2 * block.exponents[i] + coefficient_exponent, &rows[i]);
  }
  ForEachProduct(head.keys, 0, head.keys.count(), block, d, stop, work,
                 [&](const ProductBlock& products) {
                   KeepHeavy(head, block, products, epsilon, rows);
                 });
  for (Index i = 0; i < block.count; ++i) {
    rows[i].captured_mass = std::min(1.0, rows[i].captured_mass);
  }
}

// body(h, g, first, work, rows) for each block of queries; `rows` are those of
// query head g.
using BlockBody = absl::FunctionRef<void(Index h, Index g, Index first,
                                         double* work, HeavyRow* rows)>;

absl::StatusOr<std::vector<HeavyRow>> ForEachQueryBlock(
    Index key_count, absl::Span<const AnyMatrixView> query_heads, Index scratch,
    const ComputeContext& context, BlockBody body) {
  const auto query_count = static_cast<Index>(query_heads.size());
  const Index m = Rows(query_heads.front());
  std::vector<HeavyRow> rows(At(query_count * m));
  const Index blocks = (m + kQueryBlock - 1) / kQueryBlock;
  ScratchPool pool(scratch);
  context.workers.ParallelFor(
      query_count * blocks, context.stop, [&](Index task) {
        const Index g = task / blocks;
        ScratchPool::Lease work = pool.Borrow();
        body(g * key_count / query_count, g, (task % blocks) * kQueryBlock,
             work.data(), rows.data() + g * m);
      });
  const absl::Status stopped = CheckStop(context.stop);
  if (!stopped.ok()) return stopped;
  return rows;
}

absl::StatusOr<std::vector<HeavyRow>> ScoreSquares(
    const std::vector<SquareHead>& heads,
    absl::Span<const AnyMatrixView> query_heads, double epsilon,
    const ComputeContext& context) {
  return ForEachQueryBlock(
      static_cast<Index>(heads.size()), query_heads,
      ScratchSize(Cols(query_heads.front())), context,
      [&](Index h, Index g, Index first, double* work, HeavyRow* rows) {
        ScoreQueries(heads[At(h)], query_heads[At(g)], first, epsilon,
                     context.stop, work, rows);
      });
}

absl::Status CheckQueries(absl::Span<const AnyMatrixView> query_heads,
                          const ComputeContext& context) {
  const Index m = Rows(query_heads.front());
  for (std::size_t g = 0; g < query_heads.size(); ++g) {
    const absl::Status finite = CheckFinite(query_heads[g], "queries", context,
                                            static_cast<Index>(g) * m);
    if (!finite.ok()) return finite;
  }
  return absl::OkStatus();
}

// Can the set answer these queries?
absl::Status CheckSet(const QueryableSet& set, const HeavyOptions& options) {
  const double least = set.set().effective_epsilon;
  if (options.epsilon < least) {
    return ErrorWithDetail(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("epsilon is ", options.epsilon,
                     "; this set answers for epsilon >= ", least,
                     ", its effective_epsilon"),
        {.reason = "EPSILON_BELOW_SET",
         .field = "epsilon",
         .metadata = {{"effective_epsilon", absl::StrCat(least)}}});
  }
  if (!options.causal) return absl::OkStatus();
  const Index last = set.data().last_index;
  for (std::size_t i = 0; i < options.positions.size(); ++i) {
    if (options.positions[i] >= last) continue;
    return ErrorWithDetail(
        absl::StatusCode::kFailedPrecondition,
        absl::StrCat("positions[", i, "] is ", options.positions[i],
                     "; a set holds the normaliser of all its keys only, that "
                     "is of positions >= ",
                     last),
        {.reason = "PREFIX_UNKNOWN",
         .field = absl::StrCat("positions[", i, "]"),
         .metadata = {}});
  }
  return absl::OkStatus();
}

// Softmax over the members alone: the heuristic, which promises no epsilon.
absl::StatusOr<std::vector<HeavyRow>> FindAmongMembers(
    absl::Span<const QueryableSet> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const absl::Status finite = CheckQueries(query_heads, context);
  if (!finite.ok()) return finite;
  const std::size_t group = query_heads.size() / key_heads.size();
  std::vector<HeavyRow> rows;
  for (std::size_t h = 0; h < key_heads.size(); ++h) {
    const QueryableSetData& set = key_heads[h].data();
    HeavyOptions of_set = options;
    of_set.function = set.function;
    auto part = FindHeavyScoresAmong(UnscaledKeys(set), set.indices,
                                     query_heads.subspan(h * group, group),
                                     of_set, context);
    if (!part.ok()) return part.status();
    std::move(part->begin(), part->end(), std::back_inserter(rows));
  }
  return rows;
}

// Does any query see less than all keys of a head?
bool SeesPrefixes(absl::Span<const AnyMatrixView> key_heads,
                  const HeavyOptions& options) {
  if (!options.causal) return false;
  Index longest = 0;
  for (const AnyMatrixView& keys : key_heads) {
    longest = std::max(longest, Rows(keys));
  }
  return std::any_of(options.positions.begin(), options.positions.end(),
                     [&](Index position) { return position < longest - 1; });
}

// Up to this many queries of one head, products with all keys are no dearer
// than its set: for p != 2 that takes some 16 factorisations and more, 2 n d^2
// flops each, and a query 2 n d.
double AllKeysQueries(Index d) { return 16.0 * static_cast<double>(d); }

absl::StatusOr<std::vector<HeavyRow>> FindHeavySquares(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  // No key outside the universal set can be heavy.
  absl::StatusOr<std::vector<InlineKeys>> keys = ForEachHead<InlineKeys>(
      static_cast<Index>(key_heads.size()), context,
      [&](Index h, const ComputeContext& quiet) -> absl::StatusOr<InlineKeys> {
        absl::StatusOr<FactoredKeys> factored =
            FactorKeys(key_heads[At(h)], RowsBefore(key_heads, h), quiet);
        if (!factored.ok()) return factored.status();
        UniversalSet set = SelectSet(
            *factored,
            {.epsilon = EpsilonOfMembers(factored->factor, options.epsilon)});
        factored->scores.tau = {};
        return InlineKeys{*std::move(factored), std::move(set.indices)};
      });
  if (!keys.ok()) return keys.status();
  std::vector<SquareHead> heads;
  for (std::size_t h = 0; h < keys->size(); ++h) {
    const InlineKeys& head = (*keys)[h];
    const Factor& factor = head.factored.factor;
    heads.push_back(
        {&factor,
         ScoredKeys(key_heads[h], factor.scales.exponents, &head.members),
         CoefficientOfSquare(options.function)});
  }
  return ScoreSquares(heads, query_heads, options.epsilon, context);
}

}  // namespace

absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const absl::Status finite = CheckQueries(query_heads, context);
  if (!finite.ok()) return finite;
  if (std::holds_alternative<Softmax>(options.function)) {
    return FindHeavySoftmaxScores(key_heads, query_heads, options, context);
  }
  const bool prefixes = SeesPrefixes(key_heads, options);
  if (IsSquare(options.function) && !prefixes) {
    return FindHeavySquares(key_heads, query_heads, options, context);
  }
  const auto queries_of_head = static_cast<double>(
      query_heads.size() / key_heads.size() * At(Rows(query_heads.front())));
  if (prefixes || queries_of_head <= AllKeysQueries(Cols(key_heads.front()))) {
    return FindHeavyByAllKeys(key_heads, query_heads, options, context);
  }
  const auto sets = FindQueryableSets(
      key_heads, {.epsilon = options.epsilon, .function = options.function},
      context);
  if (!sets.ok()) return sets.status();
  return FindHeavyScores(*sets, query_heads, options, context);
}

absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const QueryableSet> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  if (std::holds_alternative<Softmax>(key_heads.front().function())) {
    return FindAmongMembers(key_heads, query_heads, options, context);
  }
  std::vector<SquareHead> heads;
  for (const QueryableSet& set : key_heads) {
    const absl::Status answerable = CheckSet(set, options);
    if (!answerable.ok()) return answerable;
    heads.push_back({&set.data().factor, ScoredKeys(set.data()),
                     CoefficientOfSquare(set.function())});
  }
  const absl::Status finite = CheckQueries(query_heads, context);
  if (!finite.ok()) return finite;
  if (IsSquare(key_heads.front().function())) {
    return ScoreSquares(heads, query_heads, options.epsilon, context);
  }
  return ForEachQueryBlock(
      static_cast<Index>(key_heads.size()), query_heads,
      IntervalScratch(Cols(query_heads.front())), context,
      [&](Index h, Index g, Index first, double* work, HeavyRow* rows) {
        ScoreByInterval(key_heads[At(h)].data(), query_heads[At(g)], first,
                        options.epsilon, context.stop, work, rows);
      });
}

namespace {

// The rows of an answer. Scores of one query sum to 1, so that at most 1 /
// epsilon reach it (intervals: that many more by their widths, at most all that
// are looked at); vectors double as they grow.
double AnswerBytes(double queries, double keys, double epsilon,
                   bool intervals) {
  const double heavy = intervals ? keys : std::min(keys, 1.0 / epsilon + 1.0);
  return queries * (sizeof(HeavyRow) + 2.0 * heavy * (intervals ? 24.0 : 16.0));
}

}  // namespace

Cost CostOfHeavyScores(Index key_heads, Index n, Index d, Index query_heads,
                       Index m, double epsilon, int workers) {
  Cost cost = CostOfUniversalSet(key_heads, n, d, workers);
  const auto columns = static_cast<double>(d);
  const auto queries =
      static_cast<double>(query_heads) * static_cast<double>(m);
  const double members = std::min(static_cast<double>(n), columns / epsilon);
  cost.flops += 2.0 * queries * columns * (columns + members);
  cost.bytes += static_cast<double>(key_heads) * 3.0 * columns * columns *
                    sizeof(double) +
                static_cast<double>(ScratchSize(d)) * sizeof(double) *
                    static_cast<double>(workers) +
                AnswerBytes(queries, members, epsilon, false);
  return cost;
}

Cost CostOfHeavyScores(Index key_heads, Index n, Index d, Index query_heads,
                       Index m, const HeavyOptions& options, int workers) {
  if (IsSquare(options.function) && !options.causal) {
    return CostOfHeavyScores(key_heads, n, d, query_heads, m, options.epsilon,
                             workers);
  }
  if (std::holds_alternative<Softmax>(options.function)) {
    Cost softmax = CostOfSoftmaxIndex(key_heads, n, d, workers);
    softmax +=
        CostOfSoftmaxScores(n, d, query_heads, m, options.epsilon, workers);
    if (std::get<Softmax>(options.function).mode == SoftmaxMode::kCertified) {
      return softmax;
    }
    const UniversalSetOptions set{.epsilon = options.epsilon,
                                  .function = options.function};
    softmax += CostOfUniversalSet(key_heads, n, d, set, workers);
    softmax.bytes +=
        static_cast<double>(key_heads) * BytesOfQueryableSet(n, d, set);
    return softmax;
  }
  const double queries = static_cast<double>(query_heads * m);
  Cost cost = CostOfAllKeys(key_heads, n, d, query_heads, m, workers);
  cost.bytes +=
      AnswerBytes(queries, static_cast<double>(n), options.epsilon, false);
  const double of_head = queries / static_cast<double>(key_heads);
  if (options.causal || of_head <= AllKeysQueries(d)) return cost;
  // Sets first; no dearer than the products would have been.
  const UniversalSetOptions set{.epsilon = options.epsilon,
                                .function = options.function};
  const double stored = BytesOfQueryableSet(n, d, set);
  cost += CostOfUniversalSet(key_heads, n, d, set, workers);
  cost.bytes += static_cast<double>(key_heads) * stored +
                8.0 * static_cast<double>(IntervalScratch(d) * workers) +
                AnswerBytes(queries, stored / (8.0 * static_cast<double>(d)),
                            options.epsilon, true);
  return cost;
}

Cost CostOfHeavyScores(absl::Span<const QueryableSet> key_heads,
                       Index query_heads, Index m, const HeavyOptions& options,
                       int workers) {
  double stored = 0.0;
  double columns = 1.0;
  for (const QueryableSet& set : key_heads) {
    stored = std::max(stored, static_cast<double>(set.data().indices.size()));
    columns = static_cast<double>(set.columns());
  }
  const bool square =
      key_heads.empty() || IsSquare(key_heads.front().function());
  const auto d = static_cast<Index>(columns);
  const auto queries =
      static_cast<double>(query_heads) * static_cast<double>(m);
  const auto scratch =
      static_cast<double>(square ? ScratchSize(d) : IntervalScratch(d));
  // Beside the scratch, a block of queries keeps functions and intervals.
  const double kept = square ? 0.0 : static_cast<double>(kQueryBlock) * 1024.0;
  return {.flops = 2.0 * queries * columns *
                   (columns + (square ? 1.0 : 2.0) * stored),
          .bytes = (8.0 * scratch + kept) * static_cast<double>(workers) +
                   AnswerBytes(queries, stored, options.epsilon, !square) +
                   65536.0};
}

}  // namespace steelyard
