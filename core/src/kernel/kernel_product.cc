#include "kernel/kernel_product.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernel/exp_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kSlotsMax = 32;
constexpr Index kVectorsMax = 16;
// Rows of a tile that one GEMM fills: the strip stays in the second cache until
// its exponentials are multiplied.
constexpr Index kStripRows = 128;

// A tile: block of rows `row` <= block of columns `col`.
struct TileIndex {
  Index row = 0;
  Index col = 0;

  // Row by row through the upper triangle.
  void Advance(Index blocks) {
    if (++col == blocks) col = ++row;
  }
};

TileIndex TileAt(Index position, Index blocks) {
  TileIndex tile;
  while (position >= blocks - tile.row) {
    position -= blocks - tile.row;
    ++tile.row;
  }
  tile.col = tile.row + position;
  return tile;
}

Index SlotCount(Index tiles) { return std::min(tiles, kSlotsMax); }

// out row ranges := sum of the slots, pair by pair.
void AddSlots(std::vector<AlignedVector<double>>& slots, std::size_t begin,
              std::size_t end) {
  for (std::size_t gap = 1; gap < slots.size(); gap *= 2) {
    for (std::size_t i = 0; i + gap < slots.size(); i += 2 * gap) {
      double* into = slots[i].data();
      const double* from = slots[i + gap].data();
      for (std::size_t at = begin; at < end; ++at) into[at] += from[at];
    }
  }
}

}  // namespace

Index KernelTileRows(Index d) { return d <= 1024 ? 256 : 128; }

template <typename T>
struct KernelProduct::Operands {
  const T* rows = nullptr;
  const T* offsets = nullptr;
};

// What the tiles of one slot share.
template <typename T>
struct SlotWork {
  SlotWork(Index block, Index k)
      : logits(static_cast<std::size_t>(std::min(block, kStripRows) * block)),
        row_sums(static_cast<std::size_t>(k * block)),
        col_sums(static_cast<std::size_t>(k * block)) {}
  AlignedVector<T> logits;
  AlignedVector<T> row_sums;
  AlignedVector<T> col_sums;
};

KernelProduct::KernelProduct(const KernelRows& rows,
                             std::vector<double> offsets, bool unit_diagonal)
    : rows_(rows),
      offsets_(std::move(offsets)),
      unit_diagonal_(unit_diagonal) {}

KernelProduct::Operands<double> KernelProduct::Double() const {
  return {rows_.centred.data(), offsets_.data()};
}

double KernelProduct::Diagonal(Index i) const {
  if (unit_diagonal_) return 1.0;
  const auto at = static_cast<std::size_t>(i);
  return std::exp(std::min(0.0, rows_.centred_square[at] + 2.0 * offsets_[at]));
}

namespace {

// A strip of one tile and where its sums go.
template <typename T>
struct Strip {
  const T* rows;     // n x d
  const T* offsets;  // n
  T scale;
  Index d;
  Index first_row;
  Index row_count;
  Index first_col;
  Index col_count;
};

template <typename T>
ExpTile<T> StripLogits(const Strip<T>& strip, T* logits) {
  const Block<const T> left{strip.rows + strip.first_row * strip.d,
                            strip.row_count, strip.d, strip.d};
  const Block<const T> right{strip.rows + strip.first_col * strip.d,
                             strip.col_count, strip.d, strip.d};
  Gemm(strip.scale, Operand<T>(left), Transposed(right), T{0},
       Block<T>{logits, strip.row_count, strip.col_count, strip.col_count});
  return {.logits = logits,
          .rows = strip.row_count,
          .cols = strip.col_count,
          .stride = strip.col_count,
          .row_offset = strip.offsets + strip.first_row,
          .col_offset = strip.offsets + strip.first_col};
}

// v is k x n in T; sums is k x n in double.
template <typename T>
void AddTile(Strip<T> strip, bool unit_diagonal, const Matrix<T>& v,
             SlotWork<T>& work, double* sums) {
  const Index n = v.cols();
  const Index k = v.rows();
  const bool diagonal = strip.first_row == strip.first_col;
  const Index tile_first = strip.first_row;
  const Index tile_rows = strip.row_count;
  std::fill(work.row_sums.begin(), work.row_sums.end(), T{0});
  std::fill(work.col_sums.begin(), work.col_sums.end(), T{0});
  for (Index done = 0; done < tile_rows; done += kStripRows) {
    strip.first_row = tile_first + done;
    strip.row_count = std::min(kStripRows, tile_rows - done);
    const ExpTile<T> tile = StripLogits(strip, work.logits.data());
    TileProduct<T> product{.vectors = k,
                           .right = v.data() + strip.first_col,
                           .right_stride = n,
                           .row_sums = work.row_sums.data() + done,
                           .row_stride = tile_rows};
    if (!diagonal) {
      product.left = v.data() + strip.first_row;
      product.left_stride = n;
      product.col_sums = work.col_sums.data();
      product.col_stride = strip.col_count;
    }
    ExpTile<T> entries = tile;
    entries.unit_diagonal = false;
    if (diagonal && unit_diagonal) {
      // Row i of the strip has its diagonal in column done + i.
      entries.unit_diagonal = true;
      entries.diagonal_col = done;
    }
    MultiplyExpTile(entries, product);
  }
  for (Index c = 0; c < k; ++c) {
    double* out = sums + c * n;
    for (Index i = 0; i < tile_rows; ++i) {
      out[tile_first + i] += static_cast<double>(
          work.row_sums[static_cast<std::size_t>(c * tile_rows + i)]);
    }
    if (diagonal) continue;
    for (Index j = 0; j < strip.col_count; ++j) {
      out[strip.first_col + j] += static_cast<double>(
          work.col_sums[static_cast<std::size_t>(c * strip.col_count + j)]);
    }
  }
}

template <typename T>
Matrix<T> TakeRows(const Matrix<double>& v, Index first, Index count) {
  Matrix<T> taken(count, v.cols());
  const double* from = v.row(first);
  for (Index i = 0; i < taken.size(); ++i) {
    taken.data()[i] = static_cast<T>(from[i]);
  }
  return taken;
}

}  // namespace

