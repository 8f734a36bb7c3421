#include "linalg/triangular.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kTile = 256;
// A task of an update is worth starting from about this many flops.
constexpr Index kFlopsPerTask = Index{1} << 21;

Index TileCount(Index n) { return (n + kTile - 1) / kTile; }

// [start, start + size) of tile i of n.
struct Range {
  Index start;
  Index size;
};

Range Tile(Index n, Index i) {
  return {i * kTile, std::min(kTile, n - i * kTile)};
}

// Tile (i, j) of the operand, whichever way its storage is read.
Operand<double> TileOf(const Operand<double>& r, Range i, Range j) {
  if (r.transposed) {
    return Transposed(r.block.Part(j.start, i.start, j.size, i.size));
  }
  return r.block.Part(i.start, j.start, i.size, j.size);
}

// Rows first .. first + count - 1 of tiles: B_i -= R_ij B_j, column chunks of
// B and rows of tiles side by side.
void UpdateRows(const Operand<double>& r, Block<double> b, Range j,
                Range tile_rows, const ComputeContext& context) {
  const Index n = b.rows;
  const Index chunks = TileCount(b.cols);
  const Index flops = 2 * kTile * kTile * std::min(b.cols, kTile);
  const Index group = std::max<Index>(1, kFlopsPerTask / flops);
  const Index groups = (tile_rows.size + group - 1) / group;
  context.workers.ParallelFor(groups * chunks, context.stop, [&](Index t) {
    const Range columns = Tile(b.cols, t % chunks);
    const Index begin = (t / chunks) * group;
    const Index end = std::min(begin + group, tile_rows.size);
    for (Index k = begin; k < end; ++k) {
      const Range i = Tile(n, tile_rows.start + k);
      Gemm(-1.0, TileOf(r, i, j),
           b.Part(j.start, columns.start, j.size, columns.size), 1.0,
           b.Part(i.start, columns.start, i.size, columns.size));
    }
  });
}

// X := R^-1 E_j, E_j columns [j.start, j.start + j.size) of the identity; X has
// j.start + j.size rows.
absl::Status InverseColumns(Block<const double> r, Index j, Block<double> x,
                            const StopToken& stop) {
  const Range columns = Tile(r.rows, j);
  for (Index i = 0; i < columns.size; ++i) {
    x(columns.start + i, i) = 1.0;
  }
  for (Index i = j; i >= 0; --i) {
    const Range rows = Tile(r.rows, i);
    Block<double> x_i = x.Part(rows.start, 0, rows.size, columns.size);
    for (Index k = i + 1; k <= j; ++k) {
      if (absl::Status s = CheckStop(stop); !s.ok()) return s;
      const Range inner = Tile(r.rows, k);
      Gemm(-1.0, r.Part(rows.start, inner.start, rows.size, inner.size),
           x.Part(inner.start, 0, inner.size, columns.size), 1.0, x_i);
    }
    TrsmUpper(Side::kLeft, r.Part(rows.start, rows.start, rows.size, rows.size),
              x_i);
  }
  return absl::OkStatus();
}

// Infinite when an entry is not finite or its square overflows: bounds that use
// it are then infinite too.
double SumOfSquares(const Matrix<double>& x) {
  double sum = 0.0;
  for (Index i = 0; i < x.size(); ++i) sum += x.data()[i] * x.data()[i];
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::infinity();
}

}  // namespace

absl::Status SolveUpper(Operand<double> r, Block<double> b,
                        const ComputeContext& context) {
  const Index n = b.rows;
  const Index tiles = TileCount(n);
  const Index chunks = TileCount(b.cols);
  for (Index step = 0; step < tiles; ++step) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    // R from its last tile up, R' from its first tile down.
    const Index tile = r.transposed ? step : tiles - 1 - step;
    const Range j = Tile(n, tile);
    context.workers.ParallelFor(chunks, context.stop, [&](Index t) {
      const Range columns = Tile(b.cols, t);
      TrsmUpper(Side::kLeft, TileOf(r, j, j),
                b.Part(j.start, columns.start, j.size, columns.size));
    });
    const Range rest =
        r.transposed ? Range{tile + 1, tiles - 1 - tile} : Range{0, tile};
    if (rest.size > 0) UpdateRows(r, b, j, rest, context);
  }
  return CheckStop(context.stop);
}

