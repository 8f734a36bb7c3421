#include "server/convert/page.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/checksum/crc32c.h"
#include "server/errors/errors.h"
#include "server/request/resource_name.h"

namespace steelyard::server {
namespace {

constexpr std::int32_t kPageSizeDefault = 100;
constexpr std::int32_t kPageSizeMax = 1000;

}  // namespace

// The last id of the page before and a checksum, so that a text that nobody was
// given is told from one that was.
std::string PageTokenOf(const std::string& id) {
  return absl::StrCat(id, ".", absl::Hex(Crc32c(id), absl::kZeroPad8));
}

absl::StatusOr<PageRequest> PageRequestOf(std::int32_t page_size,
                                          const std::string& page_token) {
  if (page_size < 0 || page_size > kPageSizeMax) {
    return OutOfRangeError("page_size", absl::StrCat(page_size),
                           absl::StrCat("it must be in [0, ", kPageSizeMax,
                                        "]; 0 means ", kPageSizeDefault));
  }
  PageRequest page;
  page.size =
      static_cast<std::size_t>(page_size == 0 ? kPageSizeDefault : page_size);
  if (page_token.empty()) return page;
  page.after = page_token.substr(0, page_token.find('.'));
  if (!CheckResourceId(page.after, "page_token").ok() ||
      page_token != PageTokenOf(page.after)) {
    return OutOfRangeError("page_token", "not one that this server gave",
                           "it must be the next_page_token of the page before");
  }
  return page;
}

}  // namespace steelyard::server
