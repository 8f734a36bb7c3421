#include "preconditioner/low_rank_preconditioner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernel/certificate.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"

namespace steelyard {
namespace {

// Of the Gram matrix: a task multiplies two blocks of kTile rows of F'.
constexpr Index kTile = 256;
constexpr Index kPanel = 512;
// Of an application: F' comes by panels of columns.
constexpr Index kApplyPanel = 2048;
constexpr Index kSlotsMax = 32;
constexpr double kSquaredErrorMax = 1e-3;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Index CeilDiv(Index a, Index b) { return (a + b - 1) / b; }

// body(first row of F', block of these rows, columns [first, first + count)).
template <class Body>
void ForBlocks(const FactorColumns& factor, Index first, Index count,
               const Body& body) {
  Index row = 0;
  for (const auto& block : factor.blocks) {
    const Index rows = std::min(block->rows(), factor.rank - row);
    if (rows <= 0) return;
    body(row, BlockOf(*block).Part(0, first, rows, count));
    row += rows;
  }
}

double TraceOfSquare(const FactorColumns& factor,
                     const std::vector<double>& diagonal,
                     const ComputeContext& context) {
  const Index panels = CeilDiv(factor.size, kApplyPanel);
  std::vector<double> sums(At(panels));
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index first = panel * kApplyPanel;
    const Index count = std::min(kApplyPanel, factor.size - first);
    double sum = 0.0;
    ForBlocks(factor, first, count, [&](Index, Block<const double> f) {
      for (Index j = 0; j < f.rows; ++j) {
        for (Index i = 0; i < count; ++i) {
          sum += f(j, i) * f(j, i) / diagonal[At(first + i)];
        }
      }
    });
    sums[At(panel)] = sum;
  });
  double trace = 0.0;
  for (const double sum : sums) trace += sum;
  return trace;
}

