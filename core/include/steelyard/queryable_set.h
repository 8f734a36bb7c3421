// A universal set with everything that queries need once the keys are gone:
// the members' keys and what gives the normaliser Z.
//
// SOURCE  NUMERICS N8.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/universal_set.h"

namespace steelyard {

struct QueryableSetData;  // core/src/queries/queryable_set_data.h

// Immutable; copies share. One key head.
class QueryableSet {
 public:
  explicit QueryableSet(std::shared_ptr<const QueryableSetData> data)
      : data_(std::move(data)) {}

  const UniversalSet& set() const;
  const ScoreFunction& function() const;
  bool causal() const;
  Index columns() const;
  // Held in memory.
  double bytes() const;

  const QueryableSetData& data() const { return *data_; }

 private:
  std::shared_ptr<const QueryableSetData> data_;
};

// FindUniversalSets, and keeps what queries need. p = 2: same errors and cost,
// one factorisation. Other functions: one more factorisation, 2 n d^2 flops;
// p = 4, d <= 32: n d^4 / 4 flops for the moments that make Z exact.
// `options.selection` is a matter of speed here, but for JL.
//
// Rank < d: set().effective_epsilon is that of queries, which near the null
// space weigh rounding errors of keys, and may exceed that of FindUniversalSets
// (never epsilon, unless top_m is set).
absl::StatusOr<std::vector<QueryableSet>> FindQueryableSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context);

// Bytes that one head's QueryableSet holds at most, for n keys. p = 2 with
// epsilon: from |U| <= d / epsilon, which keys near dependence (delta > 0.004,
// kappa beyond some 1e10) may exceed; bytes() tells.
double BytesOfQueryableSet(Index n, Index d,
                           const UniversalSetOptions& options);

}  // namespace steelyard
