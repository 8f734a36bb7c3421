#include "kernel/block_rows.h"

#include <algorithm>
#include <numbers>

#include "kernel/fused_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Rows and columns of a tile, a multiple of both strips: its columns stay in
// the second cache.
constexpr Index kTileRows = 240;
constexpr Index kSmallTileRows = 96;
constexpr Index kDepthOfLargeTiles = 1024;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilOf(Index n, Index parts) { return (n + parts - 1) / parts; }

Index TileRows(Index d) {
  return d > kDepthOfLargeTiles ? kSmallTileRows : kTileRows;
}

// Strips [tile * strips of a tile, ...) of `packed`, as rows or as columns.
template <typename T>
struct Cut {
  Cut(Index all, Index tile_rows)
      : strips(all),
        tile_strips(tile_rows / kFusedStrip<T>),
        tiles(CeilOf(strips, tile_strips)) {}

  Index StripsOf(Index tile) const {
    return std::min(tile_strips, strips - tile * tile_strips);
  }

  Index strips;
  Index tile_strips;
  Index tiles;
};

}  // namespace

BlockRows::BlockRows(const KernelRows& rows, const SymmetricForm& form)
    : rows_(rows), form_(form) {}

template <typename T>
T BlockRows::scale() const {
  return static_cast<T>(rows_.scale * std::numbers::log2e);
}

