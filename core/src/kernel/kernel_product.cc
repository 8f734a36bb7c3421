#include "kernel/kernel_product.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numbers>
#include <type_traits>
#include <utility>

#include "kernel/fused_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Distances between blocks that one task takes: with each of them goes an array
// of sums, and a wait for the slowest task with all of them together.
constexpr Index kDistances = 4;
// Rows of a tile, a multiple of both strips: so that its columns stay in the
// second cache; smaller where there would be few tasks, or a tile would be
// long.
constexpr Index kTileRows = 240;
constexpr Index kSmallTileRows = 96;
constexpr Index kSmallRowsMax = 2400;
constexpr Index kDepthOfLargeTiles = 1024;

template <typename T>
using UnsetVector = std::vector<T, UnsetAllocator<T>>;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilOf(Index n, Index parts) { return (n + parts - 1) / parts; }

// How n rows are cut.
template <typename T>
struct Cut {
  Cut(Index n, Index d)
      : strips(CeilOf(n, kFusedStrip<T>)),
        rows(strips * kFusedStrip<T>),
        block_rows(n <= kSmallRowsMax || d > kDepthOfLargeTiles ? kSmallTileRows
                                                                : kTileRows),
        block_strips(block_rows / kFusedStrip<T>),
        blocks(CeilOf(strips, block_strips)) {}

  // From 0 to half way round.
  Index Distances() const { return blocks / 2 + 1; }

  // Numbers of all tiles; every pair of a block and a distance has its place.
  Index TileNumbers() const {
    return Distances() * blocks * block_rows * block_rows;
  }
  Index TileAt(Index row, Index distance) const {
    return (distance * blocks + row) * block_rows * block_rows;
  }

  Index StripsOf(Index block) const {
    return std::min(block_strips, strips - block * block_strips);
  }

  Index strips;
  Index rows;  // whole strips
  Index block_rows;
  Index block_strips;
  Index blocks;
};

// Coordinates from which on entries are read faster than they are made: at 64
// 2.4 times, with two workers and AVX-512.
constexpr Index kKeptDepth = 48;

// Room for the logits of one tile between two rounds of coordinates.
template <typename T>
UnsetVector<T> Partial(const Cut<T>& cut, Index d) {
  return UnsetVector<T>(d > kFusedDepth ? At(cut.block_rows * cut.block_rows)
                                        : 0);
}

}  // namespace

Index KernelTileRows(Index d) { return d <= 1024 ? 256 : 128; }

template <typename T>
struct KernelProduct::Packed {
  std::mutex mutex;  // of the flags; what is ready or made changes no more
  bool ready = false;
  bool keep = false;
  bool making = false;
  bool made = false;
  UnsetVector<T> kept;
  UnsetVector<T> rows;
  UnsetVector<T> offsets;  // times log2 e
  Index d = 0;
  T scale = T{1};

  FusedTile<T> Tile(const Cut<T>& cut, Index row, Index col, T* partial) const {
    const Index block = cut.block_rows;
    return {.rows = rows.data() + row * block * d,
            .cols = rows.data() + col * block * d,
            .row_strips = cut.StripsOf(row),
            .col_strips = cut.StripsOf(col),
            .d = d,
            .scale = scale,
            .row_offset = offsets.data() + row * block,
            .col_offset = offsets.data() + col * block,
            .partial = partial};
  }
};

// One product with at most kFusedVectorsMax vectors.
template <typename T>
struct KernelProduct::Pass {
  Pass(Packed<T>& operands, const Cut<T>& how, bool unit, Kept tiles,
       Index vectors)
      : packed(operands),
        cut(how),
        unit_diagonal(unit),
        kept(tiles),
        k(vectors),
        v(At(vectors * how.rows)),
        sums(1 + kDistances) {
    for (AlignedVector<double>& part : sums) part.resize(v.size());
  }

  void Take(const Matrix<double>& from, Index first) {
    for (Index c = 0; c < k; ++c) {
      const double* row = from.row(first + c);
      std::transform(row, row + from.cols(), v.begin() + c * cut.rows,
                     [](double value) { return static_cast<T>(value); });
    }
  }

