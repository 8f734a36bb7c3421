#include "steelyard/power_regression.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "linalg/svd.h"
#include "power/answer.h"
#include "power/largest_singular_value.h"
#include "power/matrix_exponential.h"
#include "power/phase_progress.h"
#include "power/slice_solver.h"

namespace steelyard {
namespace {

// Right-hand sides that go through the levels together: memory stays bounded,
// and a pass is matrix-matrix work.
constexpr Index kSliceColumns = 64;
// Condition number up to which refinement with the true A repairs a Gram: N1.
constexpr double kGramConditionMax = 1e7;

// Everything that the slices share.
class PowerRegression {
 public:
  PowerRegression(const AnyMatrixView& a, const AnyMatrixView& b,
                  const PowerRegressionOptions& options,
                  const ComputeContext& context)
      : a_{a, {}},
        b_{b, {}},
        options_(options),
        odd_(options.family == PowerFamily::kLeftGramPower),
        progress_(context),
        context_{context.workers, context.stop, progress_.Sink()} {}

  absl::StatusOr<Solution> Run() {
    PowerAnswer answer(Cols(a_.view), Cols(b_.view), odd_);
    absl::Status done = Prepare();
    if (absl::IsAborted(done)) {
      return std::move(answer).Stopped(context_.stop.reason());
    }
    if (!done.ok()) return done;
    for (Index first = 0; first < Cols(b_.view); first += kSliceColumns) {
      done = AddSlice(first, answer);
      if (!done.ok()) return done;
    }
    return Finished(std::move(answer));
  }

 private:
  // Scans, R, and what is known of the matrix from R.
  absl::Status Prepare() {
    progress_.Enter("scan", 0.0, 0.05);
    absl::StatusOr<ColumnScales> scales = ScanColumns(a_.view, "a", context_);
    if (!scales.ok()) return scales.status();
    absl::StatusOr<ColumnScales> b_scales = ScanColumns(b_.view, "b", context_);
    if (!b_scales.ok()) return b_scales.status();
    b_.exponents = std::move(b_scales->exponents);
    progress_.Enter("factor", 0.05, 0.4);
    FactorOptions factor_options;
    factor_options.method = options_.method;
    factor_options.gram_condition_max = kGramConditionMax;
    factor_options.ridge = options_.ridge;
    absl::StatusOr<Factor> factor =
        FactorMatrix(a_.view, *scales, factor_options, context_);
    if (!factor.ok()) return factor.status();
    factor_ = *std::move(factor);
    a_.exponents = factor_.scales.exponents;
    if (options_.ridge > 0.0) {
      for (const int exponent : a_.exponents) {
        ridge_diagonal_.push_back(
            std::ldexp(std::ldexp(options_.ridge, -exponent), -exponent));
      }
    }
    absl::StatusOr<GramSolver> solver = GramSolver::Make(factor_, context_);
    if (!solver.ok()) return solver.status();
    solver_ = *std::move(solver);
    absl::StatusOr<double> norm =
        Log2LargestSingularValue(factor_, *solver_, context_);
    if (!norm.ok()) return norm.status();
    log2_norm_ = *norm;
    return absl::OkStatus();
  }

  absl::Status AddSlice(Index first, PowerAnswer& answer) {
    const Index k = Cols(b_.view);
    const Index count = std::min(kSliceColumns, k - first);
    const auto part = [&](Index column) {
      return 0.4 + 0.6 * static_cast<double>(column) / static_cast<double>(k);
    };
    progress_.Enter("iterate", part(first), part(first + count));
    const PowerProblem problem{
        .a = a_,
        .ridge_diagonal = ridge_diagonal_,
        .solver = *solver_,
        .b = {b_, first, count},
        .odd = odd_,
        .exponent = options_.exponent,
        .refinements_max = options_.max_iterations,
    };
    const SliceGoal goal{
        .tolerance = options_.tolerance,
        .extended_output = options_.extended_output,
        .log2_norm = log2_norm_,
        .condition = factor_.condition,
        .report =
            [this](std::string_view phase, double done,
                   std::optional<double> residual) {
              progress_.Report(phase, done, residual);
            },
    };
    absl::StatusOr<SliceAnswer> slice = SolveSlice(problem, goal, context_);
    if (!slice.ok()) return slice.status();
    answer.Add(first, a_.exponents, *std::move(slice));
    return absl::OkStatus();
  }

  absl::StatusOr<Solution> Finished(PowerAnswer answer) {
    Solution solution = std::move(answer).Finish(options_.extended_output);
    SolveReport& report = solution.report;
    report.rank = factor_.rank;
    report.rank_gap = factor_.rank_gap;
    report.condition_estimate = factor_.condition;
    report.method = absl::StrCat(
        factor_.description, odd_ ? "; least squares by R^-1 R^-T A'b" : "",
        options_.exponent > 0
            ? absl::StrCat("; ", options_.exponent, " levels of R^-1 R^-T")
            : "",
        options_.extended_output ? ", refined in double-double"
                                 : ", refined with the true A",
        solver_->truncated() ? ", minimum norm" : "");
    return solution;
  }

  ScaledMatrix a_;
  ScaledMatrix b_;
  const PowerRegressionOptions& options_;
  bool odd_;
  PhaseProgress progress_;
  ComputeContext context_;
  Factor factor_;
  std::optional<GramSolver> solver_;
  std::vector<double> ridge_diagonal_;
  double log2_norm_ = 0.0;
};

}  // namespace

absl::StatusOr<Solution> SolvePowerRegression(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context) {
  if (options.family == PowerFamily::kMatrixExponential) {
    return SolveMatrixExponential(a, b, options, context);
  }
  return PowerRegression(a, b, options, context).Run();
}

Cost CostOfPowerRegression(Index n, Index d, Index k,
                           const PowerRegressionOptions& options, int workers) {
  const auto real = [](Index i) { return static_cast<double>(i); };
  const Index slice = std::min(k, kSliceColumns);
  const bool exponential = options.family == PowerFamily::kMatrixExponential;
  const double levels = exponential ? 1.0 : options.exponent + 1.0;
  Cost cost = CostOfFactor(n, d, workers);
  // One more SVD (minimum norm, exponential) with its operands.
  cost.bytes += CostOfRightSvd(d).bytes + 48.0 * real(d) * real(d);
  cost.flops += 2.0 * CostOfRightSvd(d).flops;
  // z as hi + lo, rho, and the blocks that a certificate works with.
  cost.bytes += 8.0 * real(d) * real(slice) * (3.0 * levels + 16.0);
  cost.bytes += BytesOfPass(n, d, slice, workers);
  // x, x_low, exponents, report.
  cost.bytes += (8.0 + 8.0 + 8.0) * real(d) * real(k) + 128.0 * real(k);
  // A level: some 3 plain passes and 2 in double-double (40 n d k each).
  cost.flops += levels * real(k) * real(d) * (100.0 * real(n) + 40.0 * real(d));
  cost.bytes += 65536.0;
  return cost;
}

}  // namespace steelyard
