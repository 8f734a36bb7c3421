#include "power/split_gram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "factor/row_loader.h"
#include "linalg/double_double.h"
#include "linalg/split_products.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

// Columns of a task, and of a step of it: the triangle is cut by steps.
constexpr Index kGroup = 240;
constexpr Index kStep = 48;

struct Cut : SplitCut {
  Index groups;
};

Cut CutOf(Index n, Index d) {
  return {CutOfSplitPass(n, d, d, 1), (d + kGroup - 1) / kGroup};
}

class Pass {
 public:
  explicit Pass(const ScaledMatrix& a)
      : n_(Rows(a.view)),
        d_(Cols(a.view)),
        height_(SplitHeight(d_)),
        cut_(CutOf(n_, d_)),
        rows_(std::get<AnyMatrixView>(a.view), a.exponents),
        errors_(static_cast<std::size_t>(cut_.slots * cut_.groups)) {
    for (Index slot = 0; slot < cut_.slots; ++slot) {
      hi_.emplace_back(height_, height_);
      lo_.emplace_back(height_, height_);
    }
  }

  absl::StatusOr<SplitGram> Run(const ComputeContext& context) {
    context.workers.ParallelFor(
        cut_.slots * cut_.groups, context.stop, [&](Index task) {
          // The longest columns first.
          RunTask(task % cut_.slots, cut_.groups - 1 - task / cut_.slots,
                  context.stop);
        });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    SplitGram gram{.hi = Matrix<double>(d_, d_), .lo = Matrix<double>(d_, d_)};
    context.workers.ParallelFor(d_, context.stop,
                                [&](Index row) { Collect(row, gram); });
    if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
      return stopped;
    }
    for (Index i = 0; i < d_; ++i) {
      for (Index j = 0; j < i; ++j) {
        gram.hi(i, j) = gram.hi(j, i);
        gram.lo(i, j) = gram.lo(j, i);
      }
    }
    double errors = 0.0;
    for (const double error : errors_) errors += error;
    gram.rounding = std::sqrt(
        GrowthOfSplitSums(cut_.blocks / cut_.slots + 1, cut_.block_rows) *
        errors / static_cast<double>(d_));
    return gram;
  }

 private:
  void RunTask(Index slot, Index group, const StopToken& stop) {
    const Index from = group * kGroup;
    const Index to = std::min(d_, from + kGroup);
    const Index width = PaddedColumns(to - from);
    SplitStrips strips(to);
    SplitColumns columns(width);
    Matrix<double> panel = Matrix<double>::Unset(cut_.block_rows, to);
    std::vector<double> squares(static_cast<std::size_t>(width));
    std::vector<double> ceilings(static_cast<std::size_t>(width));
    const auto at = static_cast<std::size_t>(slot);
    double error = 0.0;
    const Index last = (slot + 1) * cut_.blocks / cut_.slots;
    for (Index block = slot * cut_.blocks / cut_.slots; block < last; ++block) {
      if (stop.stop_requested()) return;
      const Index row = block * cut_.block_rows;
      const Index count = std::min(cut_.block_rows, n_ - row);
      const Block<double> rows = BlockOf(panel).Part(0, 0, count, to);
      rows_.Load(row, 0, rows);
      strips.Set(rows);
      const Block<double> right = columns.Rows(count);
      for (Index i = 0; i < count; ++i) {
        std::copy_n(rows.row(i) + from, to - from, right.row(i));
        std::fill(right.row(i) + (to - from), right.row(i) + width, 0.0);
      }
      columns.Split(squares, ceilings);
      for (std::size_t c = 0; c < squares.size(); ++c) {
        error += strips.ExpectedSquare(ceilings[c], squares[c]);
      }
      for (Index first = 0; first < width; first += kStep) {
        const Index step = std::min(kStep, width - first);
        const Index tall = std::min(SplitHeight(to), from + first + step);
        AddSplitProduct(strips, columns, first,
                        BlockOf(hi_[at]).Part(0, from + first, tall, step),
                        BlockOf(lo_[at]).Part(0, from + first, tall, step));
      }
    }
    errors_[static_cast<std::size_t>(slot * cut_.groups + group)] = error;
  }

  // Row of the upper triangle: slots by a fixed tree.
  void Collect(Index row, SplitGram& gram) {
    for (Index step = 1; step < cut_.slots; step *= 2) {
      for (Index slot = 0; slot + step < cut_.slots; slot += 2 * step) {
        const auto to = static_cast<std::size_t>(slot);
        const auto from = static_cast<std::size_t>(slot + step);
        for (Index c = row; c < d_; ++c) {
          const DoubleDouble sum =
              Add(TwoSum(hi_[to](row, c), lo_[to](row, c)),
                  TwoSum(hi_[from](row, c), lo_[from](row, c)));
          hi_[to](row, c) = sum.hi;
          lo_[to](row, c) = sum.lo;
        }
      }
    }
    for (Index c = row; c < d_; ++c) {
      const DoubleDouble sum = TwoSum(hi_[0](row, c), lo_[0](row, c));
      gram.hi(row, c) = sum.hi;
      gram.lo(row, c) = sum.lo;
    }
  }

  Index n_, d_, height_;
  Cut cut_;
  RowLoader rows_;
  std::vector<Matrix<double>> hi_, lo_;  // a slot
  std::vector<double> errors_;           // a task
};

}  // namespace

absl::StatusOr<SplitGram> MakeSplitGram(const ScaledMatrix& a,
                                        const ComputeContext& context) {
  return Pass(a).Run(context);
}

Cost CostOfSplitGram(Index n, Index d, int workers) {
  const Cut cut = CutOf(n, d);
  const auto height = static_cast<double>(SplitHeight(d));
  const auto tasks = static_cast<double>(cut.slots * cut.groups);
  const double block =
      static_cast<double>(cut.block_rows) * static_cast<double>(d) +
      static_cast<double>(kSplitRows + 1) * (2.0 * height + 3.0 * kGroup);
  return {
      .flops = 3.0 * static_cast<double>(n) * height *
               (height + static_cast<double>(kStep)),
      .bytes =
          8.0 *
          (2.0 * (static_cast<double>(cut.slots) + 1.0) * height * height +
           std::min<double>(workers, tasks) * (block + 2.0 * kGroup) + tasks)};
}

}  // namespace steelyard
