#include "kernel/conjugate_gradient.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "kernel/block_recurrence.h"
#include "kernel/ritz_values.h"
#include "kernel/vector_block.h"

namespace steelyard {
namespace {

// The recurrence and twice its doubt aim below the tolerance: the recomputed
// residual is larger.
constexpr double kGoalOfTolerance = 0.7;
// A cycle of float64 tiles ends here at the latest: below it their own
// residual is rounding.
constexpr double kFloat64Reduction = 1e-9;
// A cycle of float32 tiles that takes longer is looked at.
constexpr int kFloat32StepsMax = 60;
// Where these are not enough, tiles are kept.
constexpr int kStepsWithoutTiles = 4;
// A cycle of float32 tiles ends where the recurrence may be off by this much of
// itself: later, and steps are taken that do nothing to the true residual.
constexpr double kDriftOfNorm = 0.3;
// Drift over the residual at the beginning of a cycle, as long as it has not
// been seen.
constexpr double kDriftGuess = 3e-4;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

void CopyRows(const Matrix<double>& from, const std::vector<Index>& to,
              Matrix<double>& out) {
  for (Index c = 0; c < from.rows(); ++c) {
    std::copy(from.row(c), from.row(c) + from.cols(), out.row(to[At(c)]));
  }
}

// What is known of z in the result: the certificate, or none since it was
// replaced.
struct Ledger {
  std::vector<Certificate> kept;
  std::vector<char> certified;
};

// Columns that search together, from where `result` has brought them.
class Company {
 public:
  Company(ScaledSystem& system, const Matrix<double>& c,
          const ConjugateGradientOptions& options,
          const ComputeContext& context, std::vector<Index> columns,
          TilePrecision precision, ConjugateGradientResult& result,
          Ledger& ledger)
      : system_(system),
        c_(c),
        options_(options),
        context_(context),
        alone_(columns.size() == 1),
        open_(std::move(columns)),
        result_(result),
        ledger_(ledger),
        recurrence_(system, options.preconditioner, context),
        precision_(precision) {
    for (const Index column : open_) {
      rhs_norms_.push_back(WeightedNorm(c.row(column)));
      goals_.push_back(kGoalOfTolerance * options.tolerance);
      drifts_.push_back(std::nullopt);
    }
  }

  // Columns that stalled in company.
  absl::StatusOr<std::vector<Index>> Run() {
    // Every cycle but the last ones halves a residual: 2^-200 is out of reach.
    constexpr int kCyclesMax = 200;
    absl::Status done = absl::OkStatus();
    for (int cycle = 0; cycle < kCyclesMax && !open_.empty(); ++cycle) {
      done = RunCycle();
      if (!done.ok()) break;
    }
    KeepRitzValues();
    if (absl::IsAborted(done)) {
      for (const Index column : open_) {
        result_.ends[At(column)] = IterationEnd::kStopped;
      }
      return std::vector<Index>();
    }
    if (!done.ok()) return done;
    return alone_ ? std::vector<Index>() : stalled_;
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

  double Tolerable(std::size_t c) const { return goals_[c] * rhs_norms_[c]; }

  // By how much the recurrence may be off, in a cycle from `start`. What was
  // seen at the end of earlier ones counts: where sums cancel, the estimate
  // from the tiles is far too small.
  double Doubt(std::size_t c, double start) const {
    const double seen = precision_ == TilePrecision::kFloat32
                            ? drifts_[c].value_or(0.0) * start
                            : 0.0;
    return std::max(recurrence_.tile_errors()[c], seen);
  }

  // Below the goal, for all that is known of the recurrence.
  bool Settled(std::size_t c, double start) const {
    return recurrence_.norms()[c] + 2.0 * Doubt(c, start) <= Tolerable(c);
  }

  // Nothing to be had from more steps on the recurrence.
  bool Exhausted(std::size_t c, double start) const {
    const double norm = recurrence_.norms()[c];
    if (precision_ == TilePrecision::kFloat64) {
      return norm <= recurrence_.tile_errors()[c] ||
             norm <= kFloat64Reduction * start;
    }
    const double drift = drifts_[c].value_or(kDriftGuess) * start;
    return norm <= std::max(drift / kDriftOfNorm, Doubt(c, start));
  }

  // Every column is settled, or one has nothing to gain.
  bool CycleIsOver(const std::vector<double>& start) const {
    bool settled = true;
    bool exhausted = false;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const bool done = Settled(c, start[c]);
      settled &= done;
      exhausted |= !done && Exhausted(c, start[c]);
    }
    return settled || exhausted;
  }

