#include "kernel/row_product.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel/exp_tile.h"
#include "kernel/kernel_product.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// s (a_i - c).(a_j - c) for a block of rows and one of columns.
void FillLogits(const KernelRows& rows, RowRange left, RowRange right,
                double* logits) {
  const Index d = rows.cols();
  const Block<const double> a{rows.centred.row(left.first), left.count, d, d};
  const Block<const double> b{rows.centred.row(right.first), right.count, d, d};
  Gemm(rows.scale, Operand<double>(a), Transposed(b), 0.0,
       Block<double>{logits, left.count, right.count, right.count});
}

// Calls body(rows, columns, logits) for each tile of each block of rows.
template <typename Body>
absl::Status ForEachTile(const KernelRows& rows, RowRange all_left,
                         RowRange all_right, const ComputeContext& context,
                         Body body) {
  const Index tile = KernelTileRows(rows.cols()) / 2;
  const Index width = std::min(all_right.count, tile);
  // Few rows still are work for several threads.
  constexpr Index kBlocksMin = 8;
  constexpr Index kBlockRowsMin = 16;
  const Index block = std::clamp((all_left.count + kBlocksMin - 1) / kBlocksMin,
                                 std::min(kBlockRowsMin, tile), tile);
  const Index blocks = (all_left.count + block - 1) / block;
  context.workers.ParallelFor(blocks, context.stop, [&](Index task) {
    const RowRange left{all_left.first + task * block,
                        std::min(block, all_left.count - task * block)};
    AlignedVector<double> logits(static_cast<std::size_t>(block * width));
    for (Index done = 0; done < all_right.count; done += width) {
      if (context.stop.stop_requested()) return;
      const RowRange right{all_right.first + done,
                           std::min(width, all_right.count - done)};
      FillLogits(rows, left, right, logits.data());
      body(left, right, logits.data());
    }
  });
  return CheckStop(context.stop);
}

// The largest of a row of logits with their offsets. Four at a time: one after
// the other, every comparison would wait for the last.
double LargestOf(const double* row, const double* offset, Index count) {
  constexpr Index kLanes = 4;
  double most[kLanes];
  std::fill(most, most + kLanes, std::numeric_limits<double>::lowest());
  Index j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    for (Index lane = 0; lane < kLanes; ++lane) {
      most[lane] = std::max(most[lane], row[j + lane] + offset[j + lane]);
    }
  }
  for (; j < count; ++j) most[0] = std::max(most[0], row[j] + offset[j]);
  return *std::max_element(most, most + kLanes);
}

// The largest logit of each row of the tile so far, and what the sums that were
// taken relative to the old one are now to be multiplied with. `first` is the
// row of the sums that the tile's first one is.
void RaiseTops(const double* logits, const double* col_offset, Index first,
               Index rows, Index cols, RunningRowSums& running) {
  double* const top = running.top.data() + first;
  for (Index i = 0; i < rows; ++i) {
    const double most =
        std::max(top[i], LargestOf(logits + i * cols, col_offset, cols));
    if (most == top[i]) continue;
    const double factor = std::exp(top[i] - most);
    for (Index c = 0; c < running.sums.rows(); ++c) {
      running.sums(c, first + i) *= factor;
    }
    top[i] = most;
  }
}

}  // namespace

absl::Status MultiplyRows(const KernelRows& rows,
                          const std::vector<double>& row_offset,
                          const std::vector<double>& col_offset,
                          const Matrix<double>& v, Matrix<double>& out,
                          const ComputeContext& context) {
  const Index n = rows.rows();
  std::fill(out.data(), out.data() + out.size(), 0.0);
  return ForEachTile(
      rows, {0, n}, {0, n}, context,
      [&](RowRange left, RowRange right, double* logits) {
        MultiplyExpTile(
            ExpTile<double>{.logits = logits,
                            .rows = left.count,
                            .cols = right.count,
                            .stride = right.count,
                            .row_offset = row_offset.data() + left.first,
                            .col_offset = col_offset.data() + right.first},
            {.vectors = v.rows(),
             .right = v.data() + right.first,
             .right_stride = n,
             .row_sums = out.data() + left.first,
             .row_stride = n});
      });
}

absl::StatusOr<RunningRowSums> SumRows(const KernelRows& rows, RowRange left,
                                       RowRange right,
                                       const std::vector<double>& col_offset,
                                       const Matrix<double>& v,
                                       const ComputeContext& context) {
  RunningRowSums running;
  running.top.assign(static_cast<std::size_t>(left.count),
                     std::numeric_limits<double>::lowest());
  running.sums = Matrix<double>(v.rows(), left.count);
  const absl::Status done = ForEachTile(
      rows, left, right, context,
      [&](RowRange tile, RowRange cols, double* logits) {
        const Index first = tile.first - left.first;
        RaiseTops(logits, col_offset.data() + cols.first, first, tile.count,
                  cols.count, running);
        const double* const top = running.top.data() + first;
        std::vector<double> row_offset(static_cast<std::size_t>(tile.count));
        std::transform(top, top + tile.count, row_offset.begin(),
                       [](double value) { return -value; });
        MultiplyExpTile(
            ExpTile<double>{.logits = logits,
                            .rows = tile.count,
                            .cols = cols.count,
                            .stride = cols.count,
                            .row_offset = row_offset.data(),
                            .col_offset = col_offset.data() + cols.first},
            {.vectors = v.rows(),
             .right = v.data() + cols.first,
             .right_stride = v.cols(),
             .row_sums = running.sums.data() + first,
             .row_stride = left.count});
      });
  if (!done.ok()) return done;
  return running;
}

absl::StatusOr<RunningRowSums> SumRows(const KernelRows& rows,
                                       const std::vector<double>& col_offset,
                                       const Matrix<double>& v,
                                       const ComputeContext& context) {
  const RowRange all{0, rows.rows()};
  return SumRows(rows, all, all, col_offset, v, context);
}

}  // namespace steelyard
