#include "preconditioner/random_pivots.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_format.h"
#include "kernel/dense_solver.h"
#include "kernel/exp_tile.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"

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

// Of the entries of E: 128 x 256 numbers stay in a cache.
constexpr Index kEntries = 256;
// Of the diagonal: what float32 columns leave of a row that they hold is some
// u_32 of it.
constexpr double kFloorOfFloat32 = 8.0 * 0x1p-24;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

template <typename T, typename U>
Matrix<T> ConvertedTo(const Matrix<U>& from) {
  Matrix<T> to(from.rows(), from.cols());
  std::copy(from.data(), from.data() + from.size(), to.data());
  return to;
}

// Of the same precision as it is; otherwise a copy in `work`.
template <typename T, typename U>
Block<const T> ReadAs(const Block<const U>& part, T* work) {
  if constexpr (std::is_same_v<T, U>) {
    return part;
  } else {
    for (Index j = 0; j < part.rows; ++j) {
      for (Index i = 0; i < part.cols; ++i) {
        work[j * part.cols + i] = static_cast<T>(part(j, i));
      }
    }
    return {work, part.rows, part.cols, part.cols};
  }
}

}  // namespace

RandomPivots::RandomPivots(const PreconditionerSource& source,
                           std::vector<double> importance,
                           FactorPrecision least)
    : source_(source),
      rows_(source.rows),
      form_(source.form),
      random_{.seed = {source.seed}, .stream = kDrawStream},
      importance_(std::move(importance)),
      rest_(At(source.rows.rows())),
      floor_(At(source.rows.rows())) {
  Start(least);
}

void RandomPivots::Start(FactorPrecision least) {
  least_ = least;
  drawn_ = 0;
  tried_ = 0;
  draws_of_round_ = std::min(kFirstDraws, rows_.rows());
  columns_ = 0;
  pivots_.clear();
  blocks_.clear();
  const bool narrow = PrecisionAt(1) == FactorPrecision::kFloat32;
  for (Index i = 0; i < rows_.rows(); ++i) {
    const double square = form_.weight[At(i)] * form_.weight[At(i)];
    rest_[At(i)] = square * source_.product.Diagonal(i);
    const double floor = PivotFloor(rows_, i);
    floor_[At(i)] =
        rest_[At(i)] * (narrow ? std::max(floor, kFloorOfFloat32) : floor);
  }
}

FactorPrecision RandomPivots::PrecisionAt(Index columns) const {
  if (least_ == FactorPrecision::kFloat64) return least_;
  return PrecisionOfFactor(KernelPreconditioner::kRpCholesky, columns, source_);
}

bool RandomPivots::AnyLeft() const {
  for (std::size_t i = 0; i < rest_.size(); ++i) {
    const double weight = importance_.empty() ? 1.0 : importance_[i];
    if (weight * rest_[i] > 0.0) return true;
  }
  return false;
}

absl::Status RandomPivots::Grow(Index rank, const ComputeContext& context) {
  while (!complete_) {
    if (AnyLeft()) {
      if (columns_ >= rank) break;
      absl::Status done = GrowByARound(context);
      if (!done.ok()) return done;
    } else if (PrecisionAt(1) == FactorPrecision::kFloat32) {
      Start(FactorPrecision::kFloat64);
    } else {
      complete_ = true;
    }
  }
  return absl::OkStatus();
}

absl::Status RandomPivots::GrowByARound(const ComputeContext& context) {
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  const std::uint64_t drawn = drawn_;
  const std::uint64_t tried = tried_;
  const Round round = Take(Draw(draws_of_round_), context);
  const auto taken = static_cast<Index>(round.rows.size());
  const bool narrow =
      PrecisionAt(columns_ + taken) == FactorPrecision::kFloat32;
  absl::Status done =
      narrow ? Append<float>(round, context) : Append<double>(round, context);
  if (!done.ok()) {
    drawn_ = drawn;
    tried_ = tried;
    return done;
  }
  if (2 * taken >= draws_of_round_) {
    draws_of_round_ = std::min({kDrawsMax, rows_.rows(), 2 * draws_of_round_});
  } else if (4 * taken < draws_of_round_) {
    draws_of_round_ =
        std::max(std::min(kFirstDraws, rows_.rows()), draws_of_round_ / 2);
  }
  return absl::OkStatus();
}

// Rows with probability rest_i / sum(rest).
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
Matrix<double> RandomPivots::FactorAt(const std::vector<Index>& rows,
                                      const ComputeContext& context) const {
  Matrix<double> taken(columns_, static_cast<Index>(rows.size()));
  std::vector<Index> starts(1, 0);
  for (const FactorBlock& block : blocks_) {
    starts.push_back(starts.back() + RowsOf(block));
  }
  context.workers.ParallelFor(
      static_cast<Index>(blocks_.size()), context.stop, [&](Index b) {
        std::visit(
            [&](const auto& block) {
              for (Index j = 0; j < block->rows(); ++j) {
                double* const out = taken.row(starts[At(b)] + j);
                for (std::size_t t = 0; t < rows.size(); ++t) {
                  out[t] = static_cast<double>((*block)(j, rows[t]));
                }
              }
            },
            blocks_[At(b)]);
      });
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
      out(t, row - first) = source_.product.Diagonal(row);
    }
    for (Index i = 0; i < out.cols; ++i) {
      out(t, i) *= form_.weight[At(row)] * form_.weight[At(first + i)];
    }
  }
}