  absl::Status RunCycle() {
    z_ = TakeRows(result_.z, open_, context_.workers);
    absl::Status done = recurrence_.Restart(
        TakeRows(result_.residual, open_, context_.workers));
    if (!done.ok()) return done;
    const std::vector<double> start = recurrence_.norms();
    bool broken = false;
    bool over = false;
    for (int step = 0; !over; ++step) {
      if (result_.iterations[At(open_.front())] >= options_.max_iterations) {
        break;
      }
      const absl::StatusOr<bool> stepped = recurrence_.Step(precision_, z_);
      if (!stepped.ok()) {
        CopyRows(z_, open_, result_.z);
        return stepped.status();
      }
      broken = !*stepped;
      if (broken) break;
      if (options_.keep_tiles && step + 1 == kStepsWithoutTiles) {
        system_.KeepTiles();
      }
      result_.used_float32 |= precision_ == TilePrecision::kFloat32;
      for (std::size_t c = 0; c < open_.size(); ++c) {
        ++result_.iterations[At(open_[c])];
        result_.certificates[At(open_[c])].relative_residual =
            recurrence_.norms()[c] / rhs_norms_[c];
      }
      ReportStep(result_, open_, context_);
      over = CycleIsOver(start) || (precision_ == TilePrecision::kFloat32 &&
                                    step + 1 == kFloat32StepsMax);
    }
    return EndCycle(start, broken);
  }

  // Recomputes the residuals: with certificates where the columns may be done,
  // by a plain product otherwise.
  absl::Status EndCycle(const std::vector<double>& start, bool broken) {
    const bool out_of_steps =
        result_.iterations[At(open_.front())] >= options_.max_iterations;
    bool settled = true;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      settled &= Settled(c, start[c]);
    }
    if (precision_ == TilePrecision::kFloat32 &&
        !(settled || out_of_steps || broken)) {
      return Replace(start);
    }
    return Certify(start, broken, out_of_steps);
  }

  // r := c - S z, where that is an improvement; float32 has had its day where
  // it is not one by half.
  absl::Status Replace(const std::vector<double>& start) {
    Matrix<double> r(z_.rows(), z_.cols());
    absl::Status done = system_.Apply(z_, TilePrecision::kFloat64, r, context_);
    if (!done.ok()) {
      CopyRows(z_, open_, result_.z);
      return done;
    }
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const auto row = static_cast<Index>(c);
      const Index column = open_[c];
      for (Index i = 0; i < r.cols(); ++i) {
        r(row, i) = c_(column, i) - r(row, i);
      }
      SeeDrift(c, r.row(row), start[c]);
      const double norm = WeightedNorm(r.row(row));
      if (!(norm <= 0.5 * start[c])) precision_ = TilePrecision::kFloat64;
      if (norm < start[c]) {
        Take(c, r.row(row));
        ledger_.certified[At(column)] = 0;
      }
      result_.certificates[At(column)].relative_residual =
          std::min(norm, start[c]) / rhs_norms_[c];
    }
    return absl::OkStatus();
  }

  // Of the recurrence from the true residual.
  void SeeDrift(std::size_t c, const double* r, double start) {
    const std::vector<double>& weights = system_.residual_weights();
    const double* const recurred =
        recurrence_.residual().row(static_cast<Index>(c));
    double sum = 0.0;
    for (Index i = 0; i < c_.cols(); ++i) {
      const double value = weights[At(i)] * (r[i] - recurred[i]);
      sum += value * value;
    }
    // Not a number: the cycle is undone all the same.
    if (start > 0.0) drifts_[c] = std::min(1.0, std::sqrt(sum) / start);
  }

