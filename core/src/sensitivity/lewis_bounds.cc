#include "sensitivity/lewis_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "parallel/scratch_pool.h"
#include "sensitivity/tall_products.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kNone = -std::numeric_limits<double>::infinity();
// A round that lowers the sum of the bounds by less is the last.
constexpr double kWorthARound = 0.01;
// Of logarithms of factors.
constexpr double kFactorRange = 200.0;

double Real(Index i) { return static_cast<double>(i); }

// One round: a_j of all keys under fixed weights.
struct WeightedScores {
  Matrix<double> r;
  std::vector<double> log_a;  // of upper ends; -infinity for zero rows
};

// f of N4 for the R of a weighted Gram, then its delta; nullopt: too large.
std::optional<double> DeltaOf(const WeightedGram& gram, const Matrix<double>& r,
                              double inverse) {
  double square = 0.0;
  for (Index i = 0; i < r.size(); ++i) square += r.data()[i] * r.data()[i];
  const double product = std::sqrt(square) * inverse * 1.01;
  const double d = Real(r.cols());
  const double f =
      (gram.additions + d + 4.0) * kUnitRoundoff * product * product;
  const double g = (d + 2.0) * kUnitRoundoff * product;
  const double delta = f / (1.0 - f) + 2.0 * g;
  if (!(f < 1.0) || !(delta < 1e-3)) return std::nullopt;
  return delta;
}

absl::Status ScoreRows(const WhitenedKeys& keys, double delta,
                       const ComputeContext& context, WeightedScores& scores) {
  const Index n = keys.rows();
  const Index d = keys.rank();
  const Index rows = TallBlockRows(d);
  scores.log_a.assign(static_cast<std::size_t>(n), kNone);
  ScratchPool pool(rows * d);
  context.workers.ParallelFor(
      (n + rows - 1) / rows, context.stop, [&](Index task) {
        const Index first = task * rows;
        const Index count = std::min(rows, n - first);
        ScratchPool::Lease work = pool.Borrow();
        std::copy_n(keys.x.row(first), count * d, work.data());
        const absl::Status solved =
            SolveUpperFromRight({work.data(), count, d, d},
                                BlockOf(std::as_const(scores.r)), context.stop);
        if (!solved.ok()) return;  // Stopped: looked at below.
        for (Index i = 0; i < count; ++i) {
          const double* row = work.data() + i * d;
          const double a = Dot(row, row, d) * (1.0 + delta);
          if (a > 0.0) {
            scores.log_a[static_cast<std::size_t>(first + i)] = std::log(a);
          }
        }
      });
  return CheckStop(context.stop);
}

// R and a under the weights s = w^(1-2/p); nullopt when no certain bound comes
// from them.
absl::StatusOr<std::optional<WeightedScores>> Score(
    const WhitenedKeys& keys, const std::vector<double>& weights,
    const ComputeContext& context) {
  absl::StatusOr<WeightedGram> gram =
      ComputeWeightedGram(keys.x, weights.data(), context);
  if (!gram.ok()) return gram.status();
  WeightedScores scores;
  scores.r = gram->gram;
  const Index d = keys.rank();
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(scores.r.data(), d, d, context);
  if (!outcome.ok()) return outcome.status();
  if (!outcome->positive_definite) return std::nullopt;
  const absl::StatusOr<double> inverse =
      InverseFrobeniusNorm(BlockOf(std::as_const(scores.r)), context);
  if (!inverse.ok()) return inverse.status();
  const std::optional<double> delta = DeltaOf(*gram, scores.r, *inverse);
  if (!delta.has_value()) return std::nullopt;
  if (absl::Status s = ScoreRows(keys, *delta, context, scores); !s.ok()) {
    return s;
  }
  return scores;
}

// Logarithms of weights, at most 0 up to what the exponent 1 - 2/p makes of
// them: a common factor changes no bound.
class LogWeights {
 public:
  LogWeights(const WhitenedKeys& keys, double p)
      : p_(p), log_w_(keys.norms.size(), 0.0) {
    for (std::size_t j = 0; j < log_w_.size(); ++j) {
      if (keys.norms[j] == 0.0) log_w_[j] = kNone;
    }
  }

  // w^(1-2/p), scaled so that the largest is 1. A row of zeros: 0.
  std::vector<double> Factors() {
    if (p_ < 2.0) RaiseTheSmallest();
    double largest = kNone;
    for (const double w : log_w_) {
      if (w != kNone) largest = std::max(largest, (1.0 - 2.0 / p_) * w);
    }
    std::vector<double> factors(log_w_.size(), 0.0);
    for (std::size_t j = 0; j < log_w_.size(); ++j) {
      if (log_w_[j] == kNone) continue;
      factors[j] = std::exp((1.0 - 2.0 / p_) * log_w_[j] - largest);
    }
    shift_ = largest;
    return factors;
  }

