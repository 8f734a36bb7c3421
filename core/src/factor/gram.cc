#include "factor/gram.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "factor/gram_slots.h"
#include "factor/strip_kernels.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Strips of one tile's part of a panel.
class PanelStrips {
 public:
  PanelStrips(const GramCut& cut, Index tile)
      : column_(tile * kGramTile),
        columns_(cut.TileSize(tile)),
        numbers_(static_cast<std::size_t>(StripSize<double>(
            StripRows(cut.panel_rows), StripsFor<double>(columns_)))) {}

  StripBlock<const double> Load(const RowLoader& a, Index first, Index rows,
                                RowLengths* lengths = nullptr) {
    const StripBlock<double> strips{numbers_.data(), StripRows(rows),
                                    StripsFor<double>(columns_)};
    if (lengths != nullptr) {
      a.LoadStrips(first, rows, strips, *lengths);
    } else {
      a.LoadStrips(first, column_, rows, columns_, strips);
    }
    return strips;
  }

 private:
  Index column_;
  Index columns_;
  AlignedVector<double> numbers_;
};

// One task: tile (i, j) of one slot, panel after panel.
class TileSum {
 public:
  // `lengths`: of the rows, measured where they are given.
  TileSum(const RowLoader& a, const GramCut& cut, Index i, Index j,
          RowLengths* lengths)
      : a_(a), cut_(cut), i_(i), j_(j), lengths_(lengths), right_(cut, j) {
    if (i != j) left_.emplace(cut, i);
  }

  void Add(Index slot, const StopToken& stop, CompensatedSlots& slots) {
    const auto [hi, lo] = TileOfSlot(cut_, slot, i_, j_, slots);
    const Index begin = cut_.PanelBegin(slot);
    for (Index p = begin; p < cut_.PanelBegin(slot + 1); ++p) {
      // ParallelFor has looked before the first panel.
      if (p != begin && stop.stop_requested()) return;
      AddPanel(p * cut_.panel_rows, hi, lo);
    }
  }

 private:
  void AddPanel(Index first, Block<double> hi, Block<double> lo) {
    const Index rows = std::min(cut_.panel_rows, cut_.n - first);
    const StripBlock<const double> right =
        right_.Load(a_, first, rows, lengths_);
    if (i_ == j_) {
      // Rows of other tiles are read in part only: left to the processor.
      const ReadNext next = cut_.tiles == 1
                                ? a_.RowsToRead(first + rows, cut_.panel_rows)
                                : ReadNext{};
      AddGram(right, right, true, hi, lo, next);
    } else {
      AddGram(left_->Load(a_, first, rows), right, false, hi, lo);
    }
  }

  const RowLoader& a_;
  const GramCut& cut_;
  Index i_;
  Index j_;
  RowLengths* lengths_;
  PanelStrips right_;
  std::optional<PanelStrips> left_;
};

}  // namespace

absl::StatusOr<Matrix<double>> UpperGram(const RowLoader& a,
                                         const ComputeContext& context,
                                         RowLengths* lengths) {
  const GramCut cut(a.rows(), a.cols());
  if (cut.tiles > 1) lengths = nullptr;
  if (lengths != nullptr) {
    lengths->squares.resize(static_cast<std::size_t>(cut.n));
  }
  CompensatedSlots slots(cut);
  const Index pairs = cut.TilePairs();
  context.workers.ParallelFor(pairs * cut.slots, context.stop, [&](Index t) {
    const auto [i, j] = TilePair(t % pairs, cut.tiles);
    TileSum(a, cut, i, j, lengths).Add(t / pairs, context.stop, slots);
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;

  return SumOfSlots(cut, slots, context);
}

Cost CostOfGram(Index n, Index d, int workers) {
  const GramCut cut(n, d);
  const auto square = static_cast<double>(d) * static_cast<double>(d);
  const double panel = static_cast<double>(StripSize<double>(
      StripRows(cut.panel_rows), StripsFor<double>(std::min(d, kGramTile))));
  const auto order = static_cast<double>(cut.order);
  const auto tasks = static_cast<double>(
      std::min<Index>(workers, cut.slots * cut.TilePairs()));
  return {.flops = 2.0 * static_cast<double>(n) * square,
          .bytes = 8.0 * (2.0 * static_cast<double>(cut.slots) * order * order +
                          square + tasks * 2.0 * panel)};
}

}  // namespace steelyard
