#include "steelyard/power_regression.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "linalg/svd.h"
#include "power/answer.h"
#include "power/matrix_exponential.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/slice_solver.h"

namespace steelyard {
namespace {

// Right-hand sides that go through the levels together: memory stays bounded,
// and a pass is matrix-matrix work.
constexpr Index kSliceColumns = 64;

// Everything that the slices share.
class PowerRegression {
 public:
  PowerRegression(const DenseOrCsr& a, const AnyMatrixView& b,
                  const PowerRegressionOptions& options,
                  const ComputeContext& context)
      : source_(a),
        a_{a, {}},
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
    const auto scales =
        ScanColumns(std::get<AnyMatrixView>(source_), "a", context_);
    if (!scales.ok()) return scales.status();
    absl::StatusOr<ColumnScales> b_scales = ScanColumns(b_.view, "b", context_);
    if (!b_scales.ok()) return b_scales.status();
    b_.exponents = std::move(b_scales->exponents);
    progress_.Enter("factor", 0.05, 0.4);
    auto factor = MakePowerFactor(source_, *scales, options_, context_);
    if (!factor.ok()) return factor.status();
    factor_ = *std::move(factor);
    a_.exponents = factor_->factor.scales.exponents;
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
        .ridge_diagonal = factor_->ridge_diagonal,
        .solver = *factor_->solver,
        .b = {b_, first, count},
        .odd = odd_,
        .exponent = options_.exponent,
        .refinements_max = options_.max_iterations,
    };
    const SliceGoal goal{
        .tolerance = options_.tolerance,
        .extended_output = options_.extended_output,
        .log2_norm = factor_->log2_norm,
        .condition = factor_->factor.condition,
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
    report.rank = factor_->factor.rank;
    report.rank_gap = factor_->factor.rank_gap;
    report.condition_estimate = factor_->factor.condition;
    report.method = absl::StrCat(
        factor_->factor.description,
        odd_ ? "; least squares by R^-1 R^-T A'b" : "",
        options_.exponent > 0
            ? absl::StrCat("; ", options_.exponent, " levels of R^-1 R^-T")
            : "",
        options_.extended_output ? ", refined in double-double"
                                 : ", refined with the true A",
        factor_->solver->truncated() ? ", minimum norm" : "");
    return solution;
  }

  const DenseOrCsr& source_;
  ScaledMatrix a_;
  ScaledRightSides b_;
  const PowerRegressionOptions& options_;
  bool odd_;
  PhaseProgress progress_;
  ComputeContext context_;
  std::shared_ptr<const PowerFactor> factor_;
};

}  // namespace

absl::StatusOr<Solution> SolvePowerRegression(
    const DenseOrCsr& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context) {
  if (options.family == PowerFamily::kMatrixExponential) {
    return SolveMatrixExponential(std::get<AnyMatrixView>(a), b, options,
                                  context);
  }
  return PowerRegression(a, b, options, context).Run();
}

Cost CostOfPowerRegression(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers) {
  const auto [n, d, k, nonzeros] = shape;
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
