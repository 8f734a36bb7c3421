#include "server/sets/set_name.h"

#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "server/request/resource_name.h"

namespace steelyard::server {
namespace {

constexpr char kCollection[] = "universalSets";

}  // namespace

std::string SetName(std::string_view id) {
  return std::string(kCollection) + "/" + std::string(id);
}

absl::Status CheckSetId(const std::string& id, const std::string& field) {
  return CheckResourceId(id, field);
}

absl::StatusOr<std::string> SetIdOf(const std::string& name,
                                    const std::string& field) {
  return ResourceIdOf(kCollection, name, field);
}

std::string NewSetId() {
  thread_local absl::BitGen bits;
  return absl::StrCat(
      "set-", absl::Hex(absl::Uniform<std::uint64_t>(bits), absl::kZeroPad16));
}

}  // namespace steelyard::server