  // Block `row` and those at distances [first, last) from it.
  void MultiplyRow(Index row, Index first, Index last, const StopToken& stop) {
    const Index block = cut.block_rows;
    AlignedVector<T> tile_sums(At(2 * k * block));
    UnsetVector<T> partial = Partial<T>(cut, packed.d);
    for (Index distance = first; distance < last; ++distance) {
      // Half way round every pair would be met from both of its ends.
      if (2 * distance == cut.blocks && row >= distance) continue;
      if (stop.stop_requested()) return;
      const Index col = (row + distance) % cut.blocks;
      FusedTile<T> tile = packed.Tile(cut, row, col, partial.data());
      tile.unit_diagonal = unit_diagonal && distance == 0;
      // MultiplyFloat32 adds it in float64.
      if (std::is_same_v<T, float>) tile.diagonal = T{0};
      if (kept != Kept::kIgnore) {
        tile.kept = packed.kept.data() + cut.TileAt(row, distance);
        tile.made = kept == Kept::kRead;
      }
      std::fill(tile_sums.begin(), tile_sums.end(), T{0});
      FusedProduct<T> product{.vectors = k,
                              .right = v.data() + col * block,
                              .right_stride = cut.rows,
                              .row_sums = tile_sums.data(),
                              .row_stride = block};
      if (distance != 0) {
        product.left = v.data() + row * block;
        product.left_stride = cut.rows;
        product.col_sums = tile_sums.data() + k * block;
        product.col_stride = block;
      }
      MultiplyFusedTile(tile, product);
      AddTo(sums[0], row, product.row_sums);
      if (distance == 0) continue;
      AddTo(sums[At(1 + distance - first)], col, product.col_sums);
    }
  }

  // Numbers [begin, end) of every vector: the sums, in their order.
  void Finish(Index begin, Index end, Index first, Matrix<double>& out) const {
    for (Index c = 0; c < k; ++c) {
      double* into = out.row(first + c);
      for (Index i = begin; i < end; ++i) {
        double sum = sums[0][At(c * cut.rows + i)];
        for (std::size_t part = 1; part < sums.size(); ++part) {
          sum += sums[part][At(c * cut.rows + i)];
        }
        into[i] = sum;
      }
    }
  }

  void AddTo(AlignedVector<double>& all, Index block, const T* part) const {
    const Index rows = cut.StripsOf(block) * kFusedStrip<T>;
    for (Index c = 0; c < k; ++c) {
      double* into = all.data() + c * cut.rows + block * cut.block_rows;
      const T* from = part + c * cut.block_rows;
      for (Index i = 0; i < rows; ++i) into[i] += static_cast<double>(from[i]);
    }
  }

  Packed<T>& packed;
  const Cut<T>& cut;
  bool unit_diagonal;
  Kept kept;
  Index k;
  AlignedVector<T> v;  // k x cut.rows
  // Of rows; of columns at each distance of a phase. k x cut.rows.
  std::vector<AlignedVector<double>> sums;
};

KernelProduct::KernelProduct(const KernelRows& rows,
                             std::vector<double> offsets, bool unit_diagonal)
    : rows_(rows),
      offsets_(std::move(offsets)),
      unit_diagonal_(unit_diagonal),
      packed_(std::make_unique<Packed<double>>()),
      packed32_(std::make_unique<Packed<float>>()) {}

KernelProduct::~KernelProduct() = default;
KernelProduct::KernelProduct(KernelProduct&&) noexcept = default;

double KernelProduct::Diagonal(Index i) const {
  if (unit_diagonal_) return 1.0;
  const auto at = static_cast<std::size_t>(i);
  return std::exp(std::min(0.0, rows_.centred_square[at] + 2.0 * offsets_[at]));
}

