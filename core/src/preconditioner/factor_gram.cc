#include "preconditioner/factor_gram.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>

#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"

namespace steelyard {
namespace {

// A task multiplies two blocks of kTile rows of F'.
constexpr Index kTile = 256;
constexpr Index kPanel = 512;
constexpr Index kSquarePanel = 2048;
// Of two tiles whose traces of B'B are t and t', B = D^-1/2 F: u_32 sqrt(t t')
// bounds what a norm of their product is off by (panels of 512 terms in float32
// are off by less than u_32 together).
constexpr double kUnitRoundoff32 = 0x1p-24;
constexpr double kTileErrorMax = 1e-2;
// Of the mean square of a row of B.
constexpr double kHeavy = 3.0;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilDiv(Index a, Index b) { return (a + b - 1) / b; }

// squares_i += the squares of column i.
template <typename T>
void AddSquares(const Block<const T>& f, std::vector<double>& squares) {
  for (Index j = 0; j < f.rows; ++j) {
    for (Index i = 0; i < f.cols; ++i) {
      const auto value = static_cast<double>(f(j, i));
      squares[At(i)] += value * value;
    }
  }
}

// tr(B'B) of each tile of kTile columns of B.
std::vector<double> TileTraces(const FactorColumns& factor,
                               const std::vector<double>& inverse,
                               const ComputeContext& context) {
  const Index tiles = CeilDiv(factor.rank, kTile);
  std::vector<double> traces(At(tiles));
  context.workers.ParallelFor(tiles, context.stop, [&](Index tile) {
    std::vector<double> squares;
    for (Index first = 0; first < factor.size; first += kSquarePanel) {
      if (context.stop.stop_requested()) return;
      const Index count = std::min(kSquarePanel, factor.size - first);
      squares.assign(At(count), 0.0);
      factor.ForParts(tile * kTile, kTile, first, count,
                      [&](Index, const auto& f) { AddSquares(f, squares); });
      for (Index i = 0; i < count; ++i) {
        traces[At(tile)] += squares[At(i)] * inverse[At(first + i)];
      }
    }
  });
  return traces;
}

// Rows of F that are multiplied in float64, gathered.
struct HeavyRows {
  FactorColumns factor;
  std::vector<double> inverse;  // of D, of these rows
  std::vector<double> others;   // of D, 0 for these rows
};

HeavyRows GatherHeavy(const FactorColumns& factor,
                      const std::vector<double>& inverse,
                      const std::vector<double>& squares,
                      const ComputeContext& context) {
  HeavyRows heavy{.factor = {.size = 0, .rank = factor.rank, .blocks = {}},
                  .inverse = {},
                  .others = inverse};
  const double mean = std::accumulate(squares.begin(), squares.end(), 0.0) /
                      static_cast<double>(factor.size);
  std::vector<Index> rows;
  for (Index i = 0; i < factor.size; ++i) {
    if (squares[At(i)] > kHeavy * mean) rows.push_back(i);
  }
  const auto count = static_cast<Index>(rows.size());
  // Work and memory beside those of the rest.
  if (count > factor.rank || !factor.IsFloat32(0, 1)) return heavy;
  for (const Index i : rows) {
    heavy.inverse.push_back(inverse[At(i)]);
    heavy.others[At(i)] = 0.0;
  }
  auto columns =
      std::make_shared<Matrix<float>>(Matrix<float>::Unset(factor.rank, count));
  context.workers.ParallelFor(
      CeilDiv(factor.rank, kTile), context.stop, [&](Index tile) {
        factor.ForParts(tile * kTile, kTile, 0, factor.size,
                        [&](Index row, const auto& f) {
                          for (Index j = 0; j < f.rows; ++j) {
                            float* const out = columns->row(row + j);
                            for (Index t = 0; t < count; ++t) {
                              out[t] = static_cast<float>(f(j, rows[At(t)]));
                            }
                          }
                        });
      });
  heavy.factor.size = count;
  heavy.factor.blocks.push_back(std::move(columns));
  return heavy;
}

struct Segment {
  Index index = 0;
  Index count = 1;
  // Its share of some panels.
  Index begin(Index panels) const { return panels * index / count; }
  Index end(Index panels) const { return panels * (index + 1) / count; }
};

// Two tiles of F' D^-1 F, a panel of the sum after the other.
struct TilePair {
  Index row = 0;
  Index rows = 0;
  Index col = 0;
  Index cols = 0;
};

template <typename T>
class TileProducts {
 public:
  TileProducts(const FactorColumns& factor, const std::vector<double>& inverse)
      : factor_(factor),
        inverse_(inverse.begin(), inverse.end()),
        scratch_(kTile * (2 * kPanel + kTile)) {}

  // sum += F'(rows) D^-1 F(cols) of a segment of the panels.
  void Add(const TilePair& pair, const Segment& segment, const StopToken& stop,
           Matrix<double>& sum) {
    const Index panels = CeilDiv(factor_.size, kPanel);
    auto lease = scratch_.Borrow();
    T* const left = lease.data();
    for (Index p = segment.begin(panels); p < segment.end(panels); ++p) {
      if (stop.stop_requested()) return;
      const Index first = p * kPanel;
      const Index count = std::min(kPanel, factor_.size - first);
      const T* const weights = inverse_.data() + first;
      factor_.ForParts(pair.row, pair.rows, first, count,
                       [&](Index row, const auto& part) {
                         for (Index j = 0; j < part.rows; ++j) {
                           const auto* const from = part.row(j);
                           T* const to = left + (row + j - pair.row) * count;
                           for (Index i = 0; i < count; ++i) {
                             to[i] = static_cast<T>(from[i]) * weights[i];
                           }
                         }
                       });
      T* const work = left + kTile * kPanel;
      AddProduct(pair, first, {left, pair.rows, count, count}, work, sum);
    }
  }

