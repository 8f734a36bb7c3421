#include "kernel/block_coordinate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "kernel/block_rows.h"
#include "kernel/vector_block.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/triangular.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr Index kBlockMax = 2048;
// A recomputed residual with its certificate costs three products in float64:
// only where the plain one is this close to the tolerance.
constexpr double kNear = 2.0;

// An epoch that makes a residual larger than this is not taken, and so many in
// a row that made one larger at all end the momentum, or the descent.
constexpr double kRiseMax = 4.0;
constexpr int kRisesMax = 4;

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

// Right-hand sides that go together, 16 at most.
class Descent {
 public:
  Descent(ScaledSystem& system, const Matrix<double>& c,
          const BlockCoordinateOptions& options, TilePrecision precision,
          const ComputeContext& context)
      : system_(system),
        options_(options),
        context_(context),
        precision_(precision),
        rows_(system.rows(), system.form(), precision),
        open_(At(c.rows())),
        c_(c) {
    std::iota(open_.begin(), open_.end(), Index{0});
    const Index n = c.cols();
    const Index blocks = (n + BlockSize(n) - 1) / BlockSize(n);
    const std::vector<double>& shift = system.form().shift;
    const double nu = static_cast<double>(blocks);
    const double least = *std::min_element(shift.begin(), shift.end());
    const double mu = std::min(std::max(least, 1e-8), 1.0 / nu);
    beta_ = 1.0 - std::sqrt(mu / nu);
    gamma_ = 1.0 / std::sqrt(mu * nu);
    alpha_ = 1.0 / (1.0 + gamma_ * nu);
    accelerated_ = blocks > 1;
    result_.solved.z = Matrix<double>(c.rows(), n);
    result_.solved.ends.assign(open_.size(), IterationEnd::kIterationLimit);
    result_.solved.iterations.assign(open_.size(), 0);
    result_.solved.certificates.assign(open_.size(), kNoAnswerCertificate);
    result_.solved.residual = c;
    result_.solved.error = Matrix<double>(c.rows(), n);
    result_.solved.used_float32 = precision == TilePrecision::kFloat32;
    for (Index row = 0; row < c.rows(); ++row) {
      norms_.push_back(WeightedNorm(c.row(row)));
    }
    last_.assign(open_.size(), 1.0);
  }

  absl::StatusOr<BlockCoordinateResult> Run() {
    absl::Status done = absl::OkStatus();
    v_ = Matrix<double>(c_.rows(), c_.cols());
    for (int epoch = 0; !open_.empty(); ++epoch) {
      done = RunEpoch(epoch);
      if (!done.ok()) break;
    }
    if (absl::IsAborted(done)) {
      for (const Index column : open_) {
        result_.solved.ends[At(column)] = IterationEnd::kStopped;
      }
    } else if (!done.ok()) {
      return done;
    }
    const double n = static_cast<double>(c_.cols());
    result_.condition = std::clamp(largest_ / least_, 1.0, n / kUnitRoundoff);
    return std::move(result_);
  }

 private:
  double WeightedNorm(const double* r) const {
    const std::vector<double>& weights = system_.residual_weights();
    double sum = 0.0;
    for (Index i = 0; i < c_.cols(); ++i) {
      const double value = weights[At(i)] * r[i];
      sum += value * value;
    }
    return std::sqrt(sum);
  }

  // All blocks once: iterates relative to z, towards S^-1 of its residual.
  absl::Status RunEpoch(int epoch) {
    const Index n = c_.cols();
    const Matrix<double> r =
        TakeRows(result_.solved.residual, open_, context_.workers);
    // Relative to z. v keeps the momentum of the epochs before, y starts on its
    // side; w of a block that is missing is y.
    Matrix<double> y(r.rows(), n);
    Matrix<double> w(r.rows(), n);
    if (accelerated_) {
      for (Index i = 0; i < y.size(); ++i) y.data()[i] = alpha_ * v_.data()[i];
    }
    const std::vector<Index> order = Order(n, options_.seed, epoch);
    const Index size = BlockSize(n);
    for (Index first = 0; first < n; first += size) {
      const auto begin = order.begin() + first;
      const std::vector<Index> block(begin, begin + std::min(size, n - first));
      absl::Status done = StepBlock(block, r, y, w);
      if (!done.ok()) return done;
      context_.Report({.phase = "iterate",
                       .iteration = epoch,
                       .relative_residual = Worst(),
                       .fraction = std::nullopt});
    }
    return EndEpoch(epoch, accelerated_ ? w : y);
  }