template <typename T>
absl::Status KernelProduct::MultiplyPass(const Operands<T>& operands,
                                         const Matrix<double>& v,
                                         Matrix<double>& out,
                                         const ComputeContext& context) const {
  const Index n = rows_.rows();
  const Index d = rows_.cols();
  const Index block = KernelTileRows(d);
  const Index blocks = (n + block - 1) / block;
  const Index tiles = blocks * (blocks + 1) / 2;
  const Index slot_count = SlotCount(tiles);
  for (Index first = 0; first < v.rows(); first += kVectorsMax) {
    const Index k = std::min(kVectorsMax, v.rows() - first);
    const Matrix<T> group = TakeRows<T>(v, first, k);
    std::vector<AlignedVector<double>> slots(
        static_cast<std::size_t>(slot_count));
    context.workers.ParallelFor(slot_count, context.stop, [&](Index slot) {
      AlignedVector<double>& sums = slots[static_cast<std::size_t>(slot)];
      sums.assign(static_cast<std::size_t>(k * n), 0.0);
      SlotWork<T> work(std::min(block, n), k);
      const Index end = tiles * (slot + 1) / slot_count;
      Index position = tiles * slot / slot_count;
      TileIndex tile = TileAt(position, blocks);
      for (; position < end; ++position, tile.Advance(blocks)) {
        if (context.stop.stop_requested()) return;
        const Index row = tile.row * block;
        const Index col = tile.col * block;
        AddTile<T>({.rows = operands.rows,
                    .offsets = operands.offsets,
                    .scale = static_cast<T>(rows_.scale),
                    .d = d,
                    .first_row = row,
                    .row_count = std::min(block, n - row),
                    .first_col = col,
                    .col_count = std::min(block, n - col)},
                   unit_diagonal_, group, work, sums.data());
      }
    });
    if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
    const auto words = static_cast<std::size_t>(k * n);
    constexpr std::size_t kRange = 8192;
    context.workers.ParallelFor(
        static_cast<Index>((words + kRange - 1) / kRange), StopToken(),
        [&](Index range) {
          const std::size_t begin = static_cast<std::size_t>(range) * kRange;
          const std::size_t end = std::min(words, begin + kRange);
          AddSlots(slots, begin, end);
          std::copy(slots[0].data() + begin, slots[0].data() + end,
                    out.row(first) + begin);
        });
  }
  return absl::OkStatus();
}

absl::Status KernelProduct::Multiply(const Matrix<double>& v,
                                     Matrix<double>& out,
                                     const ComputeContext& context) const {
  return MultiplyPass<double>(Double(), v, out, context);
}

absl::Status KernelProduct::MultiplyFloat32(const Matrix<double>& v,
                                            Matrix<double>& out,
                                            const ComputeContext& context) {
  if (rows32_.empty()) {
    const double* from = rows_.centred.data();
    rows32_.resize(static_cast<std::size_t>(rows_.centred.size()));
    std::transform(from, from + rows_.centred.size(), rows32_.begin(),
                   [](double value) { return static_cast<float>(value); });
    offsets32_.resize(offsets_.size());
    std::transform(offsets_.begin(), offsets_.end(), offsets32_.begin(),
                   [](double value) { return static_cast<float>(value); });
  }
  return MultiplyPass<float>({rows32_.data(), offsets32_.data()}, v, out,
                             context);
}

absl::Status KernelProduct::FillUpper(Block<double> out,
                                      const ComputeContext& context) const {
  const Index n = rows_.rows();
  const Index block = KernelTileRows(rows_.cols());
  const Index blocks = (n + block - 1) / block;
  context.workers.ParallelFor(
      blocks * (blocks + 1) / 2, context.stop, [&](Index position) {
        const TileIndex index = TileAt(position, blocks);
        const Index row = index.row * block;
        const Index col = index.col * block;
        const Index row_count = std::min(block, n - row);
        const Index col_count = std::min(block, n - col);
        AlignedVector<double> logits(
            static_cast<std::size_t>(row_count * col_count));
        ExpTile<double> tile =
            StripLogits<double>({.rows = rows_.centred.data(),
                                 .offsets = offsets_.data(),
                                 .scale = rows_.scale,
                                 .d = rows_.cols(),
                                 .first_row = row,
                                 .row_count = row_count,
                                 .first_col = col,
                                 .col_count = col_count},
                                logits.data());
        tile.unit_diagonal = unit_diagonal_ && row == col;
        ExponentiateTile(tile);
        for (Index i = 0; i < row_count; ++i) {
          const Index from = row == col ? i : 0;
          std::copy(tile.logits + i * col_count + from,
                    tile.logits + (i + 1) * col_count,
                    out.row(row + i) + col + from);
        }
      });
  return CheckStop(context.stop);
}

double KernelProduct::WorkBytes(Index n, Index k, int workers) {
  const auto vectors = static_cast<double>(std::min(k, kVectorsMax));
  const double slots =
      static_cast<double>(kSlotsMax + 1) * static_cast<double>(n) * vectors;
  const double tile = 256.0 * 256.0 + 2.0 * 256.0 * vectors;
  return 8.0 * (slots + static_cast<double>(workers) * tile);
}

}  // namespace steelyard
