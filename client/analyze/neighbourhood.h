// Which keys are near a query: a window of positions, or Manhattan distance on
// a grid of patches.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace steelyard::analyze {

// Keys with |position - key| <= radius.
struct Window {
  int64_t radius = 3;
};

// Keys first, first + 1, ... are the cells of a height x width grid, row by
// row; near is a Manhattan distance <= radius. Keys off the grid (a class token
// before it) are near nothing.
struct PatchGrid {
  int64_t height = 1;
  int64_t width = 1;
  int64_t first = 0;
  int64_t radius = 3;
};

using Neighbourhood = std::variant<Window, PatchGrid>;

// The keys of 0..keys-1 near `position`, ascending. Empty for a position that
// is off the grid.
std::vector<int64_t> KeysNear(const Neighbourhood& neighbourhood,
                              int64_t position, int64_t keys);

// "within 3 positions", "within Manhattan distance 3 on a 14 x 14 grid".
std::string DescriptionOf(const Neighbourhood& neighbourhood);

}  // namespace steelyard::analyze
