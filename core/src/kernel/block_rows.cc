#include "kernel/block_rows.h"

#include <algorithm>
#include <cmath>

#include "kernel/exp_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kSlotsMax = 32;
// Columns and rows of a tile: it stays in the second cache.
constexpr Index kTileColumns = 512;
constexpr Index kTileRows = 64;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

template <typename T>
struct Gathered {
  Matrix<T> rows;  // |B| x d
  std::vector<T> offsets;
};

template <typename T>
Gathered<T> Gather(const T* rows, const T* offsets, Index d,
                   const std::vector<Index>& block) {
  const auto size = static_cast<Index>(block.size());
  Gathered<T> gathered{Matrix<T>(size, d), std::vector<T>(block.size())};
  for (Index i = 0; i < size; ++i) {
    const Index row = block[At(i)];
    std::copy(rows + row * d, rows + (row + 1) * d, gathered.rows.row(i));
    gathered.offsets[At(i)] = offsets[row];
  }
  return gathered;
}

// Logits of some gathered rows against rows [first, first + count).
template <typename T>
ExpTile<T> Logits(const Gathered<T>& left, Index row, Index rows,
                  const T* right, const T* right_offsets, Index count, T scale,
                  T* logits) {
  const Index d = left.rows.cols();
  Gemm(scale, Operand<T>(Block<const T>{left.rows.row(row), rows, d, d}),
       Transposed(Block<const T>{right, count, d, d}), T{0},
       Block<T>{logits, rows, count, count});
  return {.logits = logits,
          .rows = rows,
          .cols = count,
          .stride = count,
          .row_offset = left.offsets.data() + row,
          .col_offset = right_offsets};
}

}  // namespace

BlockRows::BlockRows(const KernelRows& rows, const SymmetricForm& form,
                     TilePrecision precision)
    : rows_(rows), form_(form), precision_(precision) {
  if (precision != TilePrecision::kFloat32) return;
  const double* from = rows.centred.data();
  rows32_.resize(At(rows.centred.size()));
  std::transform(from, from + rows.centred.size(), rows32_.begin(),
                 [](double value) { return static_cast<float>(value); });
  offsets32_.resize(form.offsets.size());
  std::transform(form.offsets.begin(), form.offsets.end(), offsets32_.begin(),
                 [](double value) { return static_cast<float>(value); });
}

template <typename T>
absl::Status BlockRows::MultiplyIn(const Operands<T>& all,
                                   const std::vector<Index>& block,
                                   const Matrix<double>& v, Matrix<double>& out,
                                   const ComputeContext& context) const {
  const Index n = rows_.rows();
  const Index d = rows_.cols();
  const Index k = v.rows();
  const auto size = static_cast<Index>(block.size());
  const Gathered<T> left = Gather(all.rows, all.offsets, d, block);
  const Index tiles = (n + kTileColumns - 1) / kTileColumns;
  const Index slots = std::min(tiles, kSlotsMax);
  Matrix<double> sums(slots, k * size);
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    AlignedVector<T> logits(At(kTileRows * kTileColumns));
    AlignedVector<T> weighted(At(k * kTileColumns));
    AlignedVector<T> part(At(k * kTileRows));
    for (Index tile = tiles * slot / slots; tile < tiles * (slot + 1) / slots;
         ++tile) {
      const Index first = tile * kTileColumns;
      const Index count = std::min(kTileColumns, n - first);
      for (Index c = 0; c < k; ++c) {
        for (Index j = 0; j < count; ++j) {
          weighted[At(c * count + j)] =
              static_cast<T>(form_.weight[At(first + j)] * v(c, first + j));
        }
      }
      for (Index row = 0; row < size; row += kTileRows) {
        if (context.stop.stop_requested()) return;
        const Index rows = std::min(kTileRows, size - row);
        std::fill(part.begin(), part.end(), T{0});
        MultiplyExpTile(
            Logits(left, row, rows, all.rows + first * d, all.offsets + first,
                   count, static_cast<T>(rows_.scale), logits.data()),
            TileProduct<T>{.vectors = k,
                           .right = weighted.data(),
                           .right_stride = count,
                           .row_sums = part.data(),
                           .row_stride = rows});
        for (Index c = 0; c < k; ++c) {
          double* const into = sums.row(slot) + c * size + row;
          for (Index i = 0; i < rows; ++i) {
            into[i] += static_cast<double>(part[At(c * rows + i)]);
          }
        }
      }
    }
  });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  for (Index slot = 1; slot < slots; ++slot) {
    AddScaled(1.0, sums.row(slot), sums.row(0), k * size);
  }
  for (Index c = 0; c < k; ++c) {
    for (Index i = 0; i < size; ++i) {
      const Index row = block[At(i)];
      out(c, i) = form_.weight[At(row)] * sums(0, c * size + i) +
                  form_.shift[At(row)] * v(c, row);
    }
  }
  return absl::OkStatus();
}

absl::Status BlockRows::Multiply(const std::vector<Index>& block,
                                 const Matrix<double>& v, Matrix<double>& out,
                                 const ComputeContext& context) const {
  if (precision_ == TilePrecision::kFloat32) {
    return MultiplyIn<float>({rows32_.data(), offsets32_.data()}, block, v, out,
                             context);
  }
  return MultiplyIn<double>({rows_.centred.data(), form_.offsets.data()}, block,
                            v, out, context);
}

absl::StatusOr<Matrix<double>> BlockRows::Square(
    const std::vector<Index>& block, const ComputeContext& context) const {
  const auto size = static_cast<Index>(block.size());
  const Gathered<double> left =
      Gather(rows_.centred.data(), form_.offsets.data(), rows_.cols(), block);
  Matrix<double> s(size, size);
  context.workers.ParallelFor(
      (size + kTileRows - 1) / kTileRows, context.stop, [&](Index panel) {
        const Index row = panel * kTileRows;
        const Index rows = std::min(kTileRows, size - row);
        const Index count = size - row;
        AlignedVector<double> logits(At(rows * count));
        const ExpTile<double> tile = Logits(left, row, rows, left.rows.row(row),
                                            left.offsets.data() + row, count,
                                            rows_.scale, logits.data());
        ExponentiateTile(tile);
        for (Index i = 0; i < rows; ++i) {
          double* const out = s.row(row + i);
          const double w = form_.weight[At(block[At(row + i)])];
          for (Index j = i + 1; j < count; ++j) {
            out[row + j] = w * logits[At(i * count + j)] *
                           form_.weight[At(block[At(row + j)])];
          }
          out[row + i] = 1.0;
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  return s;
}

}  // namespace steelyard
