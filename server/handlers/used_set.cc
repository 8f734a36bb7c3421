#include "server/handlers/used_set.h"

#include <utility>

namespace steelyard::server {

absl::StatusOr<std::optional<UsedSet>> UseSet(
    SetRegistry& registry, const std::optional<std::string>& id) {
  if (!id.has_value()) return std::optional<UsedSet>();
  absl::StatusOr<std::shared_ptr<StoredSet>> set = registry.Find(*id);
  if (!set.ok()) return set.status();
  const SetDescription& description = (*set)->description();
  UsedSet used{.set = *std::move(set), .facts = {}};
  used.facts = {.heads = description.heads,
                .columns = description.columns,
                .function = description.function,
                .causal = description.causal,
                .members = 0.0};
  // Deleted meanwhile: the set is here, and its size is a guess of none.
  const absl::StatusOr<SetInfo> info = registry.Get(*id);
  if (info.ok()) {
    // Each member is a row of float64.
    used.facts.members = static_cast<double>(info->bytes) /
                         (8.0 * static_cast<double>(description.columns));
  }
  return std::optional<UsedSet>(std::move(used));
}

Cost CostOfReading(const std::optional<UsedSet>& used) {
  return used.has_value() ? used->set->cost() : Cost{};
}

}  // namespace steelyard::server
