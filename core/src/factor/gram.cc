#include "factor/gram.h"

#include <algorithm>
#include <utility>

#include "factor/row_kernels.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kTile = 256;
// Rows of a diagonal tile that are added together.
constexpr Index kStrip = 32;
constexpr Index kMostSlots = 64;
// Fewer would make adding up the slots cost as much as filling them.
constexpr Index kPanelsPerSlot = 4;
// Long enough that adding a product to its slot is cheap beside making it; a
// panel of kTile columns still fits a second-level cache of 1 MiB.
constexpr Index kPanelRows = 512;
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

  GramCut(Index rows, Index cols)
      : n(rows),
        d(cols),
        panel_rows(GramPanelRows(rows)),
        panels((n + panel_rows - 1) / panel_rows),
        slots(std::clamp<Index>(
            std::min(kSlotEntries / (d * d), panels / kPanelsPerSlot), 1,
            kMostSlots)),
        tiles((d + kTile - 1) / kTile) {}

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

// hi + lo, d x d for each slot.
struct CompensatedSlots {
  Matrix<double> hi;
  Matrix<double> lo;

  explicit CompensatedSlots(const GramCut& cut)
      : hi(cut.slots * cut.d, cut.d), lo(cut.slots * cut.d, cut.d) {}
};

// One task: tile (i, j) of one slot, panel after panel.
class TileSum {
 public:
  TileSum(const RowLoader& a, const GramCut& cut, Index i, Index j)
      : a_(a),
        cut_(cut),
        i_(i),
        j_(j),
        left_(cut.panel_rows, cut.TileSize(i)),
        right_(i == j ? 0 : cut.panel_rows, i == j ? 0 : cut.TileSize(j)),
        product_(cut.TileSize(i), cut.TileSize(j)) {}

  void Add(Index slot, const StopToken& stop, CompensatedSlots& slots) {
    const Index row = slot * cut_.d + i_ * kTile;
    const Block<double> hi = BlockOf(slots.hi).Part(
        row, j_ * kTile, product_.rows(), product_.cols());
    const Block<double> lo = BlockOf(slots.lo).Part(
        row, j_ * kTile, product_.rows(), product_.cols());
    const Index begin = cut_.PanelBegin(slot);
    for (Index p = begin; p < cut_.PanelBegin(slot + 1); ++p) {
      // ParallelFor has looked before the first panel.
      if (p != begin && stop.stop_requested()) return;
      Multiply(p * cut_.panel_rows);
      AddProduct(hi, lo);
    }
  }

 private:
  // On the diagonal only what a strip of rows has above it.
  void AddProduct(Block<double> hi, Block<double> lo) const {
    const Index strip = i_ == j_ ? kStrip : hi.rows;
    for (Index r = 0; r < hi.rows; r += strip) {
      const Index c = i_ == j_ ? r : 0;
      const Index rows = std::min(strip, hi.rows - r);
      const Index cols = hi.cols - c;
      AddCompensated(BlockOf(product_).Part(r, c, rows, cols),
                     hi.Part(r, c, rows, cols), lo.Part(r, c, rows, cols));
    }
  }

  void Multiply(Index first) {
    const Index rows = std::min(cut_.panel_rows, cut_.n - first);
    const Block<double> left = BlockOf(left_).Part(0, 0, rows, left_.cols());
    a_.Load(first, i_ * kTile, left);
    if (i_ == j_) {
      SyrkUpper(1.0, Transposed(left), 0.0, BlockOf(product_));
      return;
    }
    const Block<double> right = BlockOf(right_).Part(0, 0, rows, right_.cols());
    a_.Load(first, j_ * kTile, right);
    Gemm(1.0, Transposed(left), right, 0.0, BlockOf(product_));
  }

  const RowLoader& a_;
  const GramCut& cut_;
  Index i_;
  Index j_;
  Matrix<double> left_;
  Matrix<double> right_;
  Matrix<double> product_;
};

// Rows [first, first + count) of all slots into slot 0, by a binary tree.
void AddSlots(const GramCut& cut, Index first, Index count,
              CompensatedSlots& slots) {
  const Block<double> hi = BlockOf(slots.hi);
  const Block<double> lo = BlockOf(slots.lo);
  for (Index step = 1; step < cut.slots; step *= 2) {
    for (Index s = 0; s + step < cut.slots; s += 2 * step) {
      const Index to = s * cut.d + first;
      const Index from = (s + step) * cut.d + first;
      const Block<double> to_hi = hi.Part(to, 0, count, cut.d);
      const Block<double> to_lo = lo.Part(to, 0, count, cut.d);
      AddCompensated(hi.Part(from, 0, count, cut.d), to_hi, to_lo);
      AddCompensated(lo.Part(from, 0, count, cut.d), to_hi, to_lo);
    }
  }
}

}  // namespace

Index GramPanelRows(Index n) { return std::min(n, kPanelRows); }

absl::StatusOr<Matrix<double>> UpperGram(const RowLoader& a,
                                         const ComputeContext& context) {
  const GramCut cut(a.rows(), a.cols());
  CompensatedSlots slots(cut);
  const Index pairs = cut.TilePairs();
  context.workers.ParallelFor(pairs * cut.slots, context.stop, [&](Index t) {
    const auto [i, j] = TilePair(t % pairs, cut.tiles);
    TileSum(a, cut, i, j).Add(t / pairs, context.stop, slots);
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
  const double panel = static_cast<double>(cut.panel_rows * std::min(d, kTile));
  const double tile = static_cast<double>(kTile * std::min(d, kTile));
  const auto tasks = static_cast<double>(
      std::min<Index>(workers, cut.slots * cut.TilePairs()));
  return {
      .flops = 2.0 * static_cast<double>(n) * square,
      .bytes = 8.0 * ((2.0 * static_cast<double>(cut.slots) + 1.0) * square +
                      tasks * (2.0 * panel + tile))};
}

}  // namespace steelyard
