// Lists in pages: where a page begins, and how long it may be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace steelyard::server {

struct PageRequest {
  std::string after;  // id of the entry before it; empty: the first page
  std::size_t size = 0;
};

// ERRORS  FIELD_OUT_OF_RANGE: page_size outside [0, 1000], a page_token that is
//         not one of ours.
absl::StatusOr<PageRequest> PageRequestOf(std::int32_t page_size,
                                          const std::string& page_token);

// next_page_token of a page whose last entry has this id.
std::string PageTokenOf(const std::string& id);

}  // namespace steelyard::server
