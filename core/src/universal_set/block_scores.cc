#include "universal_set/block_scores.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr Index kWidth = kStripColumns<double>;
// Up to here strips of the inverse stay in a second-level cache while a panel
// of rows passes.
constexpr Index kLargestInverse = 1024;
// Exponents that the rows of S can carry without leaving the range of float64.
constexpr int kLargestExponent = 300;

// Rows that are packed at a time: with R^-1 in a second-level cache.
Index PanelRows(Index d) {
  return std::clamp<Index>(StripRows((Index{1} << 15) / d), 32, 256);
}

// Rows of one task: large enough that a task costs nothing beside its work,
// small enough that a look at the stop token comes within milliseconds.
Index TaskRows(Index d) {
  return std::clamp<Index>((Index{1} << 18) / d, 64, 1024);
}

Index ScratchSize(Index d) {
  if (d > kLargestInverse) return TaskRows(d) * d;
  const Index rows = PanelRows(d);
  return StripSize<double>(rows, StripsFor<double>(d)) + rows * kWidth;
}

double SquaredNorm(const double* x, Index length) {
  double sum[4] = {};
  Index i = 0;
  for (; i + 4 <= length; i += 4) {
    for (Index lane = 0; lane < 4; ++lane) {
      sum[lane] += x[i + lane] * x[i + lane];
    }
  }
  for (; i < length; ++i) sum[0] += x[i] * x[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

bool CarriesExponents(const std::vector<int>& exponents) {
  return std::all_of(exponents.begin(), exponents.end(),
                     [](int e) { return std::abs(e) <= kLargestExponent; });
}

}  // namespace

BlockScorer::BlockScorer(Index d, ColumnScales scales)
    : d_(d),
      rows_(TaskRows(d)),
      exponents_(std::move(scales.exponents)),
      pool_(std::make_unique<ScratchPool>(ScratchSize(d))) {}

absl::StatusOr<BlockScorer> BlockScorer::Create(const Matrix<double>& r,
                                                const ColumnScales& scales,
                                                const ComputeContext& context) {
  if (r.cols() > kLargestInverse) {
    BlockScorer scorer(r.cols(), scales);
    scorer.r_ = r;
    return scorer;
  }
  absl::StatusOr<Matrix<double>> inverse = UpperInverse(r, context);
  if (!inverse.ok()) return inverse.status();
  return FromInverse(*std::move(inverse), scales);
}

BlockScorer BlockScorer::FromInverse(Matrix<double> inverse,
                                     const ColumnScales& scales) {
  const Index d = inverse.cols();
  BlockScorer scorer(d, scales);
  if (CarriesExponents(scorer.exponents_)) {
    for (Index i = 0; i < d; ++i) {
      const double factor =
          std::ldexp(1.0, -scorer.exponents_[static_cast<std::size_t>(i)]);
      for (Index j = i; j < d; ++j) inverse(i, j) *= factor;
    }
    scorer.exponents_.clear();
  }
  const Index strips = StripsFor<double>(d);
  scorer.inverse_.resize(
      static_cast<std::size_t>(StripSize<double>(strips * kWidth, strips)));
  const std::vector<double> ones(static_cast<std::size_t>(d), 1.0);
  PackStrips(
      static_cast<const double*>(inverse.data()), d, ones.data(), d, d,
      StripBlock<double>{scorer.inverse_.data(), strips * kWidth, strips});
  return scorer;
}

void BlockScorer::Score(const AnyMatrixView& keys, Index first, Index count,
                        const StopToken& stop, double* tau) const {
  const RowLoader loader(keys, exponents_);
  if (d_ > kLargestInverse) {
    ScoreBySolving(loader, first, count, stop, tau);
  } else {
    ScoreByInverse(loader, first, count, tau);
  }
}

void BlockScorer::ScoreByInverse(const RowLoader& loader, Index first,
                                 Index count, double* tau) const {
  const Index strips = StripsFor<double>(d_);
  const StripBlock<const double> inverse{inverse_.data(), strips * kWidth,
                                         strips};
  const Index panel = PanelRows(d_);
  ScratchPool::Lease work = pool_->Borrow();
  double* sums = work.data();
  for (Index i = 0; i < count; i += panel) {
    const Index rows = std::min(panel, count - i);
    const StripBlock<double> k{sums + panel * kWidth, StripRows(rows), strips};
    loader.LoadStrips(first + i, 0, rows, d_, k);
    // tau = squared row norms of K S
    RowNorms(k, inverse, true, 0, rows, sums, tau + i,
             loader.RowsToRead(first + i + rows, panel));
  }
}

void BlockScorer::ScoreBySolving(const RowLoader& loader, Index first,
                                 Index count, const StopToken& stop,
                                 double* tau) const {
  ScratchPool::Lease work = pool_->Borrow();
  const Block<double> x{work.data(), count, d_, d_};
  loader.Load(first, 0, x);
  if (!SolveUpperFromRight(x, BlockOf(r_), stop).ok()) return;
  for (Index i = 0; i < count; ++i) tau[i] = SquaredNorm(x.row(i), d_);
}

Cost CostOfBlockScorer(Index d, int workers) {
  const auto columns = static_cast<double>(d);
  const double strips = static_cast<double>(
      StripSize<double>(StripsFor<double>(d) * kWidth, StripsFor<double>(d)));
  const double square = columns * columns;
  return {.flops = square * columns,
          .bytes = sizeof(double) * (square + strips +
                                     static_cast<double>(ScratchSize(d)) *
                                         static_cast<double>(workers))};
}

}  // namespace steelyard
