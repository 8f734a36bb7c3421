#include "server/convert/local_keys.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

absl::Status CheckAtLeast(std::int64_t least, std::int64_t value,
                          const std::string& field) {
  if (value >= least) return absl::OkStatus();
  return OutOfRangeError(field, absl::StrCat(value),
                         absl::StrCat("it must be >= ", least));
}

absl::Status GridFromProto(const v1::Grid& grid, Index fewest, LocalGrid* out) {
  for (const absl::Status& checked :
       {CheckAtLeast(1, grid.height(), "grid.height"),
        CheckAtLeast(1, grid.width(), "grid.width"),
        CheckAtLeast(0, grid.radius(), "grid.radius"),
        CheckAtLeast(0, grid.first(), "grid.first")}) {
    if (!checked.ok()) return checked;
  }
  std::int64_t cells = 0;
  std::int64_t end = 0;
  if (__builtin_mul_overflow(grid.height(), grid.width(), &cells) ||
      __builtin_add_overflow(grid.first(), cells, &end)) {
    return ShapeOverflowError(
        "grid",
        absl::StrCat("has ", grid.height(), " x ", grid.width(),
                     " cells from key ", grid.first()),
        "the index of its last cell must be below 2^63");
  }
  if (end > fewest) {
    return OutOfRangeError(
        "grid.height", absl::StrCat(grid.height()),
        absl::StrCat("with width ", grid.width(), " and first ", grid.first(),
                     " the last cell is key ", end - 1, ", and there are ",
                     fewest, " keys"));
  }
  // No two cells are further apart than this.
  const std::int64_t diameter = grid.height() + grid.width() - 2;
  *out = {.height = grid.height(),
          .width = grid.width(),
          .radius = std::min(grid.radius(), diameter),
          .first = grid.first()};
  return absl::OkStatus();
}

}  // namespace

absl::Status LocalKeysFromProto(const v1::AttendRequest& request, Index fewest,
                                Index n, AttendOptions* options) {
  switch (request.local_case()) {
    case v1::AttendRequest::kWindow: {
      const absl::Status checked = CheckAtLeast(0, request.window(), "window");
      if (checked.ok()) options->window = std::min(request.window(), n);
      return checked;
    }
    case v1::AttendRequest::kGrid: {
      LocalGrid grid;
      const absl::Status checked = GridFromProto(request.grid(), fewest, &grid);
      if (checked.ok()) options->grid = grid;
      return checked;
    }
    case v1::AttendRequest::LOCAL_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

}  // namespace steelyard::server
