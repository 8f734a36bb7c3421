#include "kernel/band_route.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_format.h"
#include "kernel/gmres.h"
#include "kernel/pivoted_rows.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

// A sweep is followed by another of its kind while it leaves at most this of
// the digits that are missing. GMRES goes on while a cycle does its part.
constexpr double kSweepProgress = 0.5;
// Or at least this much less, as logarithms, in each row that misses some.
constexpr double kSweepDigits = 7.0;
// Or omega comes down to this.
constexpr double kOmegaProgress = 0.1;
constexpr double kCycleProgress = 0.9;
// A cycle ends at this: the next one starts from the true residual.
constexpr double kCycleReduction = 1e-8;
// Below this part of its own rounding error a residual says nothing.
constexpr double kSettled = 0.125;
// For the correction that an error is estimated by.
constexpr double kEstimateTolerance = 0.1;
constexpr int kEstimateSteps = 80;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double SignedRatio(const ScaledNumber& x, const ScaledNumber& y) {
  if (y.zero()) return 0.0;
  return std::copysign(RatioOf(x, y), x.mantissa);
}

struct Iterate {
  ScaledVector x;
  ResidualRows rows;
  Certificate certificate = kNoAnswerCertificate;
  // Sum of ln|r_i| over its rounding error, where positive: digits missing,
  // and the rows that miss some.
  double missing = 0.0;
  Index unsettled = 0;
  int iterations = 0;
  bool whole_used = false;
  bool cycles_used = false;
};

// The two ways to solve for a correction.
struct Sweepers {
  const BandSweeps& bands;
  // All rows as one band, made when first asked for.
  absl::FunctionRef<absl::StatusOr<const BandSweeps*>()> whole;
};

struct Goal {
  double tolerance = 1e-8;
  int iterations_max = 1000;
  bool report = false;
  // Residuals that are small enough, row by row, beside rounding errors; or
  // null, and then the tolerance is a goal too.
  const ScaledVector* allowed = nullptr;
};

// One right-hand side, in the order of the bands.
class BandIteration {
 public:
  BandIteration(const Sweepers& sweepers, const ScaledVector& b, Goal goal,
                const ComputeContext& context)
      : sweepers_(sweepers),
        sweeps_(sweepers.bands),
        b_(b),
        goal_(goal),
        context_(context) {}

  // Improves `best` until the goal is met, or nothing helps. Stopped: as far
  // as it came.
  absl::Status Run(Iterate& best) {
    best.x.assign(b_.size(), {});
    best.rows = {.residual = b_,
                 .magnitude = ScaledVector(b_.size()),
                 .rhs = b_,
                 .error = ScaledVector(b_.size())};
    Step step = Step::kBands;
    int weak_cycles = 0;
    constexpr int kWeakCyclesMax = 2;
    while (best.iterations < goal_.iterations_max) {
      const bool first = best.iterations == 0;
      const double before = best.missing;
      const double omega = best.certificate.omega;
      const auto unsettled = static_cast<double>(best.unsettled);
      absl::Status done = Improve(step, best);
      if (!done.ok()) return done;
      Tell(best);
      if (MeetsGoal(best.certificate) || best.unsettled == 0) break;
      if (first) continue;
      const bool omega_better =
          best.certificate.omega <= kOmegaProgress * omega;
      if (step == Step::kCycle) {
        const bool weak =
            !omega_better && best.missing > kCycleProgress * before;
        weak_cycles = weak ? weak_cycles + 1 : 0;
        if (weak_cycles == kWeakCyclesMax) break;
      } else if (!omega_better &&
                 best.missing > std::max(kSweepProgress * before,
                                         before - kSweepDigits * unsettled)) {
        if (AtFloor(best.certificate)) break;
        step = step == Step::kBands ? Step::kWhole : Step::kCycle;
      }
    }
    return absl::OkStatus();
  }

  bool MeetsGoal(const Certificate& certificate) const {
    return goal_.allowed == nullptr &&
           IsConverged(certificate, goal_.tolerance) &&
           certificate.omega <= goal_.tolerance;
  }

 private:
  enum class Step { kBands, kWhole, kCycle };

  bool AtFloor(const Certificate& certificate) const {
    return goal_.allowed == nullptr &&
           AtPrecisionFloor(certificate, sweeps_.matrix().rows->logit_max);
  }