template <typename T>
absl::Status BlockRows::PackAll(Packed<T>& packed,
                                const ComputeContext& context) const {
  if (packed.strips > 0) return absl::OkStatus();
  constexpr Index kStrip = kFusedStrip<T>;
  const Index n = rows_.rows();
  const Index d = rows_.cols();
  const Index strips = CeilOf(n, kStrip);
  packed.rows.resize(At(strips * kStrip * d));
  packed.offsets.assign(At(strips * kStrip), static_cast<T>(kNoRow));
  std::transform(form_.offsets.begin(), form_.offsets.end(),
                 packed.offsets.begin(), [](double offset) {
                   return static_cast<T>(offset * std::numbers::log2e);
                 });
  constexpr Index kStripsTogether = 16;
  context.workers.ParallelFor(
      CeilOf(strips, kStripsTogether), context.stop, [&](Index task) {
        const Index last = std::min(strips, (task + 1) * kStripsTogether);
        for (Index s = task * kStripsTogether; s < last; ++s) {
          const Index first = s * kStrip;
          PackFusedStrip(rows_.centred.row(first), d,
                         std::min(kStrip, n - first), d,
                         packed.rows.data() + first * d);
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  packed.strips = strips;
  return absl::OkStatus();
}

template <typename T>
absl::StatusOr<BlockRows::Packed<T>> BlockRows::PackBlock(
    const std::vector<Index>& block, const ComputeContext& context) const {
  constexpr Index kStrip = kFusedStrip<T>;
  const auto size = static_cast<Index>(block.size());
  const Index d = rows_.cols();
  Packed<T> packed;
  packed.strips = CeilOf(size, kStrip);
  packed.rows.resize(At(packed.strips * kStrip * d));
  packed.offsets.assign(At(packed.strips * kStrip), static_cast<T>(kNoRow));
  context.workers.ParallelFor(packed.strips, context.stop, [&](Index s) {
    const Index first = s * kStrip;
    const Index count = std::min(kStrip, size - first);
    Matrix<double> strip = Matrix<double>::Unset(count, d);
    for (Index i = 0; i < count; ++i) {
      const Index row = block[At(first + i)];
      std::copy(rows_.centred.row(row), rows_.centred.row(row) + d,
                strip.row(i));
      packed.offsets[At(first + i)] =
          static_cast<T>(form_.offsets[At(row)] * std::numbers::log2e);
    }
    PackFusedStrip(strip.data(), d, count, d, packed.rows.data() + first * d);
  });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return packed;
}

// One tile of rows of all against every tile of a block.
template <typename T>
struct BlockRows::Columns {
  const Packed<T>& all;
  const Packed<T>& block;
  Index d;
  T scale;
  Index k;
  AlignedVector<T> right;  // k x whole strips of the block

  // sums[c][i] := sum_j E_ij right[c][j]; rows of `sums` are a tile long.
  void Multiply(Index row, AlignedVector<double>& sums,
                const StopToken& stop) const {
    const Index tile_rows = TileRows(d);
    const Cut<T> down(all.strips, tile_rows);
    const Cut<T> across(block.strips, tile_rows);
    std::vector<T, UnsetAllocator<T>> partial(
        d > kFusedDepth ? At(tile_rows * tile_rows) : 0);
    AlignedVector<T> part(sums.size());
    for (Index col = 0; col < across.tiles; ++col) {
      if (stop.stop_requested()) return;
      std::fill(part.begin(), part.end(), T{0});
      MultiplyFusedTile(
          FusedTile<T>{.rows = all.rows.data() + row * tile_rows * d,
                       .cols = block.rows.data() + col * tile_rows * d,
                       .row_strips = down.StripsOf(row),
                       .col_strips = across.StripsOf(col),
                       .d = d,
                       .scale = scale,
                       .row_offset = all.offsets.data() + row * tile_rows,
                       .col_offset = block.offsets.data() + col * tile_rows,
                       .partial = partial.data()},
          FusedProduct<T>{.vectors = k,
                          .right = right.data() + col * tile_rows,
                          .right_stride = block.strips * kFusedStrip<T>,
                          .row_sums = part.data(),
                          .row_stride = tile_rows});
      std::transform(
          part.begin(), part.end(), sums.begin(), sums.begin(),
          [](T value, double sum) { return sum + static_cast<double>(value); });
    }
  }
};

template <typename T>
absl::Status BlockRows::AddColumnsIn(Packed<T>& all,
                                     const std::vector<Index>& block,
                                     const Matrix<double>& d,
                                     Matrix<double>& out,
                                     const ComputeContext& context) const {
  if (absl::Status done = PackAll(all, context); !done.ok()) return done;
  const absl::StatusOr<Packed<T>> packed = PackBlock<T>(block, context);
  if (!packed.ok()) return packed.status();
  const Index n = rows_.rows();
  const Index k = d.rows();
  const auto size = static_cast<Index>(block.size());
  const Index padded = packed->strips * kFusedStrip<T>;
  Columns<T> columns{all,        *packed, rows_.cols(),
                     scale<T>(), k,       AlignedVector<T>(At(k * padded))};
  for (Index c = 0; c < k; ++c) {
    for (Index j = 0; j < size; ++j) {
      columns.right[At(c * padded + j)] =
          static_cast<T>(form_.weight[At(block[At(j)])] * d(c, j));
    }
  }
  const Index tile_rows = TileRows(rows_.cols());
  context.workers.ParallelFor(
      CeilOf(n, tile_rows), context.stop, [&](Index row) {
        AlignedVector<double> sums(At(k * tile_rows));
        columns.Multiply(row, sums, context.stop);
        const Index first = row * tile_rows;
        for (Index c = 0; c < k; ++c) {
          for (Index i = 0; i < std::min(tile_rows, n - first); ++i) {
            out(c, first + i) +=
                form_.weight[At(first + i)] * sums[At(c * tile_rows + i)];
          }
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  for (Index c = 0; c < k; ++c) {
    for (Index j = 0; j < size; ++j) {
      const Index row = block[At(j)];
      out(c, row) += form_.shift[At(row)] * d(c, j);
    }
  }
  return absl::OkStatus();
}

absl::Status BlockRows::AddColumns(const std::vector<Index>& block,
                                   const Matrix<double>& d,
                                   TilePrecision precision, Matrix<double>& out,
                                   const ComputeContext& context) {
  return precision == TilePrecision::kFloat32
             ? AddColumnsIn(packed32_, block, d, out, context)
             : AddColumnsIn(packed_, block, d, out, context);
}

// Tiles (row, row), (row, row + 1), ... of E_BB, weighted.
template <typename T>
struct BlockRows::Squared {
  const Packed<T>& packed;
  Index d;
  T scale;
  const std::vector<double>& weight;  // of the block
  Matrix<T>& s;

  void Fill(Index row, const StopToken& stop) const {
    const Index tile_rows = TileRows(d);
    const Cut<T> cut(packed.strips, tile_rows);
    std::vector<T, UnsetAllocator<T>> partial(
        d > kFusedDepth ? At(tile_rows * tile_rows) : 0);
    std::vector<T, UnsetAllocator<T>> entries(At(tile_rows * tile_rows));
    const Index first = row * tile_rows;
    for (Index col = row; col < cut.tiles; ++col) {
      if (stop.stop_requested()) return;
      const Index first_col = col * tile_rows;
      FillFusedTile(
          FusedTile<T>{.rows = packed.rows.data() + first * d,
                       .cols = packed.rows.data() + first_col * d,
                       .row_strips = cut.StripsOf(row),
                       .col_strips = cut.StripsOf(col),
                       .d = d,
                       .scale = scale,
                       .row_offset = packed.offsets.data() + first,
                       .col_offset = packed.offsets.data() + first_col,
                       .partial = partial.data()},
          entries.data(), tile_rows);
      const Index count = std::min(tile_rows, s.cols() - first_col);
      for (Index i = 0; i < std::min(tile_rows, s.rows() - first); ++i) {
        const double w = weight[At(first + i)];
        const T* const from = entries.data() + i * tile_rows;
        T* const out = s.row(first + i) + first_col;
        for (Index j = 0; j < count; ++j) {
          out[j] = static_cast<T>(w * weight[At(first_col + j)] *
                                  static_cast<double>(from[j]));
        }
        if (row == col) out[i] = T{1};
      }
    }
  }
};

template <typename T>
absl::StatusOr<Matrix<T>> BlockRows::Square(
    const std::vector<Index>& block, const ComputeContext& context) const {
  const absl::StatusOr<Packed<T>> packed = PackBlock<T>(block, context);
  if (!packed.ok()) return packed.status();
  const auto size = static_cast<Index>(block.size());
  std::vector<double> weight;
  for (const Index i : block) weight.push_back(form_.weight[At(i)]);
  Matrix<T> s = Matrix<T>::Unset(size, size);
  const Squared<T> squared{*packed, rows_.cols(), scale<T>(), weight, s};
  context.workers.ParallelFor(
      CeilOf(size, TileRows(rows_.cols())), context.stop,
      [&](Index row) { squared.Fill(row, context.stop); });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return s;
}

template absl::StatusOr<Matrix<float>> BlockRows::Square(
    const std::vector<Index>& block, const ComputeContext& context) const;
template absl::StatusOr<Matrix<double>> BlockRows::Square(
    const std::vector<Index>& block, const ComputeContext& context) const;

}  // namespace steelyard
