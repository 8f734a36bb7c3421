#include "preconditioner/low_rank_preconditioner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>

#include "kernel/certificate.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"
#include "preconditioner/factor_product.h"

namespace steelyard {
namespace {

// Of the Gram matrix: a task multiplies two blocks of kTile rows of F'.
constexpr Index kTile = 256;
constexpr Index kPanel = 512;
// Of an application: F' comes by panels of columns.
constexpr Index kApplyPanel = 2048;
constexpr Index kSlotsMax = 32;
// Up to so many vectors, one by one while the rows of F' are in the first
// cache; more by products.
constexpr Index kVectorsOneByOne = 4;
constexpr Index kApplyRows = 64;
constexpr double kSquaredErrorMax = 1e-3;
// Of two tiles whose traces of B'B are t and t': u_32 sqrt(t t'), a bound on
// what a norm of their product is off by (panels of 512 terms in float32 are
// off by less than u_32 together).
constexpr double kUnitRoundoff32 = 0x1p-24;
constexpr double kTileErrorMax = 1e-2;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilDiv(Index a, Index b) { return (a + b - 1) / b; }

template <typename T>
FactorTile<T> TileOf(const Block<const T>& part) {
  return {part.data, part.rows, part.cols, part.stride};
}

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
std::vector<double> TracesOfSquare(const FactorColumns& factor,
                                   const std::vector<double>& inverse,
                                   const ComputeContext& context) {
  const Index tiles = CeilDiv(factor.rank, kTile);
  const Index panels = CeilDiv(factor.size, kApplyPanel);
  Matrix<double> sums(panels, tiles);
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index first = panel * kApplyPanel;
    const Index count = std::min(kApplyPanel, factor.size - first);
    std::vector<double> squares(At(count));
    for (Index tile = 0; tile < tiles; ++tile) {
      std::fill(squares.begin(), squares.end(), 0.0);
      factor.ForParts(tile * kTile, kTile, first, count,
                      [&](Index, const auto& f) { AddSquares(f, squares); });
      for (Index i = 0; i < count; ++i) {
        sums(panel, tile) += squares[At(i)] * inverse[At(first + i)];
      }
    }
  });
  std::vector<double> traces(At(tiles));
  for (Index panel = 0; panel < panels; ++panel) {
    for (Index tile = 0; tile < tiles; ++tile) {
      traces[At(tile)] += sums(panel, tile);
    }
  }
  return traces;
}

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

  // sum += F'(rows) D^-1 F(cols) of the panels [begin, end).
  void Add(const TilePair& pair, Index begin, Index end, const StopToken& stop,
           Matrix<double>& sum) {
    auto lease = scratch_.Borrow();
    T* const left = lease.data();
    for (Index p = begin; p < end; ++p) {
      if (stop.stop_requested()) return;
      const Index first = p * kPanel;
      const Index count = std::min(kPanel, factor_.size - first);
      factor_.CopyPart(pair.row, pair.rows, first, count, left);
      for (Index j = 0; j < pair.rows; ++j) {
        T* const row = left + j * count;
        for (Index i = 0; i < count; ++i) row[i] *= inverse_[At(first + i)];
      }
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

// The upper triangle of I + F' D^-1 F. Tiles side by side; few tiles are cut
// into segments of the sum, too.
absl::StatusOr<Matrix<double>> GramPlusIdentity(
    const FactorColumns& factor, const std::vector<double>& inverse,
    const std::vector<double>& traces, const ComputeContext& context) {
  const Index rank = factor.rank;
  const Index tiles = CeilDiv(rank, kTile);
  const Index pairs = tiles * (tiles + 1) / 2;
  const Index panels = CeilDiv(factor.size, kPanel);
  const Index segments = std::min(panels, CeilDiv(16, pairs));
  std::vector<Matrix<double>> sums(At(pairs * segments));
  TileProducts<double> wide(factor, inverse);
  TileProducts<float> narrow(factor, inverse);
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
    const Index segment = task % segments;
    const Index begin = panels * segment / segments;
    const Index end = panels * (segment + 1) / segments;
    const double error =
        kUnitRoundoff32 * std::sqrt(traces[At(row)] * traces[At(col)]);
    if (error <= kTileErrorMax && factor.IsFloat32(pair.row, pair.rows) &&
        factor.IsFloat32(pair.col, pair.cols)) {
      narrow.Add(pair, begin, end, context.stop, sum);
    } else {
      wide.Add(pair, begin, end, context.stop, sum);
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

absl::StatusOr<Matrix<double>> ByHouseholder(
    const FactorColumns& factor, const std::vector<double>& diagonal,
    const ComputeContext& context) {
  RowSource source;
  source.rows = factor.size;
  source.cols = factor.rank;
  source.load = [&](Index first, Block<double> out) {
    factor.ForParts(0, factor.rank, first, out.rows,
                    [&](Index row, const auto& f) {
                      for (Index j = 0; j < f.rows; ++j) {
                        for (Index i = 0; i < f.cols; ++i) {
                          out(i, row + j) = static_cast<double>(f(j, i)) /
                                            std::sqrt(diagonal[At(first + i)]);
                        }
                      }
                    });
  };
  return TallSkinnyQr(source, std::vector<double>(At(factor.rank), 1.0),
                      context);
}

// body(j, part of f from row j on): some kApplyRows rows at a time, which stay
// in a cache.
template <typename T, class Body>
void ForRows(const Block<const T>& f, Index rows, const Body& body) {
  for (Index j = 0; j < f.rows; j += rows) {
    body(j, f.Part(j, 0, std::min(rows, f.rows - j), f.cols));
  }
}

// In float64, for products.
Block<const double> Widened(const Block<const double>& f, double*) { return f; }
Block<const double> Widened(const Block<const float>& f, double* out) {
  for (Index j = 0; j < f.rows; ++j) {
    std::copy(f.row(j), f.row(j) + f.cols, out + j * f.cols);
  }
  return {out, f.rows, f.cols, f.cols};
}

// sums += v f', f some rows of F'.
template <typename T>
void AddTimes(const Block<const double>& v, const Block<const T>& f,
              const Block<double>& sums, ScratchPool& scratch) {
  if (v.rows <= kVectorsOneByOne) {
    ForRows(f, v.rows == 1 ? f.rows : 4, [&](Index j, const auto& part) {
      for (Index c = 0; c < v.rows; ++c) {
        AddProducts(TileOf(part), v.row(c), sums.row(c) + j);
      }
    });
    return;
  }
  ScratchPool::Lease lease = scratch.Borrow();
  ForRows(f, kApplyRows, [&](Index j, const auto& part) {
    Gemm(1.0, v, Transposed(Widened(part, lease.data())), 1.0,
         sums.Part(0, j, v.rows, part.rows));
  });
}

// sums += y f, y the coefficients of these rows of F'.
template <typename T>
void AddCombinations(const Block<const double>& y, const Block<const T>& f,
                     const Block<double>& sums, ScratchPool& scratch) {
  if (y.rows <= kVectorsOneByOne) {
    ForRows(f, y.rows == 1 ? f.rows : 4, [&](Index j, const auto& part) {
      for (Index c = 0; c < y.rows; ++c) {
        AddCombination(TileOf(part), y.row(c) + j, sums.row(c));
      }
    });
    return;
  }
  ScratchPool::Lease lease = scratch.Borrow();
  ForRows(f, kApplyRows, [&](Index j, const auto& part) {
    Gemm(1.0, y.Part(0, j, y.rows, part.rows),
         Operand<double>(Widened(part, lease.data())), 1.0, sums);
  });
}

// k x r: the vectors times F, a panel of rows of F after the other in at most
// kSlotsMax sums.
Matrix<double> TimesFactor(const FactorColumns& factor, const Matrix<double>& v,
                           const ComputeContext& context) {
  const Index panels = CeilDiv(factor.size, kApplyPanel);
  const Index slots = std::min(panels, kSlotsMax);
  std::vector<Matrix<double>> sums(At(slots));
  ScratchPool scratch(kApplyRows * kApplyPanel);
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    Matrix<double>& sum = sums[At(slot)];
    sum = Matrix<double>(v.rows(), factor.rank);
    const Index end = panels * (slot + 1) / slots;
    for (Index p = panels * slot / slots; p < end; ++p) {
      if (context.stop.stop_requested()) return;
      const Index first = p * kApplyPanel;
      const Index count = std::min(kApplyPanel, factor.size - first);
      factor.ForParts(
          0, factor.rank, first, count, [&](Index row, const auto& f) {
            AddTimes(BlockOf(v).Part(0, first, v.rows(), count), f,
                     BlockOf(sum).Part(0, row, v.rows(), f.rows), scratch);
          });
    }
  });
  for (Index slot = 1; slot < slots; ++slot) {
    for (Index i = 0; i < sums[At(slot)].size(); ++i) {
      sums[0].data()[i] += sums[At(slot)].data()[i];
    }
  }
  return std::move(sums[0]);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LowRankPreconditioner>>
LowRankPreconditioner::Make(Parts parts, const ComputeContext& context) {
  const FactorColumns& factor = parts.factor;
  std::vector<double> inverse;
  for (const double d : parts.diagonal) inverse.push_back(1.0 / d);
  const std::vector<double> traces = TracesOfSquare(factor, inverse, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  const double trace = std::accumulate(traces.begin(), traces.end(), 0.0);
  Matrix<double> r;
  if (factor.rank == 0) {
    // P = D.
  } else if (kUnitRoundoff * static_cast<double>(factor.rank) * trace <=
             kSquaredErrorMax) {
    absl::StatusOr<Matrix<double>> gram =
        GramPlusIdentity(factor, inverse, traces, context);
    if (!gram.ok()) return gram.status();
    r = *std::move(gram);
    // I + B'B >= I and its rounding errors are some per cent: positive
    // definite.
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(r.data(), r.rows(), r.cols(), context);
    if (!outcome.ok()) return outcome.status();
  } else {
    absl::StatusOr<Matrix<double>> triangle =
        ByHouseholder(factor, parts.diagonal, context);
    if (!triangle.ok()) return triangle.status();
    r = *std::move(triangle);
  }
  return std::unique_ptr<LowRankPreconditioner>(
      new LowRankPreconditioner(std::move(parts), std::move(r)));
}

std::int64_t LowRankPreconditioner::bytes() const {
  const auto words =
      static_cast<std::int64_t>(parts_.diagonal.capacity()) + r_.size();
  return static_cast<std::int64_t>(sizeof(*this)) + parts_.factor.bytes() +
         words * static_cast<std::int64_t>(sizeof(double)) +
         static_cast<std::int64_t>(parts_.description.capacity());
}

absl::Status LowRankPreconditioner::Apply(Matrix<double>& v,
                                          const ComputeContext& context) const {
  const FactorColumns& factor = parts_.factor;
  const Index n = factor.size;
  const Index k = v.rows();
  const Index panels = CeilDiv(n, kApplyPanel);
  // v := D^-1 v
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index last = std::min(n, (panel + 1) * kApplyPanel);
    for (Index c = 0; c < k; ++c) {
      double* const row = v.row(c);
      for (Index i = panel * kApplyPanel; i < last; ++i) {
        row[i] /= parts_.diagonal[At(i)];
      }
    }
  });
  if (factor.rank == 0) return CheckStop(context.stop);
  // y = (I + F'D^-1F)^-1 F' v
  Matrix<double> y = TimesFactor(factor, v, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  const Operand<double> r(BlockOf(r_));
  absl::Status done = SolveUpperFromRight(BlockOf(y), r, context.stop);
  if (!done.ok()) return done;
  done = SolveUpperFromRight(BlockOf(y), Transposed(BlockOf(r_)), context.stop);
  if (!done.ok()) return done;
  // v -= D^-1 F y
  ScratchPool scratch(kApplyRows * kApplyPanel);
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index first = panel * kApplyPanel;
    const Index count = std::min(kApplyPanel, n - first);
    Matrix<double> sum(k, count);
    factor.ForParts(
        0, factor.rank, first, count, [&](Index row, const auto& f) {
          AddCombinations(BlockOf(std::as_const(y)).Part(0, row, k, f.rows), f,
                          BlockOf(sum), scratch);
        });
    for (Index c = 0; c < k; ++c) {
      for (Index i = 0; i < count; ++i) {
        v(c, first + i) -= sum(c, i) / parts_.diagonal[At(first + i)];
      }
    }
  });
  return CheckStop(context.stop);
}

Cost CostOfLowRank(Index rank, Index n, int workers) {
  const auto r = static_cast<double>(rank);
  const auto rows = static_cast<double>(n);
  // Householder wants the most of both.
  Cost cost = CostOfTallSkinnyQr(n, rank, workers);
  const double tiles = 16.0 + (r / kTile + 1.0) * (r / kTile + 1.0);
  // Sums; what a worker multiplies, in either precision.
  const double gram =
      8.0 * kTile * kTile * tiles +
      12.0 * kTile * (2.0 * kPanel + kTile) * static_cast<double>(workers);
  // The triangle, D, its inverse in both precisions.
  cost.bytes = std::max(cost.bytes, gram) +
               8.0 * (r * r + 3.0 * r + 6.0 * rows) + 4096.0;
  cost.flops += rows * r;
  return cost;
}

}  // namespace steelyard
