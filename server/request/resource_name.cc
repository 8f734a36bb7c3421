#include "server/request/resource_name.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr char kRule[] = "[a-z][a-z0-9-]{0,62}";
constexpr std::size_t kIdMax = 63;
// Of a wrong name, in the error that quotes it.
constexpr std::size_t kQuotedMax = 80;

bool IsId(std::string_view id) {
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

std::string MatrixName(const std::string& id) {
  return std::string(kMatrixCollection) + "/" + id;
}

absl::Status CheckResourceId(const std::string& id, const std::string& field) {
  if (IsId(id)) return absl::OkStatus();
  return OutOfRangeError(field, Quoted(id), absl::StrCat("it must be ", kRule));
}

absl::StatusOr<std::string> ResourceIdOf(std::string_view collection,
                                         const std::string& name,
                                         const std::string& field) {
  const std::string prefix = std::string(collection) + "/";
  const std::string rule = absl::StrCat(prefix, "{id}, id ", kRule);
  if (name.empty()) return FieldRequiredError(field, rule);
  if (name.compare(0, prefix.size(), prefix) != 0 ||
      !IsId(std::string_view(name).substr(prefix.size()))) {
    return OutOfRangeError(field, Quoted(name), "it must be " + rule);
  }
  return name.substr(prefix.size());
}

}  // namespace steelyard::server