  void Tell(const Iterate& best) const {
    if (!goal_.report) return;
    context_.Report({.phase = "iterate",
                     .iteration = best.iterations,
                     .relative_residual = best.certificate.relative_residual,
                     .fraction = std::nullopt});
  }

  // A residual up to this needs nothing more.
  ScaledNumber SettledAt(const ResidualRows& rows, std::size_t i) const {
    const ScaledNumber error = Times(rows.error[i], kSettled);
    if (goal_.allowed == nullptr) return error;
    return LargerThan(error, (*goal_.allowed)[i]) ? error : (*goal_.allowed)[i];
  }

  // One step, kept where it helps.
  absl::Status Improve(Step step, Iterate& best) const {
    const bool first = best.iterations == 0;
    int steps = 1;
    ScaledVector x = best.x;
    absl::Status done = absl::OkStatus();
    if (step == Step::kCycle) {
      best.cycles_used = true;
      done = AddCycle(best, x, steps);
    } else if (step == Step::kWhole) {
      best.whole_used = true;
      const absl::StatusOr<const BandSweeps*> whole = sweepers_.whole();
      if (!whole.ok()) return whole.status();
      done = AddSweep(**whole, best, x);
    } else {
      done = AddSweep(sweeps_, best, x);
    }
    if (done.ok()) done = Take(std::move(x), first, best);
    if (done.ok()) best.iterations += std::max(1, steps);
    return done;
  }

  // The residual at x; keeps x where it is better than before.
  absl::Status Take(ScaledVector x, bool first, Iterate& best) const {
    absl::StatusOr<ResidualRows> rows =
        TrueResidual(sweeps_.matrix(), x, b_, context_);
    if (!rows.ok()) return rows.status();
    double missing = 0.0;
    Index unsettled = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const ScaledNumber settled = SettledAt(*rows, i);
      if (!LargerThan(rows->residual[i], settled)) continue;
      missing += LogOf(rows->residual[i]) - LogOf(settled);
      ++unsettled;
    }
    // The worst row may be put right at a small price to the others.
    const Certificate certificate = Certify(*rows);
    if (!first && !(missing < best.missing) &&
        !(certificate.omega <= kOmegaProgress * best.certificate.omega)) {
      return absl::OkStatus();
    }
    best.x = std::move(x);
    best.certificate = certificate;
    best.rows = *std::move(rows);
    best.missing = missing;
    best.unsettled = unsettled;
    return absl::OkStatus();
  }

  absl::Status AddSweep(const BandSweeps& sweeps, Iterate& best,
                        ScaledVector& x) const {
    ScaledVector y = best.rows.residual;
    for (std::size_t i = 0; i < y.size(); ++i) {
      if (!LargerThan(y[i], SettledAt(best.rows, i))) y[i] = {};
    }
    if (absl::Status done = sweeps.Sweep(y, context_); !done.ok()) return done;
    for (std::size_t i = 0; i < y.size(); ++i) x[i] = Add(x[i], y[i]);
    return absl::OkStatus();
  }

  // Of residuals u_i = (M|x|)_i + |b_i|, of x u_i over the diagonal of M.
  absl::Status AddCycle(const Iterate& best, ScaledVector& x,
                        int& steps) const {
    const Index n = static_cast<Index>(x.size());
    ScaledVector unit(x.size());
    Matrix<double> r(1, n);
    std::vector<double> log_diagonal(x.size());
    for (Index i = 0; i < n; ++i) {
      unit[At(i)] = Add(best.rows.magnitude[At(i)], Absolute(b_[At(i)]));
      r(0, i) = SignedRatio(best.rows.residual[At(i)], unit[At(i)]);
      log_diagonal[At(i)] =
          -sweeps_.form().log_left[At(i)] - sweeps_.form().log_right[At(i)];
    }
    const auto from_units = [&](const Matrix<double>& v,
                                double times_diagonal) {
      ScaledVector out(unit.size());
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = TimesExp(Times(unit[i], v.data()[i]),
                          times_diagonal * log_diagonal[i]);
      }
      return out;
    };
    const auto precondition = [&](Matrix<double>& v) {
      ScaledVector y = from_units(v, 0.0);
      const absl::Status done = sweeps_.Sweep(y, context_);
      for (Index i = 0; done.ok() && i < n; ++i) {
        v(0, i) =
            SignedRatio(TimesExp(y[At(i)], log_diagonal[At(i)]), unit[At(i)]);
      }
      return done;
    };
    const auto apply = [&](const Matrix<double>& v, Matrix<double>& out) {
      const absl::StatusOr<ScaledVector> product = TrueProduct(
          sweeps_.matrix(), {0, n}, {0, n}, from_units(v, -1.0), context_);
      for (Index i = 0; product.ok() && i < n; ++i) {
        out(0, i) = SignedRatio((*product)[At(i)], unit[At(i)]);
      }
      return product.status();
    };
    Matrix<double> change(1, n);
    const absl::StatusOr<GmresCycle> cycle = RunGmresCycle(
        {.apply = apply, .precondition = precondition}, r, CycleGoal(best, r),
        goal_.iterations_max - best.iterations, change);
    if (!cycle.ok()) return cycle.status();
    steps = cycle->iterations;
    const ScaledVector y = from_units(change, -1.0);
    for (std::size_t i = 0; i < y.size(); ++i) x[i] = Add(x[i], y[i]);
    return absl::OkStatus();
  }

  // What meets the goal with some room, but no less than rounding.
  double CycleGoal(const Iterate& best, const Matrix<double>& r) const {
    constexpr double kRoom = 0.1;
    double square = 0.0;
    for (Index i = 0; i < r.cols(); ++i) square += r(0, i) * r(0, i);
    // |r| / |b| <= omega phi / u.
    const double floor = std::max(1.0, best.certificate.floor / kUnitRoundoff);
    return std::max({kRoom * goal_.tolerance / floor, 2.0 * kUnitRoundoff,
                     kCycleReduction * std::sqrt(square)});
  }

  const Sweepers& sweepers_;
  const BandSweeps& sweeps_;
  const ScaledVector& b_;
  Goal goal_;
  const ComputeContext& context_;
};