  void Take(std::size_t c, const double* r) {
    const Index column = open_[c];
    const double* const z = z_.row(static_cast<Index>(c));
    std::copy(z, z + z_.cols(), result_.z.row(column));
    std::copy(r, r + z_.cols(), result_.residual.row(column));
  }

  absl::Status Certify(const std::vector<double>& start, bool broken,
                       bool out_of_steps) {
    context_.Report({.phase = "verify", .fraction = std::nullopt});
    absl::StatusOr<CheckedResidual> checked =
        system_.Check(TakeRows(c_, open_, context_.workers), z_, context_);
    if (!checked.ok()) {
      CopyRows(z_, open_, result_.z);
      return checked.status();
    }
    std::vector<double> after;
    for (const Certificate& certificate : checked->certificates) {
      after.push_back(certificate.relative_residual);
    }
    absl::Status done = KeepTheBetter(start, *checked);
    if (!done.ok()) return done;
    Close(start, after, broken, out_of_steps);
    return done;
  }

  // Steps that made it worse are undone; where they began there may be no
  // certificate yet.
  absl::Status KeepTheBetter(const std::vector<double>& start,
                             const CheckedResidual& checked) {
    std::vector<Index> uncertain;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const Certificate& certificate = checked.certificates[c];
      SeeDrift(c, checked.residual.row(static_cast<Index>(c)), start[c]);
      if (certificate.relative_residual < start[c] / rhs_norms_[c]) {
        const auto row = static_cast<Index>(c);
        Take(c, checked.residual.row(row));
        Keep(open_[c], certificate, checked.error.row(row));
      } else if (ledger_.certified[At(open_[c])] == 0) {
        uncertain.push_back(open_[c]);
      }
      result_.certificates[At(open_[c])] = ledger_.kept[At(open_[c])];
    }
    if (uncertain.empty()) return absl::OkStatus();
    const absl::StatusOr<CheckedResidual> again = system_.Check(
        TakeRows(c_, uncertain, context_.workers),
        TakeRows(result_.z, uncertain, context_.workers), context_);
    if (!again.ok()) return again.status();
    for (std::size_t c = 0; c < uncertain.size(); ++c) {
      Keep(uncertain[c], again->certificates[c],
           again->error.row(static_cast<Index>(c)));
      result_.certificates[At(uncertain[c])] = again->certificates[c];
    }
    return absl::OkStatus();
  }

  void Keep(Index column, const Certificate& certificate, const double* error) {
    ledger_.kept[At(column)] = certificate;
    ledger_.certified[At(column)] = 1;
    std::copy(error, error + c_.cols(), result_.error.row(column));
  }

  // Ends the columns that are done or lost.
  void Close(const std::vector<double>& start, const std::vector<double>& after,
             bool broken, bool out_of_steps) {
    std::vector<Index> still;
    std::vector<double> norms;
    std::vector<double> goals;
    std::vector<std::optional<double>> drifts;
    bool slow = broken;
    for (std::size_t c = 0; c < open_.size(); ++c) {
      const Index column = open_[c];
      // Not a number is not halved either.
      const bool halved = after[c] <= 0.5 * start[c] / rhs_norms_[c];
      const std::optional<IterationEnd> end =
          EndOf(column, halved, broken, out_of_steps);
      if (end.has_value()) {
        result_.ends[At(column)] = *end;
        if (*end == IterationEnd::kStalled || *end == IterationEnd::kSingular) {
          stalled_.push_back(column);
        }
        continue;
      }
      slow |= !halved;
      still.push_back(column);
      norms.push_back(rhs_norms_[c]);
      drifts.push_back(drifts_[c]);
      // It was thought to be done: more is needed.
      goals.push_back(Settled(c, start[c]) ? 0.3 * goals_[c] : goals_[c]);
    }
    if (slow) precision_ = TilePrecision::kFloat64;
    open_ = std::move(still);
    rhs_norms_ = std::move(norms);
    goals_ = std::move(goals);
    drifts_ = std::move(drifts);
  }

  std::optional<IterationEnd> EndOf(Index column, bool halved, bool broken,
                                    bool out_of_steps) const {
    if (IsConverged(result_.certificates[At(column)], options_.tolerance)) {
      return IterationEnd::kConverged;
    }
    const bool final = precision_ == TilePrecision::kFloat64;
    if (broken && final) return IterationEnd::kSingular;
    if (out_of_steps) return IterationEnd::kIterationLimit;
    // More of the same is of no use.
    if (!halved && final) return IterationEnd::kStalled;
    return std::nullopt;
  }

  void KeepRitzValues() {
    RitzValues ritz = FindRitzValues(recurrence_.lanczos());
    if (!(ritz.largest > 0.0)) return;
    ritz.least = std::min(ritz.least, recurrence_.least_of_ended());
    // Of several companies the widest.
    if (result_.ritz_largest == 0.0 || ritz.least < result_.ritz_least) {
      result_.ritz_least = ritz.least;
    }
    result_.ritz_largest = std::max(result_.ritz_largest, ritz.largest);
  }

  ScaledSystem& system_;
  const Matrix<double>& c_;
  const ConjugateGradientOptions& options_;
  const ComputeContext& context_;
  const bool alone_;
  std::vector<Index> open_;
  ConjugateGradientResult& result_;
  Ledger& ledger_;
  BlockRecurrence recurrence_;
  TilePrecision precision_;
  Matrix<double> z_;               // of the columns that are open
  std::vector<double> rhs_norms_;  // of those
  std::vector<double> goals_;
  // Of the recurrence, over the residual at the beginning of the cycle.
  std::vector<std::optional<double>> drifts_;
  std::vector<Index> stalled_;
};

}  // namespace