// The upper triangle of I + F' D^-1 F. Tiles side by side; few tiles are cut
// into segments of the sum, too.
absl::StatusOr<Matrix<double>> GramPlusIdentity(
    const FactorColumns& factor, const std::vector<double>& diagonal,
    const ComputeContext& context) {
  const Index rank = factor.rank;
  const Index tiles = CeilDiv(rank, kTile);
  const Index pairs = tiles * (tiles + 1) / 2;
  const Index panels = CeilDiv(factor.size, kPanel);
  const Index segments = std::min(panels, CeilDiv(16, pairs));
  std::vector<Matrix<double>> sums(At(pairs * segments));
  ScratchPool scratch(2 * kTile * kPanel);
  context.workers.ParallelFor(pairs * segments, context.stop, [&](Index task) {
    Index col = 0;
    Index row = task / segments;
    while (row > col) row -= ++col;
    const Index rows = std::min(kTile, rank - row * kTile);
    const Index cols = std::min(kTile, rank - col * kTile);
    Matrix<double>& sum = sums[At(task)];
    sum = Matrix<double>(rows, cols);
    ScratchPool::Lease lease = scratch.Borrow();
    double* const left = lease.data();
    double* const right = left + kTile * kPanel;
    const Index segment = task % segments;
    const Index end = panels * (segment + 1) / segments;
    for (Index p = panels * segment / segments; p < end; ++p) {
      if (context.stop.stop_requested()) return;
      const Index first = p * kPanel;
      const Index count = std::min(kPanel, factor.size - first);
      factor.CopyPart(row * kTile, rows, first, count, left);
      factor.CopyPart(col * kTile, cols, first, count, right);
      for (Index j = 0; j < rows; ++j) {
        for (Index i = 0; i < count; ++i) {
          left[j * count + i] /= diagonal[At(first + i)];
        }
      }
      Gemm(1.0, Block<const double>{left, rows, count, count},
           Transposed(Block<const double>{right, cols, count, count}), 1.0,
           BlockOf(sum));
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
    ForBlocks(factor, first, out.rows, [&](Index row, Block<const double> f) {
      for (Index j = 0; j < f.rows; ++j) {
        for (Index i = 0; i < f.cols; ++i) {
          out(i, row + j) = f(j, i) / std::sqrt(diagonal[At(first + i)]);
        }
      }
    });
  };
  return TallSkinnyQr(source, std::vector<double>(At(factor.rank), 1.0),
                      context);
}

// k x r: the vectors times F, a panel of rows of F after the other in at most
// kSlotsMax sums.
Matrix<double> TimesFactor(const FactorColumns& factor, const Matrix<double>& v,
                           const ComputeContext& context) {
  const Index panels = CeilDiv(factor.size, kApplyPanel);
  const Index slots = std::min(panels, kSlotsMax);
  std::vector<Matrix<double>> sums(At(slots));
  context.workers.ParallelFor(slots, context.stop, [&](Index slot) {
    Matrix<double>& sum = sums[At(slot)];
    sum = Matrix<double>(v.rows(), factor.rank);
    const Index end = panels * (slot + 1) / slots;
    for (Index p = panels * slot / slots; p < end; ++p) {
      if (context.stop.stop_requested()) return;
      const Index first = p * kApplyPanel;
      const Index count = std::min(kApplyPanel, factor.size - first);
      ForBlocks(factor, first, count, [&](Index row, Block<const double> f) {
        if (v.rows() == 1) {
          for (Index j = 0; j < f.rows; ++j) {
            sum(0, row + j) += Dot(f.row(j), v.row(0) + first, count);
          }
          return;
        }
        Gemm(1.0, BlockOf(v).Part(0, first, v.rows(), count), Transposed(f),
             1.0, BlockOf(sum).Part(0, row, v.rows(), f.rows));
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

void FactorColumns::CopyPart(Index first_factor, Index factors, Index first,
                             Index count, double* out) const {
  Index row = 0;
  for (const auto& block : blocks) {
    const Index begin = std::max(row, first_factor);
    const Index end = std::min(row + block->rows(), first_factor + factors);
    for (Index j = begin; j < end; ++j) {
      const double* from = block->row(j - row) + first;
      std::copy(from, from + count, out + (j - first_factor) * count);
    }
    row += block->rows();
  }
}

std::int64_t FactorColumns::bytes() const {
  std::int64_t total = 0;
  for (const auto& block : blocks) {
    total += block->size() * static_cast<Index>(sizeof(double));
  }
  return total;
}

absl::StatusOr<std::unique_ptr<LowRankPreconditioner>>
LowRankPreconditioner::Make(Parts parts, const ComputeContext& context) {
  const FactorColumns& factor = parts.factor;
  const double trace = TraceOfSquare(factor, parts.diagonal, context);
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  Matrix<double> r;
  if (factor.rank == 0) {
    // P = D.
  } else if (kUnitRoundoff * static_cast<double>(factor.rank) * trace <=
             kSquaredErrorMax) {
    absl::StatusOr<Matrix<double>> gram =
        GramPlusIdentity(factor, parts.diagonal, context);
    if (!gram.ok()) return gram.status();
    r = *std::move(gram);
    // I + B'B >= I and its rounding errors are below 1e-3: positive definite.
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
  context.workers.ParallelFor(panels, context.stop, [&](Index panel) {
    const Index first = panel * kApplyPanel;
    const Index count = std::min(kApplyPanel, n - first);
    Matrix<double> sum(k, count);
    ForBlocks(factor, first, count, [&](Index row, Block<const double> f) {
      if (k == 1) {
        for (Index j = 0; j < f.rows; ++j) {
          AddScaled(y(0, row + j), f.row(j), sum.row(0), count);
        }
        return;
      }
      Gemm(1.0, BlockOf(std::as_const(y)).Part(0, row, k, f.rows),
           Operand<double>(f), 1.0, BlockOf(sum));
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
  cost.bytes =
      std::max(cost.bytes, 8.0 * kTile *
                               (kTile * tiles +
                                2.0 * kPanel * static_cast<double>(workers))) +
      8.0 * (r * r + 2.0 * r + 2.0 * rows) + 4096.0;
  cost.flops += rows * r;
  return cost;
}

}  // namespace steelyard