  absl::Status StepBlock(const std::vector<Index>& block,
                         const Matrix<double>& r, Matrix<double>& y,
                         Matrix<double>& w) {
    const Index k = y.rows();
    const Index n = y.cols();
    const auto size = static_cast<Index>(block.size());
    Matrix<double> sy(k, size);
    absl::Status done = rows_.Multiply(block, y, sy, context_);
    if (!done.ok()) return done;
    Matrix<double> d(size, k);
    for (Index c = 0; c < k; ++c) {
      for (Index i = 0; i < size; ++i) {
        d(i, c) = sy(c, i) - r(c, block[At(i)]);
      }
    }
    done = SolveBlock(block, d);
    if (!done.ok()) return done;
    if (!accelerated_) {
      for (Index c = 0; c < k; ++c) {
        for (Index i = 0; i < size; ++i) y(c, block[At(i)]) -= d(i, c);
      }
      return absl::OkStatus();
    }
    // w := y - d, v := b v + (1 - b) y - g d, y := a v + (1 - a) w
    ForVectorPanels(n, context_.workers, [&](Index, Index first, Index count) {
      for (Index c = 0; c < k; ++c) {
        double* const vc = v_.row(c) + first;
        double* const yc = y.row(c) + first;
        double* const wc = w.row(c) + first;
        for (Index i = 0; i < count; ++i) {
          wc[i] = yc[i];
          vc[i] = beta_ * vc[i] + (1.0 - beta_) * yc[i];
        }
      }
    });
    for (Index c = 0; c < k; ++c) {
      for (Index i = 0; i < size; ++i) {
        w(c, block[At(i)]) -= d(i, c);
        v_(c, block[At(i)]) -= gamma_ * d(i, c);
      }
    }
    ForVectorPanels(n, context_.workers, [&](Index, Index first, Index count) {
      for (Index c = 0; c < k; ++c) {
        const double* const vc = v_.row(c) + first;
        const double* const wc = w.row(c) + first;
        double* const yc = y.row(c) + first;
        for (Index i = 0; i < count; ++i) {
          yc[i] = alpha_ * vc[i] + (1.0 - alpha_) * wc[i];
        }
      }
    });
    return absl::OkStatus();
  }

  // d := S_BB^-1 d. A block that is singular gets a ridge: its step is damped.
  absl::Status SolveBlock(const std::vector<Index>& block, Matrix<double>& d) {
    const auto size = static_cast<Index>(block.size());
    absl::StatusOr<Matrix<double>> s = rows_.Square(block, context_);
    if (!s.ok()) return s.status();
    constexpr double kDamping[] = {0.0, 1e-12, 1e-8, 1e-4, 1.0};
    for (const double damping : kDamping) {
      Matrix<double> r = *s;
      for (Index i = 0; i < size; ++i) r(i, i) += damping;
      const absl::StatusOr<CholeskyOutcome> outcome =
          CholeskyInPlace(r.data(), size, size, context_);
      if (!outcome.ok()) return outcome.status();
      if (!outcome->positive_definite) continue;
      for (Index i = 0; i < size; ++i) {
        least_ = std::min(least_, std::max(r(i, i) * r(i, i), kUnitRoundoff));
      }
      const Block<const double> upper = BlockOf(std::as_const(r));
      absl::Status done = SolveUpper(Transposed(upper), BlockOf(d), context_);
      if (!done.ok()) return done;
      return SolveUpper(Operand<double>(upper), BlockOf(d), context_);
    }
    d = Matrix<double>(d.rows(), d.cols());
    return absl::OkStatus();
  }

