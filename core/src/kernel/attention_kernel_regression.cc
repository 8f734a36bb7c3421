#include "steelyard/attention_kernel_regression.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/base/macros.h"
#include "absl/functional/function_ref.h"
#include "factor/factor.h"
#include "kernel/dense_route.h"
#include "kernel/iterative_route.h"
#include "kernel/kernel_factor.h"
#include "kernel/kernel_problem.h"
#include "steelyard/prepared_kernel.h"

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// Columns of b that are not zero, and where they stand.
struct RightHandSides {
  std::vector<ScaledVector> columns;
  std::vector<Index> positions;
};

RightHandSides LoadRightHandSides(const AnyMatrixView& b,
                                  const ComputeContext& context) {
  const Index n = Rows(b);
  const Index k = Cols(b);
  constexpr Index kPanelRows = 256;
  std::vector<ScaledVector> all(At(k), ScaledVector(At(n)));
  context.workers.ParallelFor(
      (n + kPanelRows - 1) / kPanelRows, context.stop, [&](Index panel) {
        const Index first = panel * kPanelRows;
        const Index count = std::min(kPanelRows, n - first);
        Matrix<double> rows(count, k);
        LoadScaledRows(b, first, count, {}, rows.data());
        for (Index c = 0; c < k; ++c) {
          for (Index i = 0; i < count; ++i) {
            all[At(c)][At(first + i)] = MakeScaled(rows(i, c));
          }
        }
      });
  // Stopped, it is not known which are zero: none of them is answered.
  const bool stopped = context.stop.stop_requested();
  RightHandSides loaded;
  for (Index c = 0; c < k; ++c) {
    if (!stopped && NormOf(all[At(c)]).zero()) continue;
    loaded.columns.push_back(std::move(all[At(c)]));
    loaded.positions.push_back(c);
  }
  return loaded;
}

absl::StatusOr<RouteAnswer> Solve(const KernelProblem& problem,
                                  const ComputeContext& context) {
  return problem.factor->method == KernelMethod::kCholesky
             ? SolveDense(problem, context)
             : SolveIterative(problem, context);
}

// Stopped before there was a factor, or in a route that had no answer yet.
RouteAnswer StoppedAnswer(Index n, Index k, const StopToken& stop) {
  RouteAnswer zero = ZeroAnswer(n, k, StoppedTermination(stop));
  zero.method = "stopped before there was a first answer";
  return zero;
}

void AddColumn(const Certificate& certificate, double forward_error,
               bool converged, SolveReport& report) {
  report.relative_residual.push_back(certificate.relative_residual);
  report.residual_floor.push_back(certificate.floor);
  report.backward_error.push_back(certificate.backward_error);
  report.componentwise_error.push_back(certificate.omega);
  report.forward_error.push_back(forward_error);
  report.converged.push_back(converged);
}

// From good to bad; the worst right-hand side names the termination.
int Badness(Termination termination) {
  switch (termination) {
    case Termination::kConverged:
      return 0;
    case Termination::kPrecisionFloor:
      return 1;
    case Termination::kIterationLimit:
      return 2;
    case Termination::kTimeLimit:
      return 3;
    case Termination::kStopped:
      return 4;
    case Termination::kIllConditioned:
      return 5;
  }
  return 5;
}

// x as float64, or as mantissas and exponents where it does not fit.
void StoreColumns(const RouteAnswer& answer,
                  const std::vector<Index>& positions, const Workers& workers,
                  Solution& solution) {
  const bool fits = std::all_of(
      answer.columns.begin(), answer.columns.end(),
      [](const ColumnAnswer& column) { return FitsDouble(column.x); });
  if (!fits) solution.x_exponents.assign(At(solution.x.size()), 0);
  const Index n = solution.x.rows();
  const Index k = solution.x.cols();
  constexpr Index kPanelRows = 64;
  const auto store = [&](Index i, std::size_t c) {
    const ScaledNumber& number = answer.columns[c].x[At(i)];
    if (number.zero()) return;
    const auto exponent = static_cast<int>(number.exponent);
    if (fits) {
      solution.x(i, positions[c]) = std::ldexp(number.mantissa, exponent);
    } else {
      solution.x(i, positions[c]) = number.mantissa;
      solution.x_exponents[At(i * k + positions[c])] = exponent;
    }
  };
  workers.ParallelFor(
      (n + kPanelRows - 1) / kPanelRows, StopToken(), [&](Index panel) {
        const Index last = std::min(n, (panel + 1) * kPanelRows);
        for (std::size_t c = 0; c < answer.columns.size(); ++c) {
          for (Index i = panel * kPanelRows; i < last; ++i) store(i, c);
        }
      });
}

