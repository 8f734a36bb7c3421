#include "kernel/iterative_route.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernel/band_route.h"
#include "kernel/band_sweeps.h"
#include "kernel/block_coordinate.h"
#include "kernel/conjugate_gradient.h"
#include "kernel/pivoted_rows.h"
#include "kernel/softmax_route.h"
#include "linalg/blas.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// max_i e^{log_right_i} (|N^-1 r| + |N^-1 e|) / theta over |x|, signs of e
// random: an estimate.
absl::StatusOr<double> RitzErrorEstimate(const KernelProblem& problem,
                                         const ConjugateGradientResult& result,
                                         Index c,
                                         const ComputeContext& context) {
  if (!(result.ritz_least > 0.0)) return 1.0;
  constexpr RandomStream kSigns{.seed = {0}, .stream = 2};
  const Index n = problem.n();
  Matrix<double> v(2, n);
  for (Index i = 0; i < n; ++i) {
    v(0, i) = result.residual(c, i);
    v(1, i) = result.error(c, i) * kSigns.Sign(static_cast<std::uint64_t>(i));
  }
  if (problem.factor->preconditioner != nullptr) {
    absl::Status done = problem.factor->preconditioner->Apply(v, context);
    if (!done.ok()) return done;
  }
  const double norms = std::sqrt(Dot(v.row(0), v.row(0), n)) +
                       std::sqrt(Dot(v.row(1), v.row(1), n));
  const double largest = *std::max_element(problem.form().log_right.begin(),
                                           problem.form().log_right.end());
  const ScaledNumber bound =
      TimesExp(MakeScaled(norms / result.ritz_least), largest);
  return std::min(
      1.0, RatioOf(bound, NormOf(SolutionOf(problem, result.z.row(c), 0))));
}

Termination TerminationOf(const KernelProblem& problem, IterationEnd end,
                          const Certificate& certificate,
                          const StopToken& stop) {
  switch (end) {
    case IterationEnd::kConverged:
      return Termination::kConverged;
    case IterationEnd::kIterationLimit:
      return Judge(problem, certificate, Termination::kIterationLimit);
    case IterationEnd::kStalled:
    case IterationEnd::kSingular:
      return Judge(problem, certificate, Termination::kIllConditioned);
    case IterationEnd::kStopped:
      return StoppedTermination(stop);
  }
  return Termination::kIllConditioned;
}

// What an iteration found, by either method.
struct Iterated {
  ConjugateGradientResult solved;
  double condition = 0.0;  // of S, or of S as it was preconditioned
  std::string words;       // how, for the report
};

std::string PreconditionerOf(const KernelProblem& problem) {
  const auto& preconditioner = problem.factor->preconditioner;
  return preconditioner == nullptr ? "Jacobi scaling"
                                   : preconditioner->Describe();
}

absl::StatusOr<Iterated> Iterate(const KernelProblem& problem,
                                 ScaledSystem& system, const Matrix<double>& c,
                                 const ComputeContext& context) {
  const AttentionKernelOptions& options = problem.options;
  Iterated out;
  if (problem.factor->method == KernelMethod::kBlockCoordinate) {
    absl::StatusOr<BlockCoordinateResult> found =
        SolveBlockCoordinate(system, c,
                             {.tolerance = options.tolerance,
                              .max_epochs = options.max_iterations,
                              .seed = options.seed},
                             context);
    if (!found.ok()) return found.status();
    out.solved = std::move(found->solved);
    out.condition = found->condition;
    out.words = absl::StrFormat(
        "accelerated block coordinate descent, %d unknowns a block",
        BlockSize(problem.n()));
    return out;
  }
  absl::StatusOr<ConjugateGradientResult> found = SolveConjugateGradient(
      system, c,
      {.tolerance = options.tolerance,
       .max_iterations = options.max_iterations,
       .preconditioner = problem.factor->preconditioner.get(),
       .keep_tiles = true},
      context);
  if (!found.ok()) return found.status();
  out.solved = *std::move(found);
  if (out.solved.ritz_least > 0.0) {
    out.condition = out.solved.ritz_largest / out.solved.ritz_least;
  }
  out.words = absl::StrFormat("%sconjugate gradients, preconditioner: %s",
                              problem.k() > 1 ? "block " : "",
                              PreconditionerOf(problem));
  return out;
}