  // z += w; r follows by a product with the step alone, whose errors are small
  // as the step is.
  absl::Status EndEpoch(int epoch, const Matrix<double>& w) {
    const Index n = c_.cols();
    Matrix<double> sw(w.rows(), n);
    absl::Status done = system_.Apply(w, precision_, sw, context_);
    if (!done.ok()) return done;
    bool near = epoch + 1 >= options_.max_epochs;
    bool rose = false;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const auto row = static_cast<Index>(c);
      const Index column = open_[c];
      SeeLargest(w.row(row), sw.row(row));
      std::vector<double> next(At(n));
      const double* const r = result_.solved.residual.row(column);
      for (Index i = 0; i < n; ++i) next[At(i)] = r[i] - sw(row, i);
      const double ratio = WeightedNorm(next.data()) / norms_[At(column)];
      ++result_.solved.iterations[At(column)];
      rose |= !(ratio < last_[c]);
      if (ratio < kRiseMax * last_[c]) {
        AddScaled(1.0, w.row(row), result_.solved.z.row(column), n);
        AddScaled(-1.0, w.row(row), v_.row(row), n);
        std::copy(next.begin(), next.end(),
                  result_.solved.residual.row(column));
        last_[c] = ratio;
        result_.solved.certificates[At(column)].relative_residual = ratio;
      } else {
        std::fill(v_.row(row), v_.row(row) + n, 0.0);
      }
      near |= last_[c] <= kNear * options_.tolerance;
    }
    // The error falls in the norm of S; the residual need not every time.
    rises_ = rose ? rises_ + 1 : 0;
    if (rises_ >= kRisesMax && accelerated_) {
      accelerated_ = false;
      rises_ = 0;
      v_ = Matrix<double>(v_.rows(), n);
    }
    near |= rises_ >= kRisesMax;
    return near ? Certify(epoch) : absl::OkStatus();
  }

  absl::Status Certify(int epoch) {
    context_.Report({.phase = "verify", .fraction = std::nullopt});
    ConjugateGradientResult& solved = result_.solved;
    const absl::StatusOr<CheckedResidual> checked =
        system_.Check(TakeRows(c_, open_, context_.workers),
                      TakeRows(solved.z, open_, context_.workers), context_);
    if (!checked.ok()) return checked.status();
    std::vector<Index> still;
    std::vector<Index> kept;
    std::vector<double> last;
    const Index n = c_.cols();
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const auto row = static_cast<Index>(c);
      const Index column = open_[c];
      const Certificate& certificate = checked->certificates[c];
      const bool last_epoch = epoch + 1 >= options_.max_epochs;
      if (!(certificate.relative_residual <= 1.0) &&
          (last_epoch || rises_ >= kRisesMax)) {
        EndAtZero(column, last_epoch);
        continue;
      }
      solved.certificates[At(column)] = certificate;
      std::copy(checked->residual.row(row), checked->residual.row(row) + n,
                solved.residual.row(column));
      std::copy(checked->error.row(row), checked->error.row(row) + n,
                solved.error.row(column));
      if (IsConverged(certificate, options_.tolerance)) {
        solved.ends[At(column)] = IterationEnd::kConverged;
      } else if (last_epoch) {
        solved.ends[At(column)] = IterationEnd::kIterationLimit;
      } else if (rises_ >= kRisesMax ||
                 certificate.error >= options_.tolerance ||
                 !std::isfinite(certificate.relative_residual)) {
        solved.ends[At(column)] = IterationEnd::kStalled;
      } else {
        still.push_back(column);
        kept.push_back(row);
        last.push_back(certificate.relative_residual);
      }
    }
    v_ = TakeRows(v_, kept, context_.workers);
    open_ = std::move(still);
    last_ = std::move(last);
    return absl::OkStatus();
  }

  // Nothing found is better than x = 0.
  void EndAtZero(Index column, bool last_epoch) {
    ConjugateGradientResult& solved = result_.solved;
    const Index n = c_.cols();
    std::fill(solved.z.row(column), solved.z.row(column) + n, 0.0);
    std::fill(solved.error.row(column), solved.error.row(column) + n, 0.0);
    std::copy(c_.row(column), c_.row(column) + n, solved.residual.row(column));
    solved.certificates[At(column)] = kNoAnswerCertificate;
    solved.ends[At(column)] =
        last_epoch ? IterationEnd::kIterationLimit : IterationEnd::kStalled;
  }

  // |S w| / |w| is an eigenvalue's size from below.
  void SeeLargest(const double* w, const double* sw) {
    const double square = Dot(w, w, c_.cols());
    if (!(square > 0.0)) return;
    const double ratio = std::sqrt(Dot(sw, sw, c_.cols()) / square);
    if (std::isfinite(ratio)) largest_ = std::max(largest_, ratio);
  }

  double Worst() const {
    return last_.empty() ? 0.0 : *std::max_element(last_.begin(), last_.end());
  }

  ScaledSystem& system_;
  const BlockCoordinateOptions& options_;
  const ComputeContext& context_;
  const TilePrecision precision_;
  BlockRows rows_;
  std::vector<Index> open_;
  const Matrix<double>& c_;
  BlockCoordinateResult result_;
  std::vector<double> norms_;  // of the right-hand sides
  std::vector<double> last_;   // relative residuals of the open columns
  Matrix<double> v_;           // of the open columns
  double beta_ = 0.0;
  double gamma_ = 0.0;
  double alpha_ = 1.0;
  bool accelerated_ = false;
  int rises_ = 0;  // epochs in a row after which a residual was larger
  double largest_ = 1.0;
  double least_ = 1.0;
};

