#include "factor/whitened_gram.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "factor/gram.h"
#include "factor/gram_slots.h"
#include "factor/strip_kernels.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kWidth = kStripColumns<double>;

// Rows that are multiplied at a time: with the product of a whole panel they
// fit a second-level cache of 1 MiB at d = 256.
constexpr Index kRows = 128;

AlignedVector<double> RoomForStrips(Index rows, Index cols) {
  return AlignedVector<double>(static_cast<std::size_t>(
      StripSize<double>(StripRows(rows), StripsFor<double>(cols))));
}

// Columns [first, first + count), whole strips.
StripBlock<const double> ColumnsOf(StripBlock<const double> block, Index first,
                                   Index count) {
  return {block.strip(first / kWidth), block.rows, StripsFor<double>(count)};
}

// One slot: panel after panel. Wide matrices: the tiles of a panel side by
// side.
class SlotSum {
 public:
  SlotSum(const RowLoader& a, const GramCut& cut,
          StripBlock<const double> inverse, const ComputeContext& context)
      : a_(a),
        cut_(cut),
        inverse_(inverse),
        context_(context),
        k_(RoomForStrips(kRows, cut.d)),
        x_(RoomForStrips(cut.panel_rows, cut.d)) {}

  void Add(Index slot, CompensatedSlots& slots) {
    const Index begin = cut_.PanelBegin(slot);
    for (Index p = begin; p < cut_.PanelBegin(slot + 1); ++p) {
      if (p != begin && context_.stop.stop_requested()) return;
      const Index first = p * cut_.panel_rows;
      const Index rows = std::min(cut_.panel_rows, cut_.n - first);
      const StripBlock<double> x{x_.data(), StripRows(rows), inverse_.strips};
      Multiply(first, rows, x);
      ForTiles(cut_.TilePairs(), [&](Index pair) {
        const auto [i, j] = TilePair(pair, cut_.tiles);
        const SlotTile sums = TileOfSlot(cut_, slot, i, j, slots);
        AddGram(ColumnsOf(x, i * kGramTile, cut_.TileSize(i)),
                ColumnsOf(x, j * kGramTile, cut_.TileSize(j)), i == j, sums.hi,
                sums.lo);
      });
    }
  }

 private:
  // X := rows [first, first + rows) of A S.
  void Multiply(Index first, Index rows, StripBlock<double> x) {
    for (Index done = 0; done < rows; done += kRows) {
      const Index count = std::min(kRows, rows - done);
      const StripBlock<double> k{k_.data(), StripRows(count), x.strips};
      a_.LoadStrips(first + done, 0, count, cut_.d, k);
      const ReadNext next = cut_.tiles == 1
                                ? a_.RowsToRead(first + done + count, kRows)
                                : ReadNext{};
      ForTiles(cut_.tiles, [&](Index tile) {
        const Index from = tile * kGramTile / kWidth;
        MultiplyStrips(k, inverse_, from,
                       from + StripsFor<double>(cut_.TileSize(tile)),
                       {x.data + done * kWidth, x.rows, x.strips}, next);
      });
    }
  }

  template <typename Body>
  void ForTiles(Index count, const Body& body) const {
    if (count == 1) return body(0);
    context_.workers.ParallelFor(count, context_.stop, body);
  }

  const RowLoader& a_;
  const GramCut& cut_;
  StripBlock<const double> inverse_;
  const ComputeContext& context_;
  AlignedVector<double> k_;
  AlignedVector<double> x_;
};

}  // namespace

absl::StatusOr<Matrix<double>> WhitenedGram(const RowLoader& a,
                                            const Matrix<double>& inverse,
                                            const ComputeContext& context) {
  const GramCut cut(a.rows(), a.cols());
  const Index strips = StripsFor<double>(cut.d);
  AlignedVector<double> numbers = RoomForStrips(strips * kWidth, cut.d);
  const StripBlock<double> packed{numbers.data(), strips * kWidth, strips};
  const std::vector<double> ones(static_cast<std::size_t>(cut.d), 1.0);
  PackStrips(inverse.data(), cut.d, ones.data(), cut.d, cut.d, packed);
  CompensatedSlots slots(cut);
  context.workers.ParallelFor(cut.slots, context.stop, [&](Index slot) {
    SlotSum(a, cut, packed, context).Add(slot, slots);
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return SumOfSlots(cut, slots, context);
}

Cost CostOfWhitenedGram(Index n, Index d, int workers) {
  const GramCut cut(n, d);
  const auto strips = static_cast<double>(StripSize<double>(
      kRows + StripRows(cut.panel_rows), StripsFor<double>(d)));
  const auto square = static_cast<double>(d) * static_cast<double>(d);
  // Wide matrices: a worker that waits for its tiles may begin another slot.
  const Index tasks =
      cut.tiles > 1 ? cut.slots : std::min<Index>(workers, cut.slots);
  Cost cost = CostOfGram(n, d, workers);
  cost.flops *= 2.0;
  cost.bytes += 8.0 * (static_cast<double>(tasks) * strips + 2.0 * square);
  return cost;
}

}  // namespace steelyard