absl::Status SolveUpperFromRight(Block<double> b, Operand<double> r,
                                 const StopToken& stop) {
  const Index n = b.cols;
  const Index tiles = TileCount(n);
  for (Index step = 0; step < tiles; ++step) {
    const Index tile = r.transposed ? tiles - 1 - step : step;
    const Range j = Tile(n, tile);
    Block<double> b_j = b.Part(0, j.start, b.rows, j.size);
    // B_j := (B_j - sum of B_i R_ij over the tiles done) R_jj^-1
    for (Index done = 0; done < step; ++done) {
      if (stop.stop_requested()) return CheckStop(stop);
      const Range i = Tile(n, r.transposed ? tiles - 1 - done : done);
      Gemm(-1.0, b.Part(0, i.start, b.rows, i.size), TileOf(r, i, j), 1.0, b_j);
    }
    TrsmUpper(Side::kRight, TileOf(r, j, j), b_j);
  }
  return absl::OkStatus();
}

absl::Status MultiplyUpper(Operand<double> r, Block<const double> b,
                           Block<double> c, const ComputeContext& context) {
  const Index n = b.rows;
  const Index tiles = TileCount(n);
  context.workers.ParallelFor(tiles, context.stop, [&](Index t) {
    const Range i = Tile(n, t);
    const Block<double> c_i = c.Part(i.start, 0, i.size, c.cols);
    for (Index row = 0; row < i.size; ++row) {
      std::copy(b.row(i.start + row), b.row(i.start + row) + b.cols,
                c_i.row(row));
    }
    TrmmUpper(Side::kLeft, TileOf(r, i, i), c_i);
    const Index begin = r.transposed ? 0 : t + 1;
    const Index end = r.transposed ? t : tiles;
    for (Index k = begin; k < end; ++k) {
      if (context.stop.stop_requested()) return;
      const Range j = Tile(n, k);
      Gemm(1.0, TileOf(r, i, j), b.Part(j.start, 0, j.size, b.cols), 1.0, c_i);
    }
  });
  return CheckStop(context.stop);
}

absl::StatusOr<double> InverseFrobeniusNorm(Block<const double> r,
                                            const ComputeContext& context) {
  for (Index i = 0; i < r.rows; ++i) {
    if (r(i, i) == 0.0) return std::numeric_limits<double>::infinity();
  }
  const Index tiles = TileCount(r.rows);
  std::vector<double> squares(static_cast<std::size_t>(tiles), 0.0);
  context.workers.ParallelFor(tiles, context.stop, [&](Index t) {
    const Index j = tiles - 1 - t;  // the longest first
    const Range columns = Tile(r.rows, j);
    Matrix<double> x(columns.start + columns.size, columns.size);
    if (!InverseColumns(r, j, BlockOf(x), context.stop).ok()) return;
    squares[static_cast<std::size_t>(j)] = SumOfSquares(x);
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  double total = 0.0;
  for (const double square : squares) total += square;
  return std::sqrt(total);
}

absl::StatusOr<Matrix<double>> UpperInverse(const Matrix<double>& r,
                                            const ComputeContext& context) {
  Matrix<double> s(r.cols(), r.cols());
  for (Index i = 0; i < s.cols(); ++i) s(i, i) = 1.0;
  // R S = I
  const absl::Status status = SolveUpper(BlockOf(r), BlockOf(s), context);
  if (!status.ok()) return status;
  return s;
}

}  // namespace steelyard