  // log of the bound of every key, for the a of Factors().
  std::vector<double> LogBounds(const std::vector<double>& log_a) const {
    const double common = p_ >= 2.0 ? LogSumTerm() : LogLargestTerm(log_a);
    std::vector<double> bounds(log_a.size(), kNone);
    for (std::size_t j = 0; j < log_a.size(); ++j) {
      if (log_a[j] != kNone) bounds[j] = 0.5 * p_ * log_a[j] + common;
    }
    return bounds;
  }

  void Improve(const std::vector<double>& log_a) {
    for (std::size_t j = 0; j < log_w_.size(); ++j) {
      if (log_w_[j] == kNone) continue;
      const double a = log_a[j] - shift_;  // of the unscaled factors
      log_w_[j] = p_ <= 2.0 ? 0.5 * p_ * a : (1.0 - 2.0 / p_) * log_w_[j] + a;
    }
  }

 private:
  // p < 2 gives the smallest rows the largest factors. Capped at e^200 times
  // the smallest factor, they leave the others in the range of float64.
  void RaiseTheSmallest() {
    const double largest = *std::max_element(log_w_.begin(), log_w_.end());
    const double least = largest - kFactorRange / (2.0 / p_ - 1.0);
    for (double& w : log_w_) {
      if (w != kNone) w = std::max(w, least);
    }
  }

  // (p/2 - 1) log(sum w), w those of the scaled factors.
  double LogSumTerm() const {
    if (p_ == 2.0) return 0.0;
    const double shift = shift_ / (1.0 - 2.0 / p_);
    double sum = 0.0;
    for (const double w : log_w_) {
      if (w != kNone) sum += std::exp(w - shift);
    }
    return (0.5 * p_ - 1.0) * std::log(sum);
  }

  // log max_i w_i^(1-2/p) a_i^(1-p/2).
  double LogLargestTerm(const std::vector<double>& log_a) const {
    double largest = kNone;
    for (std::size_t j = 0; j < log_w_.size(); ++j) {
      if (log_w_[j] == kNone) continue;
      largest = std::max(largest, (1.0 - 2.0 / p_) * log_w_[j] - shift_ +
                                      (1.0 - 0.5 * p_) * log_a[j]);
    }
    return largest;
  }

  double p_;
  std::vector<double> log_w_;
  double shift_ = 0.0;
};

}  // namespace

absl::StatusOr<LewisBounds> ComputeLewisBounds(
    const WhitenedKeys& keys, const PowerCertificate& certificate,
    const ComputeContext& context) {
  const double p = certificate.p();
  // Rounding of logarithms and exponentials of magnitude up to some 1e4.
  const double outward = certificate.transfer() * (1.0 + 1e-11 * p);
  LewisBounds bounds;
  bounds.upper.assign(keys.norms.size(), 1.0);
  for (std::size_t j = 0; j < bounds.upper.size(); ++j) {
    if (keys.norms[j] == 0.0) bounds.upper[j] = 0.0;
  }
  LogWeights weights(keys, p);
  double last_sum = std::numeric_limits<double>::infinity();
  for (int round = 0; round < kLewisRounds; ++round) {
    std::vector<double> factors = weights.Factors();
    absl::StatusOr<std::optional<WeightedScores>> scores =
        Score(keys, factors, context);
    if (!scores.ok()) return scores.status();
    if (!scores->has_value()) break;
    const std::vector<double> log_bounds = weights.LogBounds((*scores)->log_a);
    double sum = 0.0;
    for (std::size_t j = 0; j < log_bounds.size(); ++j) {
      const double bound = std::min(1.0, std::exp(log_bounds[j]) * outward);
      bounds.upper[j] = std::min(bounds.upper[j], bound);
      sum += bound;
    }
    bounds.rounds = round + 1;
    const bool better = sum < last_sum;
    const bool worth_more = sum < last_sum * (1.0 - kWorthARound);
    if (better) {
      bounds.weights = std::move(factors);
      bounds.r = std::move((*scores)->r);
      last_sum = sum;
    }
    if (p == 2.0 || !worth_more) break;
    weights.Improve((*scores)->log_a);
  }
  return bounds;
}

}  // namespace steelyard
