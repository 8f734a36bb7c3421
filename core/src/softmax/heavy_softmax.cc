#include "softmax/heavy_softmax.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "factor/factor.h"
#include "softmax/softmax_pages.h"
#include "steelyard/softmax_index.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

// Pages of float64 keys; there may be none.
absl::StatusOr<SoftmaxIndex> IndexAmong(const Matrix<double>& keys,
                                        absl::Span<const Index> indices,
                                        const SoftmaxIndexOptions& options,
                                        const ComputeContext& context) {
  SoftmaxPages pages;
  pages.columns = keys.cols();
  if (keys.rows() > 0) {
    absl::StatusOr<SoftmaxPages> made =
        MakeSoftmaxPages(keys.view(), indices, options, context);
    if (!made.ok()) return made.status();
    pages = *std::move(made);
  }
  return SoftmaxIndex(std::make_shared<const SoftmaxPages>(std::move(pages)));
}

// Pages of the given rows of `keys` alone.
absl::StatusOr<SoftmaxIndex> IndexOf(const AnyMatrixView& keys,
                                     const std::vector<Index>& rows,
                                     const SoftmaxIndexOptions& options,
                                     const ComputeContext& context) {
  const Index d = Cols(keys);
  auto members = Matrix<double>::Unset(static_cast<Index>(rows.size()), d);
  for (Index u = 0; u < members.rows(); ++u) {
    LoadScaledRows(keys, rows[static_cast<std::size_t>(u)], 1, {},
                   members.row(u));
  }
  return IndexAmong(members, rows, options, context);
}

absl::StatusOr<std::vector<SoftmaxIndex>> HeuristicIndexes(
    absl::Span<const AnyMatrixView> key_heads, const HeavyOptions& options,
    const SoftmaxIndexOptions& index_options, const ComputeContext& context) {
  // Causal queries look at the same set, as far as they see it.
  const UniversalSetOptions set_options{.epsilon = options.epsilon,
                                        .top_m = std::nullopt,
                                        .function = options.function,
                                        .ridge = std::nullopt};
  absl::StatusOr<std::vector<UniversalSet>> sets =
      FindUniversalSets(key_heads, set_options, context);
  if (!sets.ok()) return sets.status();
  return ForEachHead<SoftmaxIndex>(
      static_cast<Index>(key_heads.size()), context,
      [&](Index h, const ComputeContext& quiet) {
        const auto at = static_cast<std::size_t>(h);
        return IndexOf(key_heads[at], (*sets)[at].indices, index_options,
                       quiet);
      });
}

}  // namespace

absl::StatusOr<std::vector<HeavyRow>> FindHeavySoftmaxScores(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const auto groups = static_cast<Index>(query_heads.size() / key_heads.size());
  const SoftmaxIndexOptions index_options{
      .causal = options.causal,
      .expected_queries = groups * Rows(query_heads.front())};
  const auto& softmax = std::get<Softmax>(options.function);
  absl::StatusOr<std::vector<SoftmaxIndex>> indexes =
      softmax.mode == SoftmaxMode::kHeuristic
          ? HeuristicIndexes(key_heads, options, index_options, context)
          : BuildSoftmaxIndexes(key_heads, index_options, context);
  if (!indexes.ok()) return indexes.status();
  return FindHeavyScores(*indexes, query_heads, options, context);
}

absl::StatusOr<std::vector<HeavyRow>> FindHeavyScoresAmong(
    const Matrix<double>& keys, absl::Span<const Index> indices,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const SoftmaxIndexOptions index_options{
      .causal = options.causal,
      .expected_queries =
          static_cast<Index>(query_heads.size()) * Rows(query_heads.front())};
  absl::StatusOr<SoftmaxIndex> index =
      IndexAmong(keys, indices, index_options, context);
  if (!index.ok()) return index.status();
  return FindHeavyScores({*index}, query_heads, options, context);
}

}  // namespace steelyard
