#include "preconditioner/random_pivots.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernel/dense_solver.h"
#include "kernel/exp_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr Index kFirstDraws = 8;
constexpr Index kDrawsMax = 128;
// Of the new columns: 128 x 1024 entries times a factor of some thousand
// columns take 30 ms.
constexpr Index kPanel = 1024;
// Of the rest in the diagonal of P.
constexpr double kOfRest = 0.25;
constexpr std::uint64_t kDrawStream = 0x5250;
constexpr std::uint64_t kTakeStream = 0x5251;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

RandomPivots::RandomPivots(const PreconditionerSource& source,
                           std::vector<double> importance)
    : rows_(source.rows),
      form_(source.form),
      product_(source.product),
      random_{.seed = {source.seed}, .stream = kDrawStream},
      draws_of_round_(std::min(kFirstDraws, source.rows.rows())),
      importance_(std::move(importance)),
      rest_(At(source.rows.rows())),
      floor_(At(source.rows.rows())) {
  for (Index i = 0; i < rows_.rows(); ++i) {
    const double square = form_.weight[At(i)] * form_.weight[At(i)];
    rest_[At(i)] = square * product_.Diagonal(i);
    floor_[At(i)] = PivotFloor(rows_, i) * rest_[At(i)];
  }
}

absl::Status RandomPivots::Grow(Index rank, const ComputeContext& context) {
  while (!complete_ && columns_ < rank) {
    if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
    const std::uint64_t drawn = drawn_;
    const std::uint64_t tried = tried_;
    const std::vector<Index> draws = Draw(draws_of_round_);
    if (draws.empty()) {
      complete_ = true;
      break;
    }
    Round round = Take(draws);
    const auto taken = static_cast<Index>(round.rows.size());
    if (absl::Status done = Append(std::move(round), context); !done.ok()) {
      drawn_ = drawn;
      tried_ = tried;
      return done;
    }
    if (2 * taken >= draws_of_round_) {
      draws_of_round_ =
          std::min({kDrawsMax, rows_.rows(), 2 * draws_of_round_});
    } else if (4 * taken < draws_of_round_) {
      draws_of_round_ =
          std::max(std::min(kFirstDraws, rows_.rows()), draws_of_round_ / 2);
    }
  }
  return absl::OkStatus();
}

// Rows with probability rest_i / sum(rest); none: no rest.
std::vector<Index> RandomPivots::Draw(Index count) {
  std::vector<double> sums(rest_.size());
  if (importance_.empty()) {
    std::partial_sum(rest_.begin(), rest_.end(), sums.begin());
  } else {
    double sum = 0.0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] = sum += importance_[i] * rest_[i];
    }
  }
  if (!(sums.back() > 0.0)) return {};
  std::vector<Index> draws;
  for (Index t = 0; t < count; ++t) {
    const double point = random_.Uniform(drawn_++) * sums.back();
    // The first whose sum is above the point: its own rest is not 0.
    const auto at = std::upper_bound(sums.begin(), sums.end(), point);
    if (at != sums.end()) draws.push_back(at - sums.begin());
  }
  return draws;
}

Matrix<double> RandomPivots::PivotRows(const std::vector<Index>& rows) const {
  Matrix<double> taken(static_cast<Index>(rows.size()), rows_.cols());
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const double* from = rows_.centred.row(rows[t]);
    std::copy(from, from + rows_.cols(), taken.row(static_cast<Index>(t)));
  }
  return taken;
}

// Columns `rows` of F', r x rows.
Matrix<double> RandomPivots::FactorAt(const std::vector<Index>& rows) const {
  Matrix<double> taken(columns_, static_cast<Index>(rows.size()));
  Index row = 0;
  for (const auto& block : blocks_) {
    for (Index j = 0; j < block->rows(); ++j, ++row) {
      for (std::size_t t = 0; t < rows.size(); ++t) {
        taken(row, static_cast<Index>(t)) = (*block)(j, rows[t]);
      }
    }
  }
  return taken;
}

