// How the sum of a Gram is cut, and the slots that it is summed in.
#pragma once

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "factor/strip_kernels.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Columns of a tile, whole strips.
inline constexpr Index kGramTile = 512;

// By n and d alone.
struct GramCut {
  Index n;
  Index d;
  Index panel_rows;
  Index panels;
  Index slots;
  Index tiles;  // along one side
  Index order;  // d, filled up to whole strips

  GramCut(Index rows, Index cols);

  Index TilePairs() const { return tiles * (tiles + 1) / 2; }
  Index TileSize(Index i) const {
    return std::min(kGramTile, d - i * kGramTile);
  }
  Index PanelBegin(Index slot) const { return panels * slot / slots; }
};

// Pair p of the tiles (i <= j), row by row.
std::pair<Index, Index> TilePair(Index p, Index tiles);

// hi + lo, for each slot order x order.
struct CompensatedSlots {
  Matrix<double> hi;
  Matrix<double> lo;

  explicit CompensatedSlots(const GramCut& cut)
      : hi(cut.slots * cut.order, cut.order),
        lo(cut.slots * cut.order, cut.order) {}
};

// Tile (i, j) of a slot, whole strips.
struct SlotTile {
  Block<double> hi;
  Block<double> lo;
};
SlotTile TileOfSlot(const GramCut& cut, Index slot, Index i, Index j,
                    CompensatedSlots& slots);

// Upper triangle of the sum of all slots, d x d, by a binary tree; zeros below.
// ERRORS  Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<Matrix<double>> SumOfSlots(const GramCut& cut,
                                          CompensatedSlots& slots,
                                          const ComputeContext& context);

}  // namespace steelyard
