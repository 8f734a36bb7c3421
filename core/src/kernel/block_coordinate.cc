#include "kernel/block_coordinate.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "kernel/vector_block.h"
#include "linalg/blas.h"

namespace steelyard {
namespace {

// As in conjugate_gradient.cc: the recurrence and twice its doubt aim below the
// tolerance, and a cycle of float64 tiles ends where its residual is rounding.
constexpr double kGoalOfTolerance = 0.7;
constexpr double kFloat64Reduction = 1e-9;
// A cycle of float32 tiles that takes longer is looked at.
constexpr int kFloat32EpochsMax = 30;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

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
        c_(c),
        columns_(At(c.rows())),
        open_(At(c.rows())),
        epochs_(system, options.seed, c.rows(), context),
        z_(c.rows(), c.cols()),
        r_(c) {
    std::iota(open_.begin(), open_.end(), Index{0});
    kept_ = open_;
    for (const Index column : open_) {
      const double norm = WeightedNorm(c.row(column));
      columns_[At(column)].norm = norm > 0.0 ? norm : 1.0;
      columns_[At(column)].goal = kGoalOfTolerance * options.tolerance;
    }
    result_.z = Matrix<double>(c.rows(), c.cols());
    result_.ends.assign(open_.size(), IterationEnd::kStopped);
    result_.iterations.assign(open_.size(), 0);
    result_.certificates.assign(open_.size(), kNoAnswerCertificate);
    result_.residual = c;
    result_.error = Matrix<double>(c.rows(), c.cols());
  }

  absl::StatusOr<BlockCoordinateResult> Run() {
    // A cycle takes an epoch at least, or is the last one.
    absl::Status done = absl::OkStatus();
    while (!open_.empty() && done.ok()) done = RunCycle();
    if (absl::IsAborted(done)) {
      for (std::size_t c = 0; c < open_.size(); ++c) {
        const double* const z = z_.row(static_cast<Index>(c));
        std::copy(z, z + z_.cols(), result_.z.row(open_[c]));
      }
    } else if (!done.ok()) {
      return done;
    }
    const double n = static_cast<double>(c_.cols());
    return BlockCoordinateResult{
        std::move(result_),
        std::clamp(epochs_.condition(), 1.0, n / kUnitRoundoff)};
  }

 private:
  struct Column {
    double norm = 1.0;  // of the right-hand side
    double goal = 0.0;
    double energy = 0.0;  // z'S z / 2 - c'z where the cycle began
    double best = 1.0;    // relative residual of the result
    // Of the result, where it has one.
    Certificate certificate = kNoAnswerCertificate;
    bool certified = true;
  };

  double WeightedNorm(const double* r) const {
    const std::vector<double>& weights = system_.residual_weights();
    double sum = 0.0;
    for (Index i = 0; i < c_.cols(); ++i) {
      const double value = weights[At(i)] * r[i];
      sum += value * value;
    }
    return std::sqrt(sum);
  }

  // Below the goal, for all that the recurrence can say.
  bool Settled(std::size_t c) const {
    const Column& column = columns_[At(open_[c])];
    return epochs_.norms()[c] + 2.0 * epochs_.tile_errors()[c] <=
           column.goal * column.norm;
  }

  bool Exhausted(std::size_t c, double start) const {
    const double norm = epochs_.norms()[c];
    return Settled(c) || norm <= epochs_.tile_errors()[c] ||
           (precision_ == TilePrecision::kFloat64 &&
            norm <= kFloat64Reduction * start);
  }

  bool OutOfEpochs() const {
    return result_.iterations[At(open_.front())] >= options_.max_epochs;
  }

  absl::Status RunCycle() {
    epochs_.Restart(r_, kept_);
    kept_.resize(open_.size());
    std::iota(kept_.begin(), kept_.end(), Index{0});
    const std::vector<double> start = epochs_.norms();
    broken_.assign(open_.size(), 0);
    bool broken = false;
    bool exhausted = false;
    for (int step = 0; !exhausted && !broken && !OutOfEpochs(); ++step) {
      if (precision_ == TilePrecision::kFloat32 && step == kFloat32EpochsMax) {
        break;
      }
      ReportStep(result_, open_, context_);
      const absl::StatusOr<std::vector<Index>> stepped =
          epochs_.Step(precision_, z_);
      if (!stepped.ok()) return stepped.status();
      for (const Index c : *stepped) broken_[At(c)] = 1;
      broken = !stepped->empty();
      result_.used_float32 |= precision_ == TilePrecision::kFloat32;
      exhausted = true;
      for (std::size_t c = 0; c < open_.size(); ++c) {
        ++result_.iterations[At(open_[c])];
        result_.certificates[At(open_[c])].relative_residual =
            epochs_.norms()[c] / columns_[At(open_[c])].norm;
        exhausted &= Exhausted(c, start[c]);
      }
    }
    bool settled = true;
    for (std::size_t c = 0; c < open_.size(); ++c) settled &= Settled(c);
    if (precision_ == TilePrecision::kFloat32 &&
        !(settled || broken || OutOfEpochs())) {
      return Replace(start, exhausted);
    }
    return Certify(start, broken);
  }

  // r := c - S z. Float32 has had its day where it is used up and the residual
  // not halved.
  absl::Status Replace(const std::vector<double>& start, bool exhausted) {
    absl::Status done =
        system_.Apply(z_, TilePrecision::kFloat64, r_, context_);
    if (!done.ok()) return done;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const auto row = static_cast<Index>(c);
      for (Index i = 0; i < r_.cols(); ++i) {
        r_(row, i) = c_(open_[c], i) - r_(row, i);
      }
      const double norm = WeightedNorm(r_.row(row));
      const bool halved = norm <= 0.5 * start[c];
      if (norm / columns_[At(open_[c])].norm < columns_[At(open_[c])].best) {
        Take(c, norm / columns_[At(open_[c])].norm);
        columns_[At(open_[c])].certified = false;
      }
      const bool descended = GoOnFrom(c);
      if (!descended || (exhausted && !halved)) {
        precision_ = TilePrecision::kFloat64;
      }
    }
    return absl::OkStatus();
  }