void ReportStep(const ConjugateGradientResult& result,
                const std::vector<Index>& columns,
                const ComputeContext& context) {
  double worst = 0.0;
  for (const Index column : columns) {
    worst = std::max(worst, result.certificates[At(column)].relative_residual);
  }
  context.Report({.phase = "iterate",
                  .iteration = result.iterations[At(columns.front())],
                  .relative_residual = worst,
                  .fraction = std::nullopt});
}

absl::StatusOr<ConjugateGradientResult> SolveConjugateGradient(
    ScaledSystem& system, const Matrix<double>& c,
    const ConjugateGradientOptions& options, const ComputeContext& context) {
  const Index k = c.rows();
  ConjugateGradientResult result;
  result.z = Matrix<double>(k, c.cols());
  result.ends.assign(At(k), IterationEnd::kStopped);
  result.iterations.assign(At(k), 0);
  result.certificates.assign(At(k), kNoAnswerCertificate);
  result.residual = c;
  result.error = Matrix<double>(k, c.cols());
  Ledger ledger{result.certificates, std::vector<char>(At(k), 1)};
  const TilePrecision first = Float32Allowed(system.rows(), system.form())
                                  ? TilePrecision::kFloat32
                                  : TilePrecision::kFloat64;
  for (Index begin = 0; begin < k; begin += kTogetherMax) {
    std::vector<Index> columns(At(std::min(kTogetherMax, k - begin)));
    std::iota(columns.begin(), columns.end(), begin);
    const absl::StatusOr<std::vector<Index>> stalled =
        Company(system, c, options, context, columns, first, result, ledger)
            .Run();
    if (!stalled.ok()) return stalled.status();
    for (const Index column : *stalled) {
      // Company may have been the reason, unless rounding is.
      const Certificate& certificate = result.certificates[At(column)];
      if (certificate.error >= options.tolerance ||
          AtPrecisionFloor(certificate, system.rows().logit_max)) {
        continue;
      }
      const absl::StatusOr<std::vector<Index>> alone =
          Company(system, c, options, context, {column},
                  TilePrecision::kFloat64, result, ledger)
              .Run();
      if (!alone.ok()) return alone.status();
    }
  }
  return result;
}

}  // namespace steelyard
