// Heavy scores by looking at every key: two passes of products over the keys,
// exact for every sum of powers and every prefix.
//
// METHOD  Pass 1: Z of each query over the keys it sees, and the largest
//   product of each block of keys. Pass 2: only the blocks whose largest
//   product can reach epsilon Z. Keys are cut into slots by n alone, slots are
//   merged in order: same bits for any number of workers.
//
// SOURCE  NUMERICS N8.
#pragma once

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "factor/factor.h"
#include "queries/score_terms.h"
#include "queries/scored_keys.h"
#include "steelyard/heavy_scores.h"

namespace steelyard {

// How many keys query i of a head sees: positions[i] + 1, at most n; without
// positions all n.
class Visibility {
 public:
  Visibility(Index n, const std::vector<Index>* positions)
      : n_(n), positions_(positions) {}

  Index Of(Index query) const {
    if (positions_ == nullptr) return n_;
    return std::min(n_, (*positions_)[static_cast<std::size_t>(query)] + 1);
  }
  // By any query of the block.
  Index OfBlock(const QueryBlock& block) const;

 private:
  Index n_;
  const std::vector<Index>* positions_;
};

// Slots of keys that are summed side by side, and their size, a multiple of
// kKeyBlock: by n alone.
struct KeySlots {
  explicit KeySlots(Index n);
  Index count;
  Index size;
};

// sums[i] += of query i of the block over the keys [first, last) that it sees.
// bounds: unset, or kQueryBlock numbers for each block of keys: no product of
// the query there exceeds it, rounding included.
// COST  2 d flops a product.
void SumVisible(const std::vector<PowerTerm>& terms, const ScoredKeys& keys,
                Index first, Index last, const QueryBlock& block, Index d,
                const Visibility& visibility, const StopToken& stop,
                double* work, PowerSums* sums, double* bounds);

// FindHeavyScores of inline keys for Power and PowerSum.
// COST  2 n d flops a query, and again where its heavy keys are; memory 2 n
//       bytes and a little for each of 16 blocks of 64 queries.
// ERRORS  as FindHeavyScores; queries are checked by the caller.
absl::StatusOr<std::vector<HeavyRow>> FindHeavyByAllKeys(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context);

Cost CostOfAllKeys(Index key_heads, Index n, Index d, Index query_heads,
                   Index m, int workers);

}  // namespace steelyard
