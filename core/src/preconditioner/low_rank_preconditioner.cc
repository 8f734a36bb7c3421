#include "preconditioner/low_rank_preconditioner.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernel/certificate.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"
#include "preconditioner/factor_gram.h"
#include "preconditioner/factor_product.h"

namespace steelyard {
namespace {

// Of an application: F' comes by panels of columns.
constexpr Index kApplyPanel = 2048;
constexpr Index kSlotsMax = 32;
// Up to so many vectors, one by one while the rows of F' are in the first
// cache; more by products.
constexpr Index kVectorsOneByOne = 4;
constexpr Index kApplyRows = 64;
constexpr double kSquaredErrorMax = 1e-3;
std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilDiv(Index a, Index b) { return (a + b - 1) / b; }

template <typename T>
FactorTile<T> TileOf(const Block<const T>& part) {
  return {part.data, part.rows, part.cols, part.stride};
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
  const std::vector<double> squares = RowSquares(factor, inverse, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  const double trace = std::accumulate(squares.begin(), squares.end(), 0.0);
  Matrix<double> r;  // of rank 0: P = D
  bool found = factor.rank == 0;
  if (!found && kUnitRoundoff * static_cast<double>(factor.rank) * trace <=
                    kSquaredErrorMax) {
    absl::StatusOr<Matrix<double>> gram =
        GramPlusIdentity(factor, inverse, squares, context);
    if (!gram.ok()) return gram.status();
    r = *std::move(gram);
    // I + B'B >= I and its rounding errors are some per cent.
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(r.data(), r.rows(), r.cols(), context);
    if (!outcome.ok()) return outcome.status();
    found = outcome->positive_definite;
  }
  if (!found) {
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
  // The triangle, D, its inverse twice, the squares.
  cost.bytes = std::max(cost.bytes, FactorGramBytes(rank, n, workers)) +
               8.0 * (r * r + 2.0 * r + 6.0 * rows) + 4096.0;
  cost.flops += rows * r;
  return cost;
}

}  // namespace steelyard
