#include "universal_set/leverage.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "universal_set/block_scores.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;

// Columns of V_r taken at a time, so that no BLAS call takes long at d = 8192.
constexpr Index kColumnBlock = 512;

struct RowBlock {
  Index first;
  Index count;
};

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

// P = K V_r, then K <- K - P V_r': what the row space does not hold. V_r' is
// the top of v_transposed.
void SplitByRowSpace(const Factor& factor, const StopToken& stop,
                     Block<double> keys, Block<double> projected) {
  const Block<const double> v = BlockOf(factor.v_transposed);
  for (const bool subtract : {false, true}) {
    for (Index j = 0; j < factor.rank; j += kColumnBlock) {
      if (stop.stop_requested()) return;
      const Index width = std::min(kColumnBlock, factor.rank - j);
      const Block<const double> v_j = v.Part(j, 0, width, v.cols);
      const Block<double> p_j = projected.Part(0, j, keys.rows, width);
      if (subtract) {
        Gemm(-1.0, p_j, v_j, 1.0, keys);
      } else {
        Gemm(1.0, keys, Transposed(v_j), 0.0, p_j);
      }
    }
  }
}

// A key shorter than this, beside columns of norm 1, is weighed by itself: its
// square may have left the range of float64.
constexpr double kShort = 0x1p-400;

// Row `row` of the scaled keys times 2^-exponent, its largest entry in [1, 2);
// returns the exponent. The rank rule of N4 does not depend on the length of a
// key, however short. A key of zeros stays one.
int LoadNearOne(const AnyMatrixView& keys, Index row,
                const std::vector<int>& scales, double* out) {
  const Index d = Cols(keys);
  LoadScaledRows(keys, row, 1, {}, out);
  int largest = std::numeric_limits<int>::min();
  for (Index c = 0; c < d; ++c) {
    if (out[c] == 0.0) continue;
    largest = std::max(
        largest, std::ilogb(out[c]) - scales[static_cast<std::size_t>(c)]);
  }
  if (largest == std::numeric_limits<int>::min()) return 0;
  for (Index c = 0; c < d; ++c) {
    out[c] = std::ldexp(out[c], -scales[static_cast<std::size_t>(c)] - largest);
  }
  return largest;
}

// tau of a block of keys, rank r < d; is_new[i] by the rank rule of N4:
// ||k - V_r V_r'k|| > 4 d u ||k|| + theta_r sigma_1 sqrt(tau).
// `work` holds 2 rows x d.
void ScoreDeficient(const AnyMatrixView& keys, const Factor& factor,
                    RowBlock block, const StopToken& stop, double* work,
                    double* tau, unsigned char* is_new) {
  const Index d = factor.r.cols();
  const auto columns = static_cast<double>(d);
  const double theta = std::max(30.0, 2.0 * std::sqrt(columns)) * kUnitRoundoff;
  const double sigma_1 = factor.rank > 0 ? factor.singular_values.front() : 0.0;
  double* loaded = work;
  double* projected = work + block.count * d;
  LoadScaledRows(keys, block.first, block.count, factor.scales.exponents,
                 loaded);
  std::vector<double> norms(static_cast<std::size_t>(block.count));
  std::vector<int> exponents(static_cast<std::size_t>(block.count), 0);
  for (Index i = 0; i < block.count; ++i) {
    double& norm = norms[static_cast<std::size_t>(i)];
    norm = std::sqrt(SquaredNorm(loaded + i * d, d));
    if (norm >= kShort) continue;
    exponents[static_cast<std::size_t>(i)] = LoadNearOne(
        keys, block.first + i, factor.scales.exponents, loaded + i * d);
    norm = std::sqrt(SquaredNorm(loaded + i * d, d));
  }
  SplitByRowSpace(factor, stop, {loaded, block.count, d, d},
                  {projected, block.count, d, d});
  for (Index i = 0; i < block.count; ++i) {
    const double* p = projected + i * d;
    double score = 0.0;
    for (Index c = 0; c < factor.rank; ++c) {
      const double y =
          p[c] / factor.singular_values[static_cast<std::size_t>(c)];
      score += y * y;
    }
    const double outside = std::sqrt(SquaredNorm(loaded + i * d, d));
    const double rounding =
        4.0 * columns * kUnitRoundoff * norms[static_cast<std::size_t>(i)];
    const bool leaves = outside > rounding + theta * sigma_1 * std::sqrt(score);
    is_new[i] = leaves ? 1 : 0;
    const double at_full_length =
        std::ldexp(score, 2 * exponents[static_cast<std::size_t>(i)]);
    tau[i] = leaves ? 1.0 : std::min(1.0, at_full_length);
  }
}