std::string MethodOf(const KernelProblem& problem, const Iterated& iterated,
                     bool stopped) {
  std::string method = absl::StrFormat(
      "matrix-free %s, n = %d, d = %d, %s tiles, residuals recomputed in "
      "float64",
      iterated.words, problem.n(), problem.rows().cols(),
      iterated.solved.used_float32 ? "float32 and float64" : "float64");
  if (!problem.factor->reason.empty()) {
    method += "; " + problem.factor->reason;
  }
  if (stopped) method += "; stopped: residuals from the recurrence";
  return method;
}

// One right-hand side. Aborted: its error is not known.
absl::Status FillColumn(const KernelProblem& problem,
                        const ConjugateGradientResult& solved,
                        std::int64_t exponent, Index c, ColumnAnswer& column,
                        const ComputeContext& context) {
  const IterationEnd end = solved.ends[At(c)];
  column.x = SolutionOf(problem, solved.z.row(c), exponent);
  column.certificate = solved.certificates[At(c)];
  column.iterations = solved.iterations[At(c)];
  column.termination =
      TerminationOf(problem, end, column.certificate, context.stop);
  if (end == IterationEnd::kStopped) return absl::OkStatus();
  column.forward_error = RidgeErrorBound(problem, solved.residual.row(c),
                                         solved.error.row(c), solved.z.row(c));
  const absl::StatusOr<double> estimate =
      RitzErrorEstimate(problem, solved, c, context);
  if (!estimate.ok()) return estimate.status();
  column.forward_error = std::min(column.forward_error, *estimate);
  return absl::OkStatus();
}

// With the bands that were prepared, or with some of its own.
absl::StatusOr<RouteAnswer> SolveWide(const KernelProblem& problem,
                                      const ComputeContext& context) {
  if (problem.factor->bands != nullptr) {
    return SolveByBands(problem, *problem.factor->bands, context);
  }
  const auto bands = BandSweeps::Make(
      problem.rows(), problem.form(),
      problem.softmax().has_value() ? &*problem.softmax() : nullptr,
      problem.options, BandLimitsOf(problem.n()), context);
  if (!bands.ok()) return bands.status();
  return SolveByBands(problem, **bands, context);
}

}  // namespace

absl::StatusOr<RouteAnswer> SolveIterative(const KernelProblem& problem,
                                           const ComputeContext& context) {
  const bool wide = problem.form().spread > kCommonScaleSpreadMax;
  if (wide && problem.form().degenerate && problem.softmax().has_value()) {
    return SolveSoftmax(problem, nullptr, context);
  }
  RouteAnswer answer =
      ZeroAnswer(problem.n(), problem.k(), Termination::kIllConditioned);
  const double log_ridge =
      LogSmallestRidgeBound(problem.rows(), problem.form());
  if (problem.form().degenerate) {
    answer.method = "none: a diagonal entry of the kernel is 0 in float64";
    answer.log_smallest_ridge = log_ridge;
    return answer;
  }
  if (wide) return SolveWide(problem, context);
  std::shared_ptr<KernelProduct> product = problem.factor->product;
  if (product == nullptr) {
    product = std::make_shared<KernelProduct>(
        problem.rows(), problem.form().offsets, problem.form().unit_diagonal);
  }
  ScaledSystem system(problem.rows(), problem.form(), *product);
  const ScaledRightHandSides rhs = ScaleRightHandSides(problem, context);
  const absl::StatusOr<Iterated> iterated =
      Iterate(problem, system, rhs.c, context);
  if (!iterated.ok()) return iterated.status();
  bool stopped = false;
  for (Index c = 0; c < problem.k(); ++c) {
    stopped |= iterated->solved.ends[At(c)] == IterationEnd::kStopped;
    const absl::Status done =
        FillColumn(problem, iterated->solved, rhs.exponent[At(c)], c,
                   answer.columns[At(c)], context);
    if (!done.ok() && !absl::IsAborted(done)) return done;
  }
  answer.method = MethodOf(problem, *iterated, stopped);
  answer.condition = iterated->condition;
  for (const ColumnAnswer& column : answer.columns) {
    if (column.termination == Termination::kIllConditioned) {
      answer.log_smallest_ridge = log_ridge;
    }
  }
  return answer;
}

}  // namespace steelyard
