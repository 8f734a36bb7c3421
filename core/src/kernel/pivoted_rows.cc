#include "kernel/pivoted_rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "kernel/dense_solver.h"
#include "kernel/kernel_product.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kBlock = 64;
constexpr Index kTile = 256;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double LogRidgeOfRow(const KernelRows& rows, const SymmetricForm& form,
                     Index i) {
  return std::log(PivotFloor(rows, i)) + form.log_diagonal[At(i)];
}

// Cholesky with the largest pivot first, in the upper triangle.
class PivotedCholesky {
 public:
  PivotedCholesky(const KernelRows& rows, Matrix<double> g)
      : rows_(rows),
        g_(std::move(g)),
        diagonal_(At(g_.rows()), 1.0),
        order_(At(g_.rows())) {
    std::iota(order_.begin(), order_.end(), Index{0});
  }

  // Stops where no pivot is above its floor. Rows of A by position; those at
  // `rank` and later are F.
  absl::StatusOr<Index> Factor(const ComputeContext& context) {
    const Index n = g_.rows();
    Index step = 0;
    while (step < n) {
      const Index first = step;
      const Index last = std::min(n, first + kBlock);
      for (; step < last; ++step) {
        if (absl::Status stop = CheckStop(context.stop); !stop.ok()) {
          return stop;
        }
        const auto largest =
            std::max_element(diagonal_.begin() + step, diagonal_.end());
        Exchange(step, largest - diagonal_.begin());
        if (!(diagonal_[At(step)] > PivotFloor(rows_, order_[At(step)]))) {
          return step;
        }
        Eliminate(first, step);
      }
      UpdateTrailing(first, last, context);
    }
    return n;
  }

  Index RowAt(Index position) const { return order_[At(position)]; }

 private:
  // Rows and columns i < j of the symmetric matrix change places.
  void Exchange(Index i, Index j) {
    if (i == j) return;
    for (Index t = 0; t < i; ++t) std::swap(g_(t, i), g_(t, j));
    for (Index t = i + 1; t < j; ++t) std::swap(g_(i, t), g_(t, j));
    for (Index t = j + 1; t < g_.rows(); ++t) std::swap(g_(i, t), g_(j, t));
    std::swap(diagonal_[At(i)], diagonal_[At(j)]);
    std::swap(order_[At(i)], order_[At(j)]);
  }

  // Row `step` of R; rows before `first` are in the matrix already.
  void Eliminate(Index first, Index step) {
    const Index n = g_.rows();
    double* row = g_.row(step);
    for (Index t = first; t < step; ++t) {
      const double* above = g_.row(t);
      const double factor = above[step];
      for (Index j = step + 1; j < n; ++j) row[j] -= factor * above[j];
    }
    const double root = std::sqrt(diagonal_[At(step)]);
    row[step] = root;
    for (Index j = step + 1; j < n; ++j) {
      row[j] /= root;
      diagonal_[At(j)] -= row[j] * row[j];
    }
  }

  void UpdateTrailing(Index first, Index last, const ComputeContext& context) {
    const Index n = g_.rows();
    const Index tiles = (n - last + kTile - 1) / kTile;
    const Block<double> all = BlockOf(g_);
    context.workers.ParallelFor(tiles * tiles, context.stop, [&](Index task) {
      const Index row = last + task / tiles * kTile;
      const Index col = last + task % tiles * kTile;
      if (row > col) return;
      const Index row_count = std::min(kTile, n - row);
      const Index col_count = std::min(kTile, n - col);
      const Block<double> left = all.Part(first, row, last - first, row_count);
      const Block<double> right = all.Part(first, col, last - first, col_count);
      Gemm(-1.0, Transposed(left), Operand<double>(right), 1.0,
           all.Part(row, col, row_count, col_count));
    });
  }

  const KernelRows& rows_;
  Matrix<double> g_;
  std::vector<double> diagonal_;
  std::vector<Index> order_;
};

}  // namespace

absl::StatusOr<SmallestRidge> FindSmallestRidge(const KernelRows& rows,
                                                const SymmetricForm& form,
                                                const ComputeContext& context) {
  const Index n = rows.rows();
  std::vector<double> offsets(rows.centred_square.size());
  std::transform(rows.centred_square.begin(), rows.centred_square.end(),
                 offsets.begin(), [](double q) { return -0.5 * q; });
  const KernelProduct product(rows, std::move(offsets), true);
  // Only the upper triangle counts; below it is whatever was there.
  auto g = Matrix<double>::Unset(n, n);
  if (absl::Status done = product.FillUpper(BlockOf(g), context); !done.ok()) {
    return done;
  }
  PivotedCholesky cholesky(rows, std::move(g));
  const absl::StatusOr<Index> rank = cholesky.Factor(context);
  if (!rank.ok()) return rank.status();
  // Every pivot above its floor, and yet no solution: any row may be the cause.
  if (*rank == n) {
    return SmallestRidge{LogSmallestRidgeBound(rows, form), n};
  }
  double log_ridge = LogRidgeOfRow(rows, form, cholesky.RowAt(*rank));
  for (Index position = *rank; position < n; ++position) {
    log_ridge = std::max(log_ridge,
                         LogRidgeOfRow(rows, form, cholesky.RowAt(position)));
  }
  return SmallestRidge{std::max(log_ridge, std::log(2.0 * form.ridge)), *rank};
}

double LogSmallestRidgeBound(const KernelRows& rows,
                             const SymmetricForm& form) {
  double log_ridge = std::log(2.0 * form.ridge);
  for (Index i = 0; i < rows.rows(); ++i) {
    log_ridge = std::max(log_ridge, LogRidgeOfRow(rows, form, i));
  }
  return log_ridge;
}

}  // namespace steelyard