// out := w E w, the given rows (a: those of A), columns from `first` on.
void RandomPivots::FillKernel(const std::vector<Index>& rows,
                              const Matrix<double>& a, Index first,
                              Block<double> out) const {
  Gemm(rows_.scale, Operand<double>(BlockOf(a)),
       Transposed(BlockOf(rows_.centred).Part(first, 0, out.cols, a.cols())),
       0.0, out);
  std::vector<double> offsets;
  for (const Index row : rows) offsets.push_back(form_.offsets[At(row)]);
  ExponentiateTile(ExpTile<double>{.logits = out.data,
                                   .rows = out.rows,
                                   .cols = out.cols,
                                   .stride = out.stride,
                                   .row_offset = offsets.data(),
                                   .col_offset = form_.offsets.data() + first});
  for (Index t = 0; t < out.rows; ++t) {
    const Index row = rows[At(t)];
    if (row >= first && row < first + out.cols) {
      out(t, row - first) = product_.Diagonal(row);
    }
    for (Index i = 0; i < out.cols; ++i) {
      out(t, i) *= form_.weight[At(row)] * form_.weight[At(first + i)];
    }
  }
}

// w E w - F F' between the rows drawn, b x b.
Matrix<double> RandomPivots::LeftBetween(
    const std::vector<Index>& draws) const {
  const auto count = static_cast<Index>(draws.size());
  const Matrix<double> a = PivotRows(draws);
  Matrix<double> left(count, count);
  Gemm(rows_.scale, Operand<double>(BlockOf(a)), Transposed(BlockOf(a)), 0.0,
       BlockOf(left));
  for (Index s = 0; s < count; ++s) {
    const Index i = draws[At(s)];
    for (Index t = 0; t < count; ++t) {
      const Index j = draws[At(t)];
      const double entry =
          i == j ? product_.Diagonal(i)
                 : std::exp(std::min(0.0, left(s, t) + form_.offsets[At(i)] +
                                              form_.offsets[At(j)]));
      left(s, t) = form_.weight[At(i)] * form_.weight[At(j)] * entry;
    }
  }
  if (columns_ > 0) {
    const Matrix<double> f = FactorAt(draws);
    Gemm(-1.0, Transposed(BlockOf(f)), Operand<double>(BlockOf(f)), 1.0,
         BlockOf(left));
  }
  return left;
}

RandomPivots::Round RandomPivots::Take(const std::vector<Index>& draws) {
  const RandomStream random{.seed = random_.seed, .stream = kTakeStream};
  Matrix<double> left = LeftBetween(draws);
  const Index count = left.rows();
  std::vector<Index> taken;
  Round round;
  for (Index s = 0; s < count; ++s) {
    if (!(left(s, s) > floor_[At(draws[At(s)])])) {
      round.spent.push_back(draws[At(s)]);
    }
  }
  for (Index s = 0; s < count; ++s) {
    const Index row = draws[At(s)];
    const double chance = random.Uniform(tried_++) * rest_[At(row)];
    const double pivot = left(s, s);
    if (!(pivot > chance && pivot > floor_[At(row)])) continue;
    taken.push_back(s);
    const double root = std::sqrt(pivot);
    for (Index t = s; t < count; ++t) left(s, t) /= root;
    for (Index i = s + 1; i < count; ++i) {
      for (Index j = i; j < count; ++j) left(i, j) -= left(s, i) * left(s, j);
    }
  }
  const auto rank = static_cast<Index>(taken.size());
  round.triangle = Matrix<double>(rank, rank);
  for (Index i = 0; i < rank; ++i) {
    round.rows.push_back(draws[At(taken[At(i)])]);
    for (Index j = i; j < rank; ++j) {
      round.triangle(i, j) = left(taken[At(i)], taken[At(j)]);
    }
  }
  return round;
}

