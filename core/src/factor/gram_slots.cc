#include "factor/gram_slots.h"

#include "factor/gram.h"
#include "factor/row_kernels.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kWidth = kStripColumns<double>;
constexpr Index kMostSlots = 64;
// Fewer would make adding up the slots cost as much as filling them.
constexpr Index kPanelsPerSlot = 8;
// Long enough that adding a product to its slot is cheap beside making it; two
// panels of kGramTile columns fit a second-level cache of 1 MiB.
constexpr Index kPanelRows = 256;
// Of all slots together.
constexpr Index kSlotEntries = Index{1} << 22;

// Rows [first, first + count) of all slots into slot 0, by a binary tree.
void AddSlots(const GramCut& cut, Index first, Index count,
              CompensatedSlots& slots) {
  const Block<double> hi = BlockOf(slots.hi);
  const Block<double> lo = BlockOf(slots.lo);
  for (Index step = 1; step < cut.slots; step *= 2) {
    for (Index s = 0; s + step < cut.slots; s += 2 * step) {
      const Index to = s * cut.order + first;
      const Index from = (s + step) * cut.order + first;
      const Block<double> to_hi = hi.Part(to, 0, count, cut.order);
      const Block<double> to_lo = lo.Part(to, 0, count, cut.order);
      AddCompensated(hi.Part(from, 0, count, cut.order), to_hi, to_lo);
      AddCompensated(lo.Part(from, 0, count, cut.order), to_hi, to_lo);
    }
  }
}

}  // namespace

Index GramPanelRows(Index n) { return std::min(n, kPanelRows); }

GramCut::GramCut(Index rows, Index cols)
    : n(rows),
      d(cols),
      panel_rows(GramPanelRows(rows)),
      panels((n + panel_rows - 1) / panel_rows),
      slots(std::clamp<Index>(
          std::min(kSlotEntries / (d * d), panels / kPanelsPerSlot), 1,
          kMostSlots)),
      tiles((d + kGramTile - 1) / kGramTile),
      order(StripsFor<double>(d) * kWidth) {}

std::pair<Index, Index> TilePair(Index p, Index tiles) {
  Index i = 0;
  while (p >= tiles - i) {
    p -= tiles - i;
    ++i;
  }
  return {i, i + p};
}

SlotTile TileOfSlot(const GramCut& cut, Index slot, Index i, Index j,
                    CompensatedSlots& slots) {
  const Index row = slot * cut.order + i * kGramTile;
  const Index rows = StripsFor<double>(cut.TileSize(i)) * kWidth;
  const Index cols = StripsFor<double>(cut.TileSize(j)) * kWidth;
  return {BlockOf(slots.hi).Part(row, j * kGramTile, rows, cols),
          BlockOf(slots.lo).Part(row, j * kGramTile, rows, cols)};
}

absl::StatusOr<Matrix<double>> SumOfSlots(const GramCut& cut,
                                          CompensatedSlots& slots,
                                          const ComputeContext& context) {
  Matrix<double> gram(cut.d, cut.d);
  context.workers.ParallelFor(cut.tiles, context.stop, [&](Index t) {
    const Index first = t * kGramTile;
    AddSlots(cut, first, cut.TileSize(t), slots);
    for (Index i = first; i < first + cut.TileSize(t); ++i) {
      for (Index j = i; j < cut.d; ++j) {
        gram(i, j) = slots.hi(i, j) + slots.lo(i, j);
      }
    }
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return gram;
}

}  // namespace steelyard