// Rows of one block: large enough for GEMM speed, small enough that a look at
// the stop token between blocks comes within milliseconds.
Index BlockRows(Index d) {
  return std::clamp<Index>((Index{1} << 18) / d, 64, 1024);
}

// body(block) for all keys, blocks side by side.
template <class Body>
absl::Status ForBlocks(Index n, Index rows, const ComputeContext& context,
                       const Body& body) {
  context.workers.ParallelFor(
      (n + rows - 1) / rows, context.stop, [&](Index task) {
        body(RowBlock{task * rows, std::min(rows, n - task * rows)});
      });
  return CheckStop(context.stop);
}

absl::Status ScoreAllDeficient(const AnyMatrixView& keys, const Factor& factor,
                               const ComputeContext& context,
                               LeverageScores* scores) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  const Index rows = BlockRows(d);
  std::vector<unsigned char> is_new(static_cast<std::size_t>(n));
  ScratchPool pool(rows * d * 2);
  const absl::Status status =
      ForBlocks(n, rows, context, [&](const RowBlock& block) {
        ScratchPool::Lease work = pool.Borrow();
        ScoreDeficient(keys, factor, block, context.stop, work.data(),
                       scores->tau.data() + block.first,
                       is_new.data() + block.first);
      });
  if (!status.ok()) return status;
  for (std::size_t j = 0; j < is_new.size(); ++j) {
    if (is_new[j] != 0) scores->new_direction.push_back(static_cast<Index>(j));
  }
  return absl::OkStatus();
}

absl::Status ScoreAllFull(const AnyMatrixView& keys, const Factor& factor,
                          const ComputeContext& context,
                          LeverageScores* scores) {
  const absl::StatusOr<BlockScorer> scorer =
      BlockScorer::Create(factor.r, factor.scales, context);
  if (!scorer.ok()) return scorer.status();
  return ForBlocks(
      Rows(keys), scorer->rows(), context, [&](const RowBlock& block) {
        double* tau = scores->tau.data() + block.first;
        scorer->Score(keys, block.first, block.count, context.stop, tau);
        for (Index i = 0; i < block.count; ++i) tau[i] = std::min(1.0, tau[i]);
      });
}

}  // namespace

absl::StatusOr<LeverageScores> ComputeLeverageScores(
    const AnyMatrixView& keys, const Factor& factor,
    const ComputeContext& context) {
  LeverageScores scores;
  scores.tau.resize(static_cast<std::size_t>(Rows(keys)));
  scores.delta = factor.delta;
  const absl::Status status =
      factor.rank == Cols(keys)
          ? ScoreAllFull(keys, factor, context, &scores)
          : ScoreAllDeficient(keys, factor, context, &scores);
  if (!status.ok()) return status;
  return scores;
}

Cost CostOfLeverageScores(Index n, Index d, int workers) {
  const auto keys = static_cast<double>(n);
  const auto columns = static_cast<double>(d);
  const Cost full = CostOfBlockScorer(d, workers);
  const double deficient = static_cast<double>(BlockRows(d)) * columns * 2.0 *
                           sizeof(double) * static_cast<double>(workers);
  // The rank-deficient road scores with 4 n d^2 flops and two blocks.
  return {.flops = full.flops + 4.0 * keys * columns * columns,
          .bytes = std::max(full.bytes, deficient) + 9.0 * keys};
}

}  // namespace steelyard