  // The residual need not fall with every cycle, but z'S z / 2 - c'z must:
  // where it did not, iterates go on from the best ones that were seen.
  bool GoOnFrom(std::size_t c) {
    const auto row = static_cast<Index>(c);
    Column& column = columns_[At(open_[c])];
    const auto energy = [&] {
      const double* const z = z_.row(row);
      return -0.5 * (Dot(z, c_.row(open_[c]), c_.cols()) +
                     Dot(z, r_.row(row), c_.cols()));
    };
    const double now = energy();
    if (now < column.energy) {
      column.energy = now;
      return true;
    }
    const Index n = c_.cols();
    std::copy(result_.z.row(open_[c]), result_.z.row(open_[c]) + n,
              z_.row(row));
    std::copy(result_.residual.row(open_[c]),
              result_.residual.row(open_[c]) + n, r_.row(row));
    column.energy = energy();
    return false;
  }

  // The result is z_ from now on.
  void Take(std::size_t c, double relative_residual) {
    const auto row = static_cast<Index>(c);
    columns_[At(open_[c])].best = relative_residual;
    std::copy(z_.row(row), z_.row(row) + z_.cols(), result_.z.row(open_[c]));
    std::copy(r_.row(row), r_.row(row) + r_.cols(),
              result_.residual.row(open_[c]));
  }

  void Keep(Index column, const Certificate& certificate, const double* error) {
    columns_[At(column)].certificate = certificate;
    columns_[At(column)].certified = true;
    std::copy(error, error + c_.cols(), result_.error.row(column));
  }

  absl::Status Certify(const std::vector<double>& start, bool broken) {
    context_.Report({.phase = "verify", .fraction = std::nullopt});
    absl::StatusOr<CheckedResidual> checked =
        system_.Check(TakeRows(c_, open_, context_.workers), z_, context_);
    if (!checked.ok()) return checked.status();
    r_ = std::move(checked->residual);
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const Certificate& certificate = checked->certificates[c];
      // Not a number is no improvement.
      if (certificate.relative_residual < columns_[At(open_[c])].best) {
        Take(c, certificate.relative_residual);
        Keep(open_[c], certificate, checked->error.row(static_cast<Index>(c)));
      }
    }
    absl::Status done = CertifyTheBest();
    if (!done.ok()) return done;
    Close(start, checked->certificates, broken);
    return done;
  }

  // Of what was better before there is no certificate yet.
  absl::Status CertifyTheBest() {
    std::vector<Index> uncertain;
    for (const Index column : open_) {
      if (!columns_[At(column)].certified) uncertain.push_back(column);
    }
    if (uncertain.empty()) return absl::OkStatus();
    const absl::StatusOr<CheckedResidual> checked = system_.Check(
        TakeRows(c_, uncertain, context_.workers),
        TakeRows(result_.z, uncertain, context_.workers), context_);
    if (!checked.ok()) return checked.status();
    for (std::size_t c = 0; c < uncertain.size(); ++c) {
      Keep(uncertain[c], checked->certificates[c],
           checked->error.row(static_cast<Index>(c)));
    }
    return absl::OkStatus();
  }

  // Ends the columns that are done or lost.
  void Close(const std::vector<double>& start,
             const std::vector<Certificate>& after, bool broken) {
    std::vector<Index> still;
    kept_.clear();
    bool slow = broken;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const Index index = open_[c];
      Column& column = columns_[At(index)];
      result_.certificates[At(index)] = column.certificate;
      const bool halved =
          after[c].relative_residual <= 0.5 * start[c] / column.norm;
      const std::optional<IterationEnd> end =
          EndOf(index, broken_[c] != 0 || (!halved && !broken));
      if (end.has_value()) {
        result_.ends[At(index)] = *end;
        continue;
      }
      slow |= !halved;
      // It was thought to be done: more is needed.
      if (Settled(c)) column.goal *= 0.3;
      GoOnFrom(c);
      still.push_back(index);
      kept_.push_back(static_cast<Index>(c));
    }
    if (slow) precision_ = TilePrecision::kFloat64;
    z_ = TakeRows(z_, kept_, context_.workers);
    r_ = TakeRows(r_, kept_, context_.workers);
    open_ = std::move(still);
  }

  std::optional<IterationEnd> EndOf(Index column, bool lost) const {
    if (IsConverged(result_.certificates[At(column)], options_.tolerance)) {
      return IterationEnd::kConverged;
    }
    if (OutOfEpochs()) return IterationEnd::kIterationLimit;
    // More of the same is of no use.
    if (lost && precision_ == TilePrecision::kFloat64) {
      return IterationEnd::kStalled;
    }
    return std::nullopt;
  }

  ScaledSystem& system_;
  const BlockCoordinateOptions& options_;
  const ComputeContext& context_;
  TilePrecision precision_;
  const Matrix<double>& c_;
  std::vector<Column> columns_;
  std::vector<Index> open_;
  std::vector<Index> kept_;  // rows of the last cycle that are open
  BlockEpochs epochs_;
  ConjugateGradientResult result_;  // the best that was seen
  Matrix<double> z_;                // of the columns that are open
  Matrix<double> r_;                // recomputed, where the cycle begins
  std::vector<char> broken_;        // of the last cycle
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
