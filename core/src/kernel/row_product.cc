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

struct RowBlock {
  Index first = 0;
  Index count = 0;
};

// s (a_i - c).(a_j - c) for a block of rows and one of columns.
void FillLogits(const KernelRows& rows, RowBlock left, RowBlock right,
                double* logits) {
  const Index d = rows.cols();
  const Block<const double> a{rows.centred.row(left.first), left.count, d, d};
  const Block<const double> b{rows.centred.row(right.first), right.count, d, d};
  Gemm(rows.scale, Operand<double>(a), Transposed(b), 0.0,
       Block<double>{logits, left.count, right.count, right.count});
}

// Calls body(rows, columns, logits) for each tile of each block of rows.
template <typename Body>
absl::Status ForEachTile(const KernelRows& rows, const ComputeContext& context,
                         Body body) {
  const Index n = rows.rows();
  const Index block = std::min(n, KernelTileRows(rows.cols()) / 2);
  const Index blocks = (n + block - 1) / block;
  context.workers.ParallelFor(blocks, context.stop, [&](Index task) {
    const RowBlock left{task * block, std::min(block, n - task * block)};
    AlignedVector<double> logits(static_cast<std::size_t>(block * block));
    for (Index first = 0; first < n; first += block) {
      if (context.stop.stop_requested()) return;
      const RowBlock right{first, std::min(block, n - first)};
      FillLogits(rows, left, right, logits.data());
      body(left, right, logits.data());
    }
  });
  return CheckStop(context.stop);
}

// The largest logit of each row of the tile so far, and what the sums that were
// taken relative to the old one are now to be multiplied with.
void RaiseTops(const double* logits, const double* col_offset, RowBlock left,
               RowBlock right, double* top, RunningRowSums& running) {
  for (Index i = 0; i < left.count; ++i) {
    const double* row = logits + i * right.count;
    double most = top[i];
    for (Index j = 0; j < right.count; ++j) {
      most = std::max(most, row[j] + col_offset[j]);
    }
    if (most == top[i]) continue;
    const double factor = std::exp(top[i] - most);
    for (Index c = 0; c < running.sums.rows(); ++c) {
      running.sums(c, left.first + i) *= factor;
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
      rows, context, [&](RowBlock left, RowBlock right, double* logits) {
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

absl::StatusOr<RunningRowSums> SumRows(const KernelRows& rows,
                                       const std::vector<double>& col_offset,
                                       const Matrix<double>& v,
                                       const ComputeContext& context) {
  const Index n = rows.rows();
  RunningRowSums running;
  running.top.assign(static_cast<std::size_t>(n),
                     std::numeric_limits<double>::lowest());
  running.sums = Matrix<double>(v.rows(), n);
  const absl::Status done = ForEachTile(
      rows, context, [&](RowBlock left, RowBlock right, double* logits) {
        double* top = running.top.data() + left.first;
        RaiseTops(logits, col_offset.data() + right.first, left, right, top,
                  running);
        std::vector<double> row_offset(static_cast<std::size_t>(left.count));
        std::transform(top, top + left.count, row_offset.begin(),
                       [](double value) { return -value; });
        MultiplyExpTile(
            ExpTile<double>{.logits = logits,
                            .rows = left.count,
                            .cols = right.count,
                            .stride = right.count,
                            .row_offset = row_offset.data(),
                            .col_offset = col_offset.data() + right.first},
            {.vectors = v.rows(),
             .right = v.data() + right.first,
             .right_stride = n,
             .row_sums = running.sums.data() + left.first,
             .row_stride = n});
      });
  if (!done.ok()) return done;
  return running;
}

}  // namespace steelyard