// |M^-1 v| with residuals small beside `scale` in every row; nullopt where
// that is out of reach: a component that M has no digit of is not in |M^-1 v|.
absl::StatusOr<std::optional<ScaledNumber>> SizeOfSolution(
    const Sweepers& sweepers, const ScaledVector& v, const ScaledVector& scale,
    const ComputeContext& context) {
  using Size = std::optional<ScaledNumber>;
  if (NormOf(v).zero()) return Size(ScaledNumber{});
  ScaledVector allowed(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) {
    allowed[i] = Times(scale[i], kEstimateTolerance);
  }
  Iterate found;
  BandIteration iteration(sweepers, v,
                          {.tolerance = kEstimateTolerance,
                           .iterations_max = kEstimateSteps,
                           .allowed = &allowed},
                          context);
  if (absl::Status done = iteration.Run(found); !done.ok()) return done;
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (LargerThan(found.rows.residual[i], allowed[i])) return Size();
  }
  return Size(NormOf(found.x));
}

absl::Status EstimateError(const KernelProblem& problem,
                           const Sweepers& sweepers, const Iterate& found,
                           ColumnAnswer& answer,
                           const ComputeContext& context) {
  constexpr RandomStream kSigns{.seed = {0}, .stream = 2};
  const ScaledNumber size = NormOf(found.x);
  const double ridge = problem.form().ridge;
  // SOFTMAX_ROWS is not symmetric: no bound.
  if (ridge > 0.0 && !problem.softmax().has_value()) {
    const ScaledNumber norms =
        Add(NormOf(found.rows.residual), NormOf(found.rows.error));
    answer.forward_error =
        std::min(1.0, RatioOf(TimesExp(norms, -std::log(ridge)), size));
  }
  ScaledVector rounding = found.rows.error;
  ScaledVector both = found.rows.error;
  for (std::size_t i = 0; i < rounding.size(); ++i) {
    both[i] = Add(both[i], Absolute(found.rows.residual[i]));
    rounding[i] =
        Times(rounding[i], kSigns.Sign(static_cast<std::uint64_t>(i)));
  }
  absl::StatusOr<std::optional<ScaledNumber>> of_rounding =
      SizeOfSolution(sweepers, rounding, found.rows.error, context);
  if (!of_rounding.ok()) return of_rounding.status();
  if (!of_rounding->has_value()) return absl::OkStatus();
  absl::StatusOr<std::optional<ScaledNumber>> of_residual =
      SizeOfSolution(sweepers, found.rows.residual, both, context);
  if (!of_residual.ok()) return of_residual.status();
  if (!of_residual->has_value()) return absl::OkStatus();
  // What was left of them is not in their solutions.
  const double error = (1.0 + 2.0 * kEstimateTolerance) *
                       RatioOf(Add(**of_rounding, **of_residual), size);
  answer.forward_error = std::min(answer.forward_error, error);
  return absl::OkStatus();
}

