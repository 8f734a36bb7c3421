#include "factor/gram.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "factor/row_kernels.h"
#include "factor/strip_kernels.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kWidth = kStripColumns<double>;
// A multiple of kWidth.
constexpr Index kTile = 512;
constexpr Index kMostSlots = 64;
// Fewer would make adding up the slots cost as much as filling them.
constexpr Index kPanelsPerSlot = 8;
// Long enough that adding a product to its slot is cheap beside making it; two
// panels of kTile columns fit a second-level cache of 1 MiB.
constexpr Index kPanelRows = 256;
// Of all slots together.
constexpr Index kSlotEntries = Index{1} << 22;

// How the work is cut: by n and d alone.
struct GramCut {
  Index n;
  Index d;
  Index panel_rows;
  Index panels;
  Index slots;
  Index tiles;  // along one side
  Index order;  // d, filled up to whole strips

  GramCut(Index rows, Index cols)
      : n(rows),
        d(cols),
        panel_rows(GramPanelRows(rows)),
        panels((n + panel_rows - 1) / panel_rows),
        slots(std::clamp<Index>(
            std::min(kSlotEntries / (d * d), panels / kPanelsPerSlot), 1,
            kMostSlots)),
        tiles((d + kTile - 1) / kTile),
        order(StripsFor<double>(d) * kWidth) {}

  Index TilePairs() const { return tiles * (tiles + 1) / 2; }
  Index TileSize(Index i) const { return std::min(kTile, d - i * kTile); }
  Index PanelBegin(Index slot) const { return panels * slot / slots; }
};

// Pair p of the tiles (i <= j), row by row.
std::pair<Index, Index> TilePair(Index p, Index tiles) {
  Index i = 0;
  while (p >= tiles - i) {
    p -= tiles - i;
    ++i;
  }
  return {i, i + p};
}

// hi + lo, for each slot order x order.
struct CompensatedSlots {
  Matrix<double> hi;
  Matrix<double> lo;

  explicit CompensatedSlots(const GramCut& cut)
      : hi(cut.slots * cut.order, cut.order),
        lo(cut.slots * cut.order, cut.order) {}
};

// Strips of one tile's part of a panel.
class PanelStrips {
 public:
  PanelStrips(const GramCut& cut, Index tile)
      : column_(tile * kTile),
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
    const Index row = slot * cut_.order + i_ * kTile;
    const Index rows = StripsFor<double>(cut_.TileSize(i_)) * kWidth;
    const Index cols = StripsFor<double>(cut_.TileSize(j_)) * kWidth;
    const Block<double> hi =
        BlockOf(slots.hi).Part(row, j_ * kTile, rows, cols);
    const Block<double> lo =
        BlockOf(slots.lo).Part(row, j_ * kTile, rows, cols);
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

  Matrix<double> gram(cut.d, cut.d);
  context.workers.ParallelFor(cut.tiles, context.stop, [&](Index t) {
    const Index first = t * kTile;
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

Cost CostOfGram(Index n, Index d, int workers) {
  const GramCut cut(n, d);
  const auto square = static_cast<double>(d) * static_cast<double>(d);
  const double panel = static_cast<double>(StripSize<double>(
      StripRows(cut.panel_rows), StripsFor<double>(std::min(d, kTile))));
  const auto order = static_cast<double>(cut.order);
  const auto tasks = static_cast<double>(
      std::min<Index>(workers, cut.slots * cut.TilePairs()));
  return {.flops = 2.0 * static_cast<double>(n) * square,
          .bytes = 8.0 * (2.0 * static_cast<double>(cut.slots) * order * order +
                          square + tasks * 2.0 * panel)};
}

}  // namespace steelyard