// New columns of F: R^-T (w E w - F F') of the rows taken.
absl::Status RandomPivots::Append(Round round, const ComputeContext& context) {
  const auto count = static_cast<Index>(round.rows.size());
  const Index n = rows_.rows();
  const Matrix<double> a = PivotRows(round.rows);
  const Matrix<double> f = FactorAt(round.rows);
  auto block =
      std::make_shared<Matrix<double>>(Matrix<double>::Unset(count, n));
  std::vector<double> rest = rest_;
  // Else a row whose rest is a rounding error would be drawn for ever.
  for (const Index row : round.spent) rest[At(row)] = 0.0;
  if (count == 0) {
    rest_ = std::move(rest);
    return absl::OkStatus();
  }
  context.workers.ParallelFor(
      (n + kPanel - 1) / kPanel, context.stop, [&](Index panel) {
        const Index first = panel * kPanel;
        const Index cols = std::min(kPanel, n - first);
        const Block<double> out = BlockOf(*block).Part(0, first, count, cols);
        FillKernel(round.rows, a, first, out);
        Index row = 0;
        for (const auto& before : blocks_) {
          const Index rows = before->rows();
          Gemm(-1.0, Transposed(BlockOf(f).Part(row, 0, rows, count)),
               Operand<double>(BlockOf(*before).Part(0, first, rows, cols)),
               1.0, out);
          row += rows;
        }
        TrsmUpper(Side::kLeft, Transposed(BlockOf(round.triangle)), out);
        for (Index j = 0; j < count; ++j) {
          for (Index i = 0; i < cols; ++i) {
            rest[At(first + i)] -= out(j, i) * out(j, i);
          }
        }
        for (Index i = first; i < first + cols; ++i) {
          if (!(rest[At(i)] > floor_[At(i)])) rest[At(i)] = 0.0;
        }
      });
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  for (const Index row : round.rows) rest[At(row)] = 0.0;
  rest_ = std::move(rest);
  columns_ += count;
  pivots_.insert(pivots_.end(), round.rows.begin(), round.rows.end());
  blocks_.push_back(std::move(block));
  return absl::OkStatus();
}

FactorColumns RandomPivots::Factor(Index rank) const {
  FactorColumns factor{.size = rows_.rows(), .rank = rank, .blocks = {}};
  Index row = 0;
  for (const auto& block : blocks_) {
    if (row >= rank) break;
    factor.blocks.push_back(block);
    row += block->rows();
  }
  return factor;
}

std::vector<double> RandomPivots::Rest(Index rank) const {
  std::vector<double> rest = rest_;
  Index row = 0;
  for (const auto& block : blocks_) {
    for (Index j = 0; j < block->rows(); ++j, ++row) {
      if (row < rank) continue;
      const double* values = block->row(j);
      for (std::size_t i = 0; i < rest.size(); ++i) {
        rest[i] += values[i] * values[i];
      }
    }
  }
  return rest;
}

absl::StatusOr<std::unique_ptr<LowRankPreconditioner>> MakeRpCholesky(
    const RandomPivots& pivots, Index rank, const PreconditionerSource& source,
    const ComputeContext& context) {
  const Index found = std::min(rank, pivots.columns());
  std::vector<double> diagonal = pivots.Rest(found);
  for (Index i = 0; i < source.rows.rows(); ++i) {
    diagonal[At(i)] =
        std::max(DiagonalFloor(source.rows, i),
                 kOfRest * diagonal[At(i)] + source.form.shift[At(i)]);
  }
  return LowRankPreconditioner::Make(
      {.kind = KernelPreconditioner::kRpCholesky,
       .factor = pivots.Factor(found),
       .diagonal = std::move(diagonal),
       .description = absl::StrFormat(
           "randomly pivoted Cholesky of the scaled form, rank %d", found)},
      context);
}

Cost CostOfRpCholesky(Index rank, Index n, Index d, int workers) {
  const auto rows = static_cast<double>(n);
  // Rounds go on to their end.
  const auto columns = static_cast<double>(std::min(n, rank + kDrawsMax - 1));
  const auto draws = static_cast<double>(kDrawsMax);
  Cost cost = CostOfLowRank(std::min(rank, n), n, workers);
  cost.flops += rows * columns * (columns + 2.0 * static_cast<double>(d) + 8.0);
  // F, the rest and its sums, what a round gathers.
  cost.bytes +=
      8.0 * (columns * (rows + draws) + 6.0 * rows +
             draws * (3.0 * draws + 2.0 * static_cast<double>(d) + 8.0));
  return cost;
}

}  // namespace steelyard
