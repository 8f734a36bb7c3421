#include "server/sets/set_name.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr char kPrefix[] = "universalSets/";
constexpr std::size_t kIdMax = 63;
// Of a wrong name, in the error that quotes it.
constexpr std::size_t kQuotedMax = 80;

bool IsSetId(std::string_view id) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !id.empty() && id.size() <= kIdMax && lower(id.front()) &&
         std::all_of(id.begin(), id.end(),
                     [&](char c) { return lower(c) || digit(c) || c == '-'; });
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", text.substr(0, kQuotedMax),
                      text.size() > kQuotedMax ? "..." : "", "'");
}

}  // namespace

std::string SetName(std::string_view id) { return kPrefix + std::string(id); }

absl::Status CheckSetId(const std::string& id, const std::string& field) {
  if (IsSetId(id)) return absl::OkStatus();
  return OutOfRangeError(field, Quoted(id), "it must be [a-z][a-z0-9-]{0,62}");
}

absl::StatusOr<std::string> SetIdOf(const std::string& name,
                                    const std::string& field) {
  const std::string rule = "universalSets/{id}, id [a-z][a-z0-9-]{0,62}";
  if (name.empty()) return FieldRequiredError(field, rule);
  absl::string_view id = name;
  if (!absl::ConsumePrefix(&id, kPrefix) ||
      !IsSetId(std::string_view(id.data(), id.size()))) {
    return OutOfRangeError(field, Quoted(name), "it must be " + rule);
  }
  return std::string(id);
}

std::string NewSetId() {
  thread_local absl::BitGen bits;
  return absl::StrCat(
      "set-", absl::Hex(absl::Uniform<std::uint64_t>(bits), absl::kZeroPad16));
}

}  // namespace steelyard::server
