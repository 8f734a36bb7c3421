#include "client/analyze/neighbourhood.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace steelyard::analyze {
namespace {

std::vector<int64_t> Range(int64_t first, int64_t last) {
  std::vector<int64_t> keys;
  for (int64_t key = first; key <= last; ++key) keys.push_back(key);
  return keys;
}

std::vector<int64_t> CellsNear(const PatchGrid& grid, int64_t position,
                               int64_t keys) {
  const int64_t cell = position - grid.first;
  if (cell < 0 || cell >= grid.height * grid.width) return {};
  const int64_t row = cell / grid.width;
  const int64_t column = cell % grid.width;
  std::vector<int64_t> near;
  const int64_t top = std::max<int64_t>(0, row - grid.radius);
  const int64_t bottom = std::min(grid.height - 1, row + grid.radius);
  for (int64_t r = top; r <= bottom; ++r) {
    const int64_t reach = grid.radius - std::abs(r - row);
    const int64_t left = std::max<int64_t>(0, column - reach);
    const int64_t right = std::min(grid.width - 1, column + reach);
    for (int64_t c = left; c <= right; ++c) {
      const int64_t key = grid.first + r * grid.width + c;
      if (key < keys) near.push_back(key);
    }
  }
  return near;
}

}  // namespace

std::vector<int64_t> KeysNear(const Neighbourhood& neighbourhood,
                              int64_t position, int64_t keys) {
  if (const auto* grid = std::get_if<PatchGrid>(&neighbourhood)) {
    return CellsNear(*grid, position, keys);
  }
  const int64_t radius = std::get<Window>(neighbourhood).radius;
  return Range(std::max<int64_t>(0, position - radius),
               std::min(keys - 1, position + radius));
}

std::string DescriptionOf(const Neighbourhood& neighbourhood) {
  if (const auto* grid = std::get_if<PatchGrid>(&neighbourhood)) {
    return absl::StrCat("within Manhattan distance ", grid->radius, " on a ",
                        grid->height, " x ", grid->width, " grid from key ",
                        grid->first);
  }
  const int64_t radius = std::get<Window>(neighbourhood).radius;
  return absl::StrCat("within ", radius,
                      radius == 1 ? " position" : " positions");
}

}  // namespace steelyard::analyze
