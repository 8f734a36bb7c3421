#include "kernel/block_factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr Index kTile = 256;

// Square tiles of an upper triangle.
struct Tiles {
  Block<float> a;

  Index count() const { return (a.rows + kTile - 1) / kTile; }
  Index size(Index i) const { return std::min(kTile, a.rows - i * kTile); }
  Block<float> operator()(Index i, Index j) const {
    return a.Part(i * kTile, j * kTile, size(i), size(j));
  }
};

// R_kk, by way of float64.
bool FactorDiagonal(const Block<float>& tile) {
  Matrix<double> wide(tile.rows, tile.cols);
  for (Index i = 0; i < tile.rows; ++i) {
    std::copy(tile.row(i) + i, tile.row(i) + tile.cols, wide.row(i) + i);
  }
  if (PotrfUpper(BlockOf(wide)) >= 0) return false;
  for (Index i = 0; i < tile.rows; ++i) {
    std::transform(wide.row(i) + i, wide.row(i) + tile.cols, tile.row(i) + i,
                   [](double value) { return static_cast<float>(value); });
    if (!(tile(i, i) > 0.0F)) return false;
  }
  return true;
}

absl::StatusOr<bool> Factor(Matrix<float>& r, const ComputeContext& context) {
  const Tiles tiles{BlockOf(r)};
  const Index count = tiles.count();
  for (Index k = 0; k < count; ++k) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    if (!FactorDiagonal(tiles(k, k))) return false;
    const Index rest = count - k - 1;
    context.workers.ParallelFor(rest, context.stop, [&](Index t) {
      TrsmUpper(Side::kLeft, Transposed(tiles(k, k)), tiles(k, k + 1 + t));
    });
    // Column by column, the longest first.
    context.workers.ParallelFor(rest, context.stop, [&](Index t) {
      const Index j = count - 1 - t;
      for (Index i = k + 1; i < j; ++i) {
        if (context.stop.stop_requested()) return;
        Gemm(-1.0F, Transposed(tiles(k, i)), tiles(k, j), 1.0F, tiles(i, j));
      }
      SyrkUpper(-1.0F, Transposed(tiles(k, j)), 1.0F, tiles(j, j));
    });
  }
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return true;
}

absl::StatusOr<bool> Factor(Matrix<double>& r, const ComputeContext& context) {
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(r.data(), r.rows(), r.cols(), context);
  if (!outcome.ok()) return outcome.status();
  return outcome->positive_definite;
}

// v := R^-T v, then R^-1 v.
absl::Status SolveBoth(const Matrix<float>& r, Matrix<float>& v,
                       const ComputeContext& context) {
  const Block<const float> whole = BlockOf(r);
  const Index n = r.rows();
  const Index count = (n + kTile - 1) / kTile;
  const auto size = [&](Index i) { return std::min(kTile, n - i * kTile); };
  const auto tile = [&](Index i, Index j) {
    return whole.Part(i * kTile, j * kTile, size(i), size(j));
  };
  const auto part = [&](Index i) {
    return BlockOf(v).Part(i * kTile, 0, size(i), v.cols());
  };
  for (Index k = 0; k < count; ++k) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    TrsmUpper(Side::kLeft, Transposed(tile(k, k)), part(k));
    context.workers.ParallelFor(count - k - 1, context.stop, [&](Index t) {
      const Index i = k + 1 + t;
      Gemm(-1.0F, Transposed(tile(k, i)), part(k), 1.0F, part(i));
    });
  }
  for (Index k = count - 1; k >= 0; --k) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    TrsmUpper(Side::kLeft, Operand<float>(tile(k, k)), part(k));
    context.workers.ParallelFor(k, context.stop, [&](Index i) {
      Gemm(-1.0F, Operand<float>(tile(i, k)), part(k), 1.0F, part(i));
    });
  }
  return CheckStop(context.stop);
}

absl::Status SolveBoth(const Matrix<double>& r, Matrix<double>& v,
                       const ComputeContext& context) {
  const Block<const double> upper = BlockOf(r);
  absl::Status done = SolveUpper(Transposed(upper), BlockOf(v), context);
  if (!done.ok()) return done;
  return SolveUpper(Operand<double>(upper), BlockOf(v), context);
}

}  // namespace

template <typename T>
absl::StatusOr<BlockFactor<T>> BlockFactor<T>::Make(
    const BlockRows& rows, const std::vector<Index>& block, double& damping,
    const ComputeContext& context) {
  constexpr double kGrowth = 8.0;
  constexpr double kUnit = std::numeric_limits<T>::epsilon() / 2.0;
  const double size = static_cast<double>(block.size());
  damping = std::max(damping, kGrowth * kUnit * std::sqrt(size));
  for (;; damping *= kGrowth) {
    absl::StatusOr<Matrix<T>> s = rows.Square<T>(block, context);
    if (!s.ok()) return s.status();
    for (Index i = 0; i < s->rows(); ++i) {
      (*s)(i, i) += static_cast<T>(damping);
    }
    const absl::StatusOr<bool> factored = Factor(*s, context);
    if (!factored.ok()) return factored.status();
    // S_BB is positive semidefinite but for rounding.
    if (!*factored && damping <= size) continue;
    double least = 1.0;
    for (Index i = 0; i < s->rows(); ++i) {
      const auto pivot = static_cast<double>((*s)(i, i));
      least = std::min(least, pivot * pivot);
    }
    return BlockFactor(*std::move(s), least);
  }
}

template <typename T>
absl::Status BlockFactor<T>::Solve(Matrix<T>& v,
                                   const ComputeContext& context) const {
  return SolveBoth(r_, v, context);
}

template class BlockFactor<float>;
template class BlockFactor<double>;

}  // namespace steelyard
