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

// FindUniversalSets, and keeps what queries need. Same errors and cost.
absl::StatusOr<std::vector<QueryableSet>> FindQueryableSets(
    absl::Span<const AnyMatrixView> heads, const UniversalSetOptions& options,
    const ComputeContext& context);

// Bytes that one head's QueryableSet holds at most, for n keys.
double BytesOfQueryableSet(Index n, Index d, const UniversalSetOptions& options);

}  // namespace steelyard
