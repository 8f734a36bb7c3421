#include "linalg/tall_skinny_qr.h"

#include <algorithm>
#include <cmath>

#include "linalg/householder_panel.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kPanel = 64;
constexpr Index kColumnTile = 256;
constexpr Index kMostSlots = 64;
// Of all triangles together.
constexpr Index kSlotEntries = Index{1} << 22;
// A slot has at least this many times d rows, so that the tree stays cheap.
constexpr Index kRowsPerSlot = 8;

// How the work is cut: by n and d alone.
struct QrCut {
  Index n;
  Index d;
  Index block_rows;
  Index slots;

  QrCut(Index rows, Index cols)
      : n(rows),
        d(cols),
        block_rows(
            std::min(n, std::clamp<Index>((Index{1} << 17) / d, 256, 2048))),
        slots(std::clamp<Index>(
            std::min(kSlotEntries / (d * d), n / (kRowsPerSlot * d)), 1,
            kMostSlots)) {}

  Index RowBegin(Index slot) const {
    const Index blocks = (n + block_rows - 1) / block_rows;
    return std::min(n, blocks * slot / slots * block_rows);
  }
};

// Folds a block of rows into a triangle: [R; B] -> R. Destroys B.
class Folder {
 public:
  Folder(Index d, Index most_rows, const ComputeContext& context)
      : wt_(kPanel, most_rows),
        t_(kPanel, kPanel),
        scratch_(kPanel, d),
        context_(context) {}

  absl::Status Fold(Block<double> r, Block<double> b) {
    for (Index j = 0; j < r.cols; j += kPanel) {
      if (absl::Status s = CheckStop(context_.stop); !s.ok()) return s;
      const Index w = std::min(kPanel, r.cols - j);
      const Block<double> wt = BlockOf(wt_).Part(0, 0, w, b.rows);
      const Block<double> t = BlockOf(t_).Part(0, 0, w, w);
      for (Index i = 0; i < b.rows; ++i) {
        for (Index k = 0; k < w; ++k) wt(k, i) = b(i, j + k);
      }
      FactorPanel(r.Part(j, j, w, w), wt, t);
      Apply(r, b, j + w, w);
    }
    return absl::OkStatus();
  }

 private:
  // The reflectors of w columns before `first` on the columns from `first` on.
  void Apply(Block<double> r, Block<double> b, Index first, Index w) {
    const Index rest = r.cols - first;
    if (rest <= 0) return;
    const Index tiles = (rest + kColumnTile - 1) / kColumnTile;
    const auto apply = [&](Index tile) {
      const Index begin = first + tile * kColumnTile;
      const Index k = std::min(kColumnTile, r.cols - begin);
      ApplyPanel(BlockOf(wt_).Part(0, 0, w, b.rows),
                 BlockOf(t_).Part(0, 0, w, w), r.Part(first - w, begin, w, k),
                 b.Part(0, begin, b.rows, k),
                 BlockOf(scratch_).Part(0, begin, w, k));
    };
    if (tiles == 1) return apply(0);
    context_.workers.ParallelFor(tiles, context_.stop, apply);
  }

  Matrix<double> wt_;
  Matrix<double> t_;
  Matrix<double> scratch_;
  const ComputeContext& context_;
};

// All rows of one slot into its triangle.
absl::Status FoldSlot(const RowSource& a, const QrCut& cut, Index slot,
                      Block<double> r, const ComputeContext& context) {
  Folder folder(cut.d, cut.block_rows, context);
  Matrix<double> rows(cut.block_rows, cut.d);
  const Index end = cut.RowBegin(slot + 1);
  for (Index first = cut.RowBegin(slot); first < end; first += cut.block_rows) {
    const Index count = std::min(cut.block_rows, end - first);
    const Block<double> block = BlockOf(rows).Part(0, 0, count, cut.d);
    a.load(first, block);
    if (absl::Status s = folder.Fold(r, block); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// Rows are free in sign: the diagonal becomes non-negative.
void FixSigns(Matrix<double>& r) {
  for (Index i = 0; i < r.rows(); ++i) {
    if (!std::signbit(r(i, i))) continue;
    for (Index j = i; j < r.cols(); ++j) {
      if (r(i, j) != 0.0) r(i, j) = -r(i, j);
    }
  }
}

}  // namespace

absl::StatusOr<Matrix<double>> TallSkinnyQr(const RowSource& a,
                                            const std::vector<double>& diagonal,
                                            const ComputeContext& context) {
  const QrCut cut(a.rows, a.cols);
  const Index d = cut.d;
  Matrix<double> triangles(cut.slots * d, d);
  const auto triangle = [&](Index slot) {
    return BlockOf(triangles).Part(slot * d, 0, d, d);
  };
  for (std::size_t i = 0; i < diagonal.size(); ++i) {
    const auto at = static_cast<Index>(i);
    triangles(at, at) = diagonal[i];
  }
  context.workers.ParallelFor(cut.slots, context.stop, [&](Index slot) {
    // A stop shows again below.
    FoldSlot(a, cut, slot, triangle(slot), context).IgnoreError();
  });
  for (Index step = 1; step < cut.slots; step *= 2) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    const Index pairs = (cut.slots - step + 2 * step - 1) / (2 * step);
    context.workers.ParallelFor(pairs, context.stop, [&](Index pair) {
      const Index slot = pair * 2 * step;
      Folder(d, d, context)
          .Fold(triangle(slot), triangle(slot + step))
          .IgnoreError();
    });
  }
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  // All d rows, also of fewer keys: where leading columns depend on each other
  // the rows of R that count are not the first n.
  Matrix<double> r(d, d);
  std::copy(triangles.data(), triangles.data() + d * d, r.data());
  FixSigns(r);
  return r;
}

Cost CostOfTallSkinnyQr(Index n, Index d, int workers) {
  const QrCut cut(n, d);
  const auto columns = static_cast<double>(d);
  const double square = columns * columns;
  const auto slots = static_cast<double>(cut.slots);
  const double most_rows = static_cast<double>(
      cut.slots > 1 ? std::max(cut.block_rows, d) : cut.block_rows);
  const double folder =
      kPanel * (most_rows + kPanel + columns) + most_rows * columns;
  // A worker that waits in a nested loop may begin another slot meanwhile.
  const bool nested = d > kPanel + kColumnTile;
  const double folders =
      nested ? slots : std::min(slots, static_cast<double>(workers));
  return {.flops = 2.0 * static_cast<double>(n) * square +
                   2.0 * slots * columns * square,
          .bytes = 8.0 * ((slots + 1.0) * square + folders * folder)};
}

}  // namespace steelyard
