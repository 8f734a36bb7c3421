// Every softmax score >= epsilon of given queries, proven, without looking at
// every key.
//
//     A_ij = exp(scale <q_i, k_j>) / Z_i,   Z_i = sum_l exp(scale <q_i, k_l>).
//
//   No set of keys that is independent of n holds every such key (each exposed
//   vertex of the keys' hull reaches score 1), so the keys themselves are kept,
//   in pages of keys that lie close together.
//
// METHOD  For a page P with mean c, radius r and coordinate ranges [lo, hi]
//       max_P <q, k> <= min(sum_c max(q_c lo_c, q_c hi_c), <q, c> + ||q|| r),
//       sum_P exp <q, k> >= |P| exp <q, c>            (exp is convex),
//   all rounded outward. The second line bounds Z from below before any key is
//   looked at; pages whose bound lies below it times epsilon are never opened.
//   Pages that are opened raise the lower end of Z and so close others. Then
//   some more are opened while keys are undecided and it is cheap: all of them,
//   once most are. Everything is in logarithms: no logit overflows.
//   Cost depends on the data: clustered keys open few pages, unstructured keys
//   all of them, at about the cost of scoring every key.
//
// SOURCE  NUMERICS N7. The bound of Z from below is Jensen's inequality.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

struct SoftmaxPages;  // core/src/softmax/softmax_pages.h

// One key head, ready for queries. Immutable; copies share. Owns its copy of
// the keys: float32 for keys of at most 32 bits, else float64.
class SoftmaxIndex {
 public:
  explicit SoftmaxIndex(std::shared_ptr<const SoftmaxPages> pages)
      : pages_(std::move(pages)) {}

  Index keys() const;     // n
  Index columns() const;  // d
  double bytes() const;   // held in memory

  const SoftmaxPages& pages() const { return *pages_; }

 private:
  std::shared_ptr<const SoftmaxPages> pages_;
};

struct SoftmaxIndexOptions {
  // Queries will be causal: pages hold keys of neighbouring positions.
  bool causal = false;
  // About how many queries will be asked of a key head. Few: keys stay in their
  // order, as finding pages costs as much as scoring some 30 queries.
  Index expected_queries = 1 << 20;
};

// SHAPES   keys: n x d a head; heads may differ in length.
// SCALARS  half, bfloat16, float, double.
// COST     about 60 n d flops a head; memory: CostOfSoftmaxIndex.
// RANDOM   none.
// ERRORS   InvalidArgument: a NaN or infinity (field "keys").
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<std::vector<SoftmaxIndex>> BuildSoftmaxIndexes(
    absl::Span<const AnyMatrixView> heads, const SoftmaxIndexOptions& options,
    const ComputeContext& context);

// SHAPES   as FindHeavyScores of heavy_scores.h. options.function must be
//          Softmax; its mode does not matter here.
// RESULT   `normalizer` is the lower end of Z; `captured_mass` the lower end of
//          the share. `scores` and `scores_upper` are the ends of proven
//          intervals, and a key is returned iff its upper end reaches epsilon:
//          where only the upper end does, the key is undecided. scores_upper is
//          empty when all keys that the query sees were looked at and rounding
//          is below 2^-30 of the scores. `undefined`: the query sees no key.
// COST     3 d flops a page of 32 keys, 2 d + an exponential a key looked at.
// ERRORS   InvalidArgument: a NaN or infinity (field "queries").
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const SoftmaxIndex> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

// Of BuildSoftmaxIndexes, the indexes included.
Cost CostOfSoftmaxIndex(Index heads, Index n, Index d, int workers);

// Of FindHeavyScores with key heads already indexed, at the worst.
Cost CostOfSoftmaxScores(Index n, Index d, Index query_heads, Index m,
                         double epsilon, int workers);

}  // namespace steelyard