// w E w - F F' between the rows drawn, b x b.
Matrix<double> RandomPivots::LeftBetween(const std::vector<Index>& draws,
                                         const Matrix<double>& factor) const {
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
          i == j ? source_.product.Diagonal(i)
                 : std::exp(std::min(0.0, left(s, t) + form_.offsets[At(i)] +
                                              form_.offsets[At(j)]));
      left(s, t) = form_.weight[At(i)] * form_.weight[At(j)] * entry;
    }
  }
  if (columns_ > 0) {
    Gemm(-1.0, Transposed(BlockOf(factor)), Operand<double>(BlockOf(factor)),
         1.0, BlockOf(left));
  }
  return left;
}

RandomPivots::Round RandomPivots::Take(const std::vector<Index>& draws,
                                       const ComputeContext& context) {
  const RandomStream random{.seed = random_.seed, .stream = kTakeStream};
  const Matrix<double> factor = FactorAt(draws, context);
  Matrix<double> left = LeftBetween(draws, factor);
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
  round.factor = Matrix<double>(columns_, rank);
  for (Index j = 0; j < columns_; ++j) {
    for (Index t = 0; t < rank; ++t) {
      round.factor(j, t) = factor(j, taken[At(t)]);
    }
  }
  return round;
}

// New columns of F: R^-T (w E w - F F') of the rows taken.
template <typename T>
absl::Status RandomPivots::Append(const Round& round,
                                  const ComputeContext& context) {
  const auto count = static_cast<Index>(round.rows.size());
  const Index n = rows_.rows();
  // What was stopped while it was gathered is no round.
  if (absl::Status stop = CheckStop(context.stop); !stop.ok()) return stop;
  std::vector<double> rest = rest_;
  // Else a row whose rest is a rounding error would be drawn for ever.
  for (const Index row : round.spent) rest[At(row)] = 0.0;
  if (count == 0) {
    rest_ = std::move(rest);
    return absl::OkStatus();
  }
  const Matrix<double> a = PivotRows(round.rows);
  const auto f = ConvertedTo<T>(round.factor);
  const auto triangle = ConvertedTo<T>(round.triangle);
  auto block = std::make_shared<Matrix<T>>(Matrix<T>::Unset(count, n));
  ScratchPool entries(count * kEntries);
  ScratchPoolOf<T> panels(kDrawsMax * kPanel);
  context.workers.ParallelFor(
      (n + kPanel - 1) / kPanel, context.stop, [&](Index panel) {
        const Index first = panel * kPanel;
        const Index cols = std::min(kPanel, n - first);
        const Block<T> out = BlockOf(*block).Part(0, first, count, cols);
        {
          ScratchPool::Lease lease = entries.Borrow();
          for (Index i = 0; i < cols; i += kEntries) {
            const Index some = std::min(kEntries, cols - i);
            const Block<double> part{lease.data(), count, some, some};
            FillKernel(round.rows, a, first + i, part);
            for (Index j = 0; j < count; ++j) {
              std::copy(part.row(j), part.row(j) + some, out.row(j) + i);
            }
          }
        }
        Index row = 0;
        auto lease = panels.Borrow();
        for (const FactorBlock& before : blocks_) {
          const Index rows = RowsOf(before);
          std::visit(
              [&](const auto& matrix) {
                const Operand<T> read = ReadAs(
                    BlockOf(*matrix).Part(0, first, rows, cols), lease.data());
                Gemm(T{-1}, Transposed(BlockOf(f).Part(row, 0, rows, count)),
                     read, T{1}, out);
              },
              before);
          row += rows;
        }
        TrsmUpper(Side::kLeft, Transposed(BlockOf(triangle)), out);
        for (Index j = 0; j < count; ++j) {
          for (Index i = 0; i < cols; ++i) {
            const auto value = static_cast<double>(out(j, i));
            rest[At(first + i)] -= value * value;
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
  for (const FactorBlock& block : blocks_) {
    if (row >= rank) break;
    factor.blocks.push_back(block);
    row += RowsOf(block);
  }
  return factor;
}

std::vector<double> RandomPivots::Rest(Index rank) const {
  std::vector<double> rest = rest_;
  Factor(columns_).ForParts(
      rank, columns_, 0, rows_.rows(), [&](Index, const auto& part) {
        for (Index j = 0; j < part.rows; ++j) {
          for (Index i = 0; i < part.cols; ++i) {
            const auto value = static_cast<double>(part(j, i));
            rest[At(i)] += value * value;
          }
        }
      });
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
  // F, the rest and its sums, what a round gathers, what its workers convert.
  cost.bytes +=
      8.0 * (columns * (rows + 2.5 * draws) + 6.0 * rows +
             draws * (4.0 * draws + 2.0 * static_cast<double>(d) + 8.0) +
             draws * (kPanel + kEntries) * static_cast<double>(workers));
  return cost;
}

}  // namespace steelyard
