// A set that the server keeps, in use by a request.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/convert/query_rows.h"
#include "server/sets/set_registry.h"
#include "server/sets/stored_set.h"

namespace steelyard::server {

// As long as it lives the set neither expires nor goes when its name is
// deleted.
struct UsedSet {
  std::shared_ptr<StoredSet> set;
  SetFacts facts;
};

// Beside what queries of it cost: reading it.
Cost CostOfReading(const std::optional<UsedSet>& used);

// Unset for an unset id. ERRORS  NotFound.
absl::StatusOr<std::optional<UsedSet>> UseSet(
    SetRegistry& registry, const std::optional<std::string>& id);

// For converters: null where no set is used.
inline const SetFacts* FactsOf(const std::optional<UsedSet>& used) {
  return used.has_value() ? &used->facts : nullptr;
}

}  // namespace steelyard::server