absl::Status SolveColumn(const KernelProblem& problem, const Sweepers& sweepers,
                         const ScaledVector& b, ColumnAnswer& answer,
                         Iterate& found, const ComputeContext& context) {
  const BandSweeps& sweeps = sweepers.bands;
  const ScaledVector sorted = sweeps.Sorted(b);
  const AttentionKernelOptions& options = problem.options;
  absl::Status done = BandIteration(sweepers, sorted,
                                    {.tolerance = options.tolerance,
                                     .iterations_max = options.max_iterations,
                                     .report = true},
                                    context)
                          .Run(found);
  if (!done.ok() && !absl::IsAborted(done)) return done;
  answer.x = sweeps.Unsorted(found.x);
  answer.certificate = found.certificate;
  answer.iterations = found.iterations;
  const Termination otherwise = !done.ok() ? StoppedTermination(context.stop)
                                : found.iterations >= options.max_iterations
                                    ? Termination::kIterationLimit
                                    : Termination::kIllConditioned;
  answer.termination = found.iterations == 0
                           ? otherwise
                           : Judge(problem, answer.certificate, otherwise);
  if (!done.ok()) return done;
  return EstimateError(problem, sweepers, found, answer, context);
}

std::string MethodOf(const KernelProblem& problem, const BandSweeps& sweeps,
                     const Iterate& used) {
  std::string method = absl::StrFormat(
      "matrix-free block Gauss-Seidel, n = %d, d = %d, scales e^%.0f apart: %s",
      problem.n(), problem.rows().cols(), problem.form().spread,
      sweeps.Describe());
  if (used.whole_used) {
    method += "; where that was slow, conjugate gradients on all rows";
  }
  if (used.cycles_used) {
    method += absl::StrFormat(
        "; where both were slow, GMRES(%d) preconditioned by the bands",
        kGmresRestart);
  }
  method += "; vectors as mantissa and exponent, refined with the true logits";
  if (sweeps.singular()) {
    method += "; a band is not positive definite to working precision";
  }
  return method;
}

}  // namespace

absl::StatusOr<RouteAnswer> SolveByBands(const KernelProblem& problem,
                                         const BandSweeps& sweeps,
                                         const ComputeContext& context) {
  RouteAnswer answer =
      ZeroAnswer(problem.n(), problem.k(), Termination::kIllConditioned);
  std::unique_ptr<const BandSweeps> whole;
  const auto make_whole = [&]() -> absl::StatusOr<const BandSweeps*> {
    if (whole == nullptr) {
      absl::StatusOr<std::unique_ptr<const BandSweeps>> made = BandSweeps::Make(
          problem.rows(), problem.form(),
          problem.softmax().has_value() ? &*problem.softmax() : nullptr,
          problem.options, kOneBand, context);
      if (!made.ok()) return made.status();
      whole = *std::move(made);
    }
    return whole.get();
  };
  const Sweepers sweepers{.bands = sweeps, .whole = make_whole};
  Iterate used;
  for (std::size_t c = 0; c < problem.b.size(); ++c) {
    ColumnAnswer& column = answer.columns[c];
    Iterate found;
    const absl::Status done =
        SolveColumn(problem, sweepers, problem.b[c], column, found, context);
    used.whole_used |= found.whole_used;
    used.cycles_used |= found.cycles_used;
    if (absl::IsAborted(done)) {
      for (++c; c < problem.b.size(); ++c) {
        answer.columns[c].termination = StoppedTermination(context.stop);
      }
      break;
    }
    if (!done.ok()) return done;
    if (column.termination == Termination::kIllConditioned) {
      answer.log_smallest_ridge =
          LogSmallestRidgeBound(problem.rows(), problem.form());
    }
  }
  answer.method = MethodOf(problem, sweeps, used);
  return answer;
}

}  // namespace steelyard
