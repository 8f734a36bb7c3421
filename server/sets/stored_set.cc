#include "server/sets/stored_set.h"

namespace steelyard::server {

absl::StatusOr<std::vector<UniversalSet>> FoundSet::Sets(
    const ComputeContext&) {
  std::vector<UniversalSet> sets;
  sets.reserve(heads_.size());
  for (const QueryableSet& head : heads_) sets.push_back(head.set());
  return sets;
}

Cost FoundSet::cost() const {
  Cost cost;
  // A copy of the lists of every head.
  for (const QueryableSet& head : heads_) cost.bytes += head.bytes();
  return cost;
}

}  // namespace steelyard::server