template <typename T>
absl::Status KernelProduct::Pack(Packed<T>& packed,
                                 const ComputeContext& context) const {
  const std::lock_guard<std::mutex> lock(packed.mutex);
  if (packed.ready) return absl::OkStatus();
  const Index n = rows_.rows();
  const Index d = rows_.cols();
  const Cut<T> cut(n, d);
  packed.d = d;
  packed.scale = static_cast<T>(rows_.scale * std::numbers::log2e);
  packed.rows.resize(At(cut.rows * d));
  packed.offsets.assign(At(cut.rows), static_cast<T>(kNoRow));
  std::transform(offsets_.begin(), offsets_.end(), packed.offsets.begin(),
                 [](double offset) {
                   return static_cast<T>(offset * std::numbers::log2e);
                 });
  constexpr Index kStripsTogether = 16;
  context.workers.ParallelFor(
      CeilOf(cut.strips, kStripsTogether), context.stop, [&](Index task) {
        const Index last = std::min(cut.strips, (task + 1) * kStripsTogether);
        for (Index s = task * kStripsTogether; s < last; ++s) {
          const Index first = s * kFusedStrip<T>;
          PackFusedStrip(rows_.centred.row(first), d,
                         std::min(kFusedStrip<T>, n - first), d,
                         packed.rows.data() + first * d);
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  packed.ready = true;
  return absl::OkStatus();
}

void KernelProduct::KeepTiles() const {
  if (KeptBytes(rows_.rows(), rows_.cols()) == 0.0) return;
  const std::lock_guard<std::mutex> lock(packed32_->mutex);
  packed32_->keep = true;
}

// One product makes the tiles; others at the same time do without them.
template <typename T>
KernelProduct::Kept KernelProduct::TakeKept(Packed<T>& packed) const {
  const std::lock_guard<std::mutex> lock(packed.mutex);
  if (packed.made) return Kept::kRead;
  if (!packed.keep || packed.making) return Kept::kIgnore;
  if (packed.kept.empty()) {
    // In large pages (madvise) solves took as long, and half a second more
    // where the memory had been idle.
    const Cut<T> cut(rows_.rows(), rows_.cols());
    packed.kept.resize(At(cut.TileNumbers()));
  }
  packed.making = true;
  return Kept::kMake;
}

template <typename T>
absl::Status KernelProduct::MultiplyPacked(
    Packed<T>& packed, const Matrix<double>& v, Matrix<double>& out,
    const ComputeContext& context) const {
  if (absl::Status done = Pack(packed, context); !done.ok()) return done;
  const Index n = rows_.rows();
  const Cut<T> cut(n, rows_.cols());
  for (Index first = 0; first < v.rows(); first += kFusedVectorsMax) {
    const Kept kept = TakeKept(packed);
    Pass<T> pass(packed, cut, unit_diagonal_, kept,
                 std::min(kFusedVectorsMax, v.rows() - first));
    pass.Take(v, first);
    const Index distances = cut.Distances();
    absl::Status done = absl::OkStatus();
    for (Index near = 0; near < distances && done.ok(); near += kDistances) {
      const Index far = std::min(distances, near + kDistances);
      context.workers.ParallelFor(cut.blocks, context.stop, [&](Index row) {
        pass.MultiplyRow(row, near, far, context.stop);
      });
      done = CheckStop(context.stop);
    }
    if (kept == Kept::kMake) {
      const std::lock_guard<std::mutex> lock(packed.mutex);
      packed.making = false;
      packed.made = done.ok();
    }
    if (!done.ok()) return done;
    constexpr Index kRange = 8192;
    context.workers.ParallelFor(
        CeilOf(n, kRange), StopToken(), [&](Index range) {
          pass.Finish(range * kRange, std::min(n, (range + 1) * kRange), first,
                      out);
        });
  }
  return absl::OkStatus();
}

absl::Status KernelProduct::Multiply(const Matrix<double>& v,
                                     Matrix<double>& out,
                                     const ComputeContext& context) const {
  return MultiplyPacked(*packed_, v, out, context);
}

absl::Status KernelProduct::MultiplyFloat32(
    const Matrix<double>& v, Matrix<double>& out,
    const ComputeContext& context) const {
  absl::Status done = MultiplyPacked(*packed32_, v, out, context);
  if (!done.ok() || !unit_diagonal_) return done;
  context.workers.ParallelFor(v.rows(), StopToken(), [&](Index c) {
    AddScaled(1.0, v.row(c), out.row(c), v.cols());
  });
  return done;
}

absl::Status KernelProduct::FillUpper(Block<double> out,
                                      const ComputeContext& context) const {
  if (absl::Status done = Pack(*packed_, context); !done.ok()) return done;
  const Index n = rows_.rows();
  const Cut<double> cut(n, rows_.cols());
  const Index block = cut.block_rows;
  context.workers.ParallelFor(cut.blocks, context.stop, [&](Index row) {
    UnsetVector<double> entries(At(block * block));
    UnsetVector<double> partial = Partial<double>(cut, rows_.cols());
    const Index first_row = row * block;
    for (Index col = row; col < cut.blocks; ++col) {
      if (context.stop.stop_requested()) return;
      FusedTile<double> tile = packed_->Tile(cut, row, col, partial.data());
      tile.unit_diagonal = unit_diagonal_ && row == col;
      FillFusedTile(tile, entries.data(), block);
      const Index first_col = col * block;
      for (Index i = 0; i < std::min(block, n - first_row); ++i) {
        const Index from = row == col ? i : 0;
        const double* entry = entries.data() + i * block;
        std::copy(entry + from, entry + std::min(block, n - first_col),
                  out.row(first_row + i) + first_col + from);
      }
    }
  });
  return CheckStop(context.stop);
}

double KernelProduct::WorkBytes(Index n, Index k, int workers) {
  const auto vectors = static_cast<double>(std::min(k, kFusedVectorsMax));
  constexpr auto kTile = static_cast<double>(kTileRows);
  // Whole strips, the vectors and their sums.
  const double rows = static_cast<double>(n + kFusedStrip<float>);
  return 8.0 * (rows * vectors * static_cast<double>(kDistances + 2) +
                static_cast<double>(workers) *
                    (2.0 * kTile * vectors + kTile * kTile));
}

double KernelProduct::KeptBytes(Index n, Index d) {
  if (d < kKeptDepth) return 0.0;
  // Before the tiles are counted, which may be too many for an Index.
  const auto rows = static_cast<double>(n);
  if (2.0 * rows * rows > kKeptTilesBytes) return 0.0;
  const double bytes = static_cast<double>(sizeof(float)) *
                       static_cast<double>(Cut<float>(n, d).TileNumbers());
  return bytes <= kKeptTilesBytes ? bytes : 0.0;
}

double KernelProduct::PackedBytes(Index n, Index d) {
  return 12.0 * static_cast<double>(n + kFusedStrip<float>) *
         (static_cast<double>(d) + 1.0);
}

}  // namespace steelyard