 private:
  void AddProduct(const TilePair& pair, Index first, Block<const T> left,
                  T* work, Matrix<double>& sum) {
    const Index count = left.cols;
    if constexpr (std::is_same_v<T, float>) {
      // As it is kept: one product for every block that is met.
      const Block<float> product{work, pair.rows, pair.cols, pair.cols};
      factor_.ForParts(
          pair.col, pair.cols, first, count, [&](Index row, const auto& part) {
            if constexpr (sizeof(*part.data) == sizeof(float)) {
              Gemm(1.0F, left, Transposed(part), 0.0F,
                   product.Part(0, row - pair.col, pair.rows, part.rows));
            }
          });
      for (Index i = 0; i < sum.size(); ++i) sum.data()[i] += work[i];
    } else {
      factor_.CopyPart(pair.col, pair.cols, first, count, work);
      Gemm(1.0, left,
           Transposed(Block<const double>{work, pair.cols, count, count}), 1.0,
           BlockOf(sum));
    }
  }

  const FactorColumns& factor_;
  const AlignedVector<T> inverse_;
  ScratchPoolOf<T> scratch_;
};

}  // namespace

std::vector<double> RowSquares(const FactorColumns& factor,
                               const std::vector<double>& inverse,
                               const ComputeContext& context) {
  std::vector<double> squares(At(factor.size));
  context.workers.ParallelFor(
      CeilDiv(factor.size, kSquarePanel), context.stop, [&](Index panel) {
        const Index first = panel * kSquarePanel;
        const Index count = std::min(kSquarePanel, factor.size - first);
        std::vector<double> sums(At(count));
        factor.ForParts(0, factor.rank, first, count,
                        [&](Index, const auto& f) { AddSquares(f, sums); });
        for (Index i = 0; i < count; ++i) {
          squares[At(first + i)] = sums[At(i)] * inverse[At(first + i)];
        }
      });
  return squares;
}

// Tiles side by side; few tiles are cut into segments of the sum, too.
absl::StatusOr<Matrix<double>> GramPlusIdentity(
    const FactorColumns& factor, const std::vector<double>& inverse,
    const std::vector<double>& squares, const ComputeContext& context) {
  const Index rank = factor.rank;
  const Index tiles = CeilDiv(rank, kTile);
  const Index pairs = tiles * (tiles + 1) / 2;
  const Index panels = CeilDiv(factor.size, kPanel);
  const Index segments = std::min(panels, CeilDiv(16, pairs));
  const HeavyRows heavy = GatherHeavy(factor, inverse, squares, context);
  const std::vector<double> traces = TileTraces(factor, heavy.others, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  std::vector<Matrix<double>> sums(At(pairs * segments));
  TileProducts<double> wide(factor, inverse);
  TileProducts<float> narrow(factor, heavy.others);
  TileProducts<double> beside(heavy.factor, heavy.inverse);
  context.workers.ParallelFor(pairs * segments, context.stop, [&](Index task) {
    Index col = 0;
    Index row = task / segments;
    while (row > col) row -= ++col;
    const TilePair pair{.row = row * kTile,
                        .rows = std::min(kTile, rank - row * kTile),
                        .col = col * kTile,
                        .cols = std::min(kTile, rank - col * kTile)};
    Matrix<double>& sum = sums[At(task)];
    sum = Matrix<double>(pair.rows, pair.cols);
    const Segment segment{.index = task % segments, .count = segments};
    const double error =
        kUnitRoundoff32 * std::sqrt(traces[At(row)] * traces[At(col)]);
    if (error <= kTileErrorMax && factor.IsFloat32(pair.row, pair.rows) &&
        factor.IsFloat32(pair.col, pair.cols)) {
      narrow.Add(pair, segment, context.stop, sum);
      beside.Add(pair, segment, context.stop, sum);
    } else {
      wide.Add(pair, segment, context.stop, sum);
    }
  });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  Matrix<double> gram(rank, rank);
  Index pair = 0;
  for (Index col = 0; col < tiles; ++col) {
    for (Index row = 0; row <= col; ++row, ++pair) {
      for (Index segment = 0; segment < segments; ++segment) {
        const Matrix<double>& sum = sums[At(pair * segments + segment)];
        for (Index i = 0; i < sum.rows(); ++i) {
          double* const out = gram.row(row * kTile + i) + col * kTile;
          for (Index j = 0; j < sum.cols(); ++j) out[j] += sum(i, j);
        }
      }
    }
  }
  for (Index i = 0; i < rank; ++i) gram(i, i) += 1.0;
  return gram;
}

double FactorGramBytes(Index rank, Index n, int workers) {
  const auto r = static_cast<double>(rank);
  const double tiles = 16.0 + (r / kTile + 1.0) * (r / kTile + 1.0);
  // Sums, what a worker multiplies in three ways, the heavy rows, D^-1.
  return 8.0 * kTile * kTile * tiles +
         20.0 * kTile * (2.0 * kPanel + kTile) * static_cast<double>(workers) +
         r * (4.0 * r + 16.0) + 24.0 * static_cast<double>(n);
}

}  // namespace steelyard