Solution Assemble(const RouteAnswer& answer,
                  const std::vector<Index>& positions, const Workers& workers,
                  Index n, Index k) {
  Solution solution;
  solution.x = Matrix<double>(n, k);
  StoreColumns(answer, positions, workers, solution);
  SolveReport& report = solution.report;
  report.method = answer.method;
  report.condition_estimate = answer.condition;
  report.log_smallest_ridge = answer.log_smallest_ridge;
  report.rank = answer.rank.value_or(n);
  report.termination = Termination::kConverged;
  std::size_t next = 0;
  for (Index c = 0; c < k; ++c) {
    if (next == positions.size() || positions[next] != c) {
      AddColumn({}, 0.0, true, report);  // b = 0, x = 0
      continue;
    }
    const ColumnAnswer& column = answer.columns[next++];
    AddColumn(column.certificate, column.forward_error,
              column.termination == Termination::kConverged, report);
    report.iterations = std::max(report.iterations, column.iterations);
    if (Badness(column.termination) > Badness(report.termination)) {
      report.termination = column.termination;
    }
  }
  return solution;
}

// The rest of a solve, once it is known which right-hand sides are not zero.
// `prepare` is not called when all of them are.
absl::StatusOr<Solution> SolveLoaded(
    RightHandSides rhs, Index n, Index k, const AttentionKernelOptions& options,
    absl::FunctionRef<absl::StatusOr<SharedKernelFactor>()> prepare,
    const ComputeContext& context) {
  RouteAnswer answer{.method = "none: every right-hand side is zero"};
  std::vector<PreconditionerTrial> trials;
  if (!rhs.columns.empty()) {
    const auto columns = static_cast<Index>(rhs.columns.size());
    const auto run = [&]() -> absl::StatusOr<RouteAnswer> {
      const absl::StatusOr<SharedKernelFactor> factor = prepare();
      if (!factor.ok()) return factor.status();
      trials = (*factor)->trials;
      return Solve(
          {.options = options, .factor = *factor, .b = std::move(rhs.columns)},
          context);
    };
    absl::StatusOr<RouteAnswer> solved = run();
    // Unwanted answers end as errors, also when the work was done in time.
    if (absl::Status stop = StopStatus(context.stop); !stop.ok()) return stop;
    if (absl::IsAborted(solved.status())) {
      solved = StoppedAnswer(n, columns, context.stop);
    }
    if (!solved.ok()) return solved.status();
    answer = *std::move(solved);
  }
  context.Report({.phase = "verify", .fraction = 1.0});
  Solution solution = Assemble(answer, rhs.positions, context.workers, n, k);
  solution.report.trials = std::move(trials);
  return solution;
}

}  // namespace

absl::StatusOr<Solution> SolveAttentionKernelRegression(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const AttentionKernelOptions& options, const ComputeContext& context) {
  ABSL_ASSERT(Rows(a) == Rows(b));
  context.Report({.phase = "scan", .fraction = 0.0});
  absl::Status finite = CheckFinite(a, "a", context);
  if (finite.ok()) finite = CheckFinite(b, "b", context);
  if (!finite.ok() && !absl::IsAborted(finite)) return finite;
  return SolveLoaded(
      LoadRightHandSides(b, context), Rows(b), Cols(b), options,
      [&]() -> absl::StatusOr<SharedKernelFactor> {
        return MakeKernelFactor(a, options, context);
      },
      context);
}

absl::StatusOr<Solution> SolveAttentionKernelRegression(
    const PreparedKernel& prepared, const AnyMatrixView& b,
    const AttentionKernelOptions& options, const ComputeContext& context) {
  ABSL_ASSERT(prepared.factor().n() == Rows(b));
  ABSL_ASSERT(prepared.Serves(options));
  context.Report({.phase = "scan", .fraction = 0.0});
  const absl::Status finite = CheckFinite(b, "b", context);
  if (!finite.ok() && !absl::IsAborted(finite)) return finite;
  return SolveLoaded(
      LoadRightHandSides(b, context), Rows(b), Cols(b), options,
      [&]() -> absl::StatusOr<SharedKernelFactor> { return prepared.shared(); },
      context);
}

}  // namespace steelyard
