#include "kernel/block_epochs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernel/block_factor.h"
#include "kernel/vector_block.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// Epoch `epoch` of the seed: all unknowns in random order.
std::vector<Index> Order(Index n, std::uint64_t seed, int epoch) {
  const RandomStream random{
      .seed = {seed},
      .stream = 0x810c'0000u + static_cast<std::uint64_t>(epoch)};
  std::vector<Index> order(At(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (Index i = n - 1; i > 0; --i) {
    const double u = random.Uniform(static_cast<std::uint64_t>(i));
    const auto j = static_cast<Index>(u * static_cast<double>(i + 1));
    std::swap(order[At(i)], order[At(std::min(i, j))]);
  }
  return order;
}

double MeanSquare(const KernelRows& rows) {
  const double sum = std::accumulate(rows.centred_square.begin(),
                                     rows.centred_square.end(), 0.0);
  return sum / static_cast<double>(rows.rows());
}

}  // namespace

Index BlockSize(Index n) {
  constexpr double kOfRoot = 8.0;
  constexpr Index kMax = 4096;
  const double size = kOfRoot * std::sqrt(static_cast<double>(n));
  return std::clamp<Index>(static_cast<Index>(size), 1,
                           std::min((n + 1) / 2, kMax));
}

Index BlockDirections(Index k) {
  constexpr Index kVectors = 32;
  constexpr Index kMax = 8;
  return std::clamp<Index>(kVectors / std::max<Index>(k, 1), 1, kMax);
}

BlockEpochs::BlockEpochs(ScaledSystem& system, std::uint64_t seed, Index k,
                         const ComputeContext& context)
    : system_(system),
      context_(context),
      seed_(seed),
      directions_(At(BlockDirections(k))),
      rows_(system.rows(), system.form()),
      mean_square_(MeanSquare(system.rows())) {}

void BlockEpochs::Restart(Matrix<double> residual,
                          const std::vector<Index>& kept) {
  r_ = std::move(residual);
  for (Direction& past : past_) {
    past.p = TakeRows(past.p, kept, context_.workers);
    past.sp = TakeRows(past.sp, kept, context_.workers);
    std::vector<double> psp;
    for (const Index row : kept) psp.push_back(past.psp[At(row)]);
    past.psp = std::move(psp);
  }
  tile_errors_.assign(At(r_.rows()), 0.0);
  norms_.resize(At(r_.rows()));
  for (Index c = 0; c < r_.rows(); ++c) Measure(c);
}

void BlockEpochs::Measure(Index c) {
  const std::vector<double>& weights = system_.residual_weights();
  double square = 0.0;
  for (Index i = 0; i < r_.cols(); ++i) {
    const double value = weights[At(i)] * r_(c, i);
    square += value * value;
  }
  norms_[At(c)] = std::sqrt(square);
}

// d_B = (S_BB + e I)^-1 (r - q)_B, w_B = d_B, q += S_:B d_B
template <typename T>
absl::Status BlockEpochs::StepBlock(const std::vector<Index>& block,
                                    TilePrecision precision, double& damping,
                                    Matrix<double>& w, Matrix<double>& q) {
  const absl::StatusOr<BlockFactor<T>> factor =
      BlockFactor<T>::Make(rows_, block, damping, context_);
  if (!factor.ok()) return factor.status();
  least_ = std::min(least_, std::max(factor->least_pivot(), kUnitRoundoff));
  const Index k = r_.rows();
  const auto size = static_cast<Index>(block.size());
  Matrix<T> v(size, k);
  // At unit length, for float32.
  std::vector<double> length(At(k));
  for (Index c = 0; c < k; ++c) {
    double square = 0.0;
    for (const Index i : block) square += std::pow(r_(c, i) - q(c, i), 2);
    length[At(c)] = square > 0.0 ? std::sqrt(square) : 1.0;
    for (Index j = 0; j < size; ++j) {
      const Index i = block[At(j)];
      v(j, c) = static_cast<T>((r_(c, i) - q(c, i)) / length[At(c)]);
    }
  }
  absl::Status done = factor->Solve(v, context_);
  if (!done.ok()) return done;
  Matrix<double> d(k, size);
  for (Index c = 0; c < k; ++c) {
    for (Index j = 0; j < size; ++j) {
      d(c, j) = length[At(c)] * static_cast<double>(v(j, c));
      w(c, block[At(j)]) = d(c, j);
    }
  }
  return rows_.AddColumns(block, d, precision, q, context_);
}

absl::Status BlockEpochs::RunBlocks(TilePrecision precision, Matrix<double>& w,
                                    Matrix<double>& q) {
  const Index n = r_.cols();
  const std::vector<Index> order = Order(n, seed_, epoch_);
  const Index size = BlockSize(n);
  for (Index first = 0; first < n; first += size) {
    const auto begin = order.begin() + first;
    const std::vector<Index> block(begin, begin + std::min(size, n - first));
    const absl::Status done =
        precision == TilePrecision::kFloat32
            ? StepBlock<float>(block, precision, damping32_, w, q)
            : StepBlock<double>(block, precision, damping_, w, q);
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

// z += a p, r -= a S p. False: not done.
bool BlockEpochs::Advance(Index c, double unit, Direction& next,
                          Matrix<double>& z) {
  const Index n = r_.cols();
  double* const p = next.p.row(c);
  double* const sp = next.sp.row(c);
  for (const Direction& past : past_) {
    if (context_.stop.stop_requested()) return true;
    if (!(past.psp[At(c)] > 0.0)) continue;
    const double b = Dot(p, past.sp.row(c), n) / past.psp[At(c)];
    AddScaled(-b, past.p.row(c), p, n);
    AddScaled(-b, past.sp.row(c), sp, n);
  }
  const double pp = Dot(p, p, n);
  const double psp = Dot(p, sp, n);
  const double a = Dot(p, r_.row(c), n) / psp;
  if (!(psp > static_cast<double>(n) * kUnitRoundoff * pp) ||
      !std::isfinite(a)) {
    return norms_[At(c)] == 0.0;
  }
  next.psp[At(c)] = psp;
  AddScaled(a, p, z.row(c), n);
  AddScaled(-a, sp, r_.row(c), n);
  const std::vector<double>& weights = system_.residual_weights();
  const double doubt = unit * 2.0 * (1.0 + mean_square_) * a;
  double error = 0.0;
  for (Index i = 0; i < n; ++i) {
    const double value = weights[At(i)] * doubt * sp[i];
    error += value * value;
  }
  tile_errors_[At(c)] = std::hypot(tile_errors_[At(c)], std::sqrt(error));
  Measure(c);
  return true;
}

absl::StatusOr<std::vector<Index>> BlockEpochs::Step(TilePrecision precision,
                                                     Matrix<double>& z) {
  constexpr double kUnitRoundoff32 = 0x1p-24;
  const Index k = r_.rows();
  const Index n = r_.cols();
  Direction next{Matrix<double>(k, n), Matrix<double>(k, n),
                 std::vector<double>(At(k), 0.0)};
  absl::Status done = RunBlocks(precision, next.p, next.sp);
  if (!done.ok()) return done;
  ++epoch_;
  const double unit =
      precision == TilePrecision::kFloat32 ? kUnitRoundoff32 : kUnitRoundoff;
  std::vector<char> advanced(At(k), 0);
  std::vector<double> ratios(At(k), 0.0);
  context_.workers.ParallelFor(k, context_.stop, [&](Index c) {
    const double pp = Dot(next.p.row(c), next.p.row(c), n);
    if (pp > 0.0) {
      ratios[At(c)] = std::sqrt(Dot(next.sp.row(c), next.sp.row(c), n) / pp);
    }
    advanced[At(c)] = Advance(c, unit, next, z) ? 1 : 0;
  });
  if (absl::Status stop = CheckStop(context_.stop); !stop.ok()) return stop;
  std::vector<Index> broken;
  for (Index c = 0; c < k; ++c) {
    // |S w| / |w| is an eigenvalue's size from below.
    if (std::isfinite(ratios[At(c)])) {
      largest_ = std::max(largest_, ratios[At(c)]);
    }
    if (advanced[At(c)] == 0) broken.push_back(c);
  }
  past_.push_back(std::move(next));
  if (past_.size() > directions_) past_.pop_front();
  return broken;
}

}  // namespace steelyard