void CopyColumns(const ConjugateGradientResult& from, Index first,
                 ConjugateGradientResult& to) {
  const auto copy = [&](const Matrix<double>& part, Matrix<double>& whole) {
    std::copy(part.data(), part.data() + part.size(), whole.row(first));
  };
  copy(from.z, to.z);
  copy(from.residual, to.residual);
  copy(from.error, to.error);
  for (std::size_t c = 0; c < from.ends.size(); ++c) {
    to.ends[At(first) + c] = from.ends[c];
    to.iterations[At(first) + c] = from.iterations[c];
    to.certificates[At(first) + c] = from.certificates[c];
  }
}

}  // namespace

Index BlockSize(Index n) {
  constexpr Index kBlocksMin = 8;
  constexpr Index kSmall = 16;
  return std::min(kBlockMax,
                  std::max(kSmall, (n + kBlocksMin - 1) / kBlocksMin));
}

absl::StatusOr<BlockCoordinateResult> SolveBlockCoordinate(
    ScaledSystem& system, const Matrix<double>& c,
    const BlockCoordinateOptions& options, const ComputeContext& context) {
  const Index k = c.rows();
  const Index n = c.cols();
  const TilePrecision precision = Float32Allowed(system.rows(), system.form())
                                      ? TilePrecision::kFloat32
                                      : TilePrecision::kFloat64;
  BlockCoordinateResult result;
  ConjugateGradientResult& solved = result.solved;
  solved.z = Matrix<double>(k, n);
  solved.residual = c;
  solved.error = Matrix<double>(k, n);
  solved.ends.assign(At(k), IterationEnd::kStopped);
  solved.iterations.assign(At(k), 0);
  solved.certificates.assign(At(k), kNoAnswerCertificate);
  for (Index first = 0; first < k; first += kTogetherMax) {
    Matrix<double> part(std::min(kTogetherMax, k - first), n);
    std::copy(c.row(first), c.row(first) + part.size(), part.data());
    const absl::StatusOr<BlockCoordinateResult> done =
        Descent(system, part, options, precision, context).Run();
    if (!done.ok()) return done.status();
    CopyColumns(done->solved, first, solved);
    solved.used_float32 |= done->solved.used_float32;
    result.condition = std::max(result.condition, done->condition);
  }
  return result;
}

}  // namespace steelyard
