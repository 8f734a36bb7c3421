#include "kernel/softmax_route.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernel/gmres.h"
#include "kernel/pivoted_rows.h"
#include "kernel/true_residual.h"

namespace steelyard {
namespace {

// The recurrence aims below the tolerance: the recomputed residual is larger.
constexpr double kGoalOfTolerance = 0.1;
constexpr double kReduction = 1e-9;
// A cycle that reduces the residual by less is the last.
constexpr double kProgress = 0.9;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

class SoftmaxColumn {
 public:
  SoftmaxColumn(const KernelProblem& problem, const DenseFactor* factor,
                const ComputeContext& context)
      : problem_(problem), factor_(factor), context_(context) {
    for (Index i = 0; i < problem.n(); ++i) {
      const double diagonal =
          SoftmaxDiagonal(problem.rows(), *problem.softmax(), i) +
          problem.form().ridges[At(i)];
      inverse_diagonal_.push_back(diagonal >= 1e-300 ? 1.0 / diagonal : 1.0);
    }
  }

  absl::Status Run(const ScaledVector& rhs, ColumnAnswer& answer) {
    const Index n = problem_.n();
    exponent_ = TopExponent(rhs);
    Matrix<double> b(1, n);
    ToDoubles(rhs, exponent_, b.data());
    const double rhs_norm = Norm(b);
    Matrix<double> x(1, n);
    Matrix<double> r = b;
    answer.termination = Termination::kIterationLimit;
    while (answer.iterations < problem_.options.max_iterations) {
      const double before = answer.certificate.relative_residual;
      const double goal = std::max(
          kGoalOfTolerance * problem_.options.tolerance, kReduction * before);
      Matrix<double> next = x;
      const absl::StatusOr<GmresCycle> cycle = RunGmresCycle(
          {.apply = [this](const Matrix<double>& v,
                           Matrix<double>& out) { return Apply(v, out); },
           .precondition =
               [this](Matrix<double>& v) { return Precondition(v); }},
          r, goal * rhs_norm,
          problem_.options.max_iterations - answer.iterations, next);
      if (!cycle.ok()) return cycle.status();
      absl::StatusOr<ResidualRows> rows =
          SoftmaxResidual(problem_.rows(), *problem_.softmax(),
                          problem_.form().ridges, next, b, context_);
      if (!rows.ok()) return rows.status();
      const Certificate certificate = Certify(*rows);
      answer.iterations += std::max(1, cycle->iterations);
      if (certificate.relative_residual < before) {
        x = std::move(next);
        Take(x, certificate, answer);
        ToDoubles(rows->residual, 0, r.data());
        last_ = *std::move(rows);
      }
      answer.termination =
          Judge(problem_, answer.certificate, Termination::kIterationLimit);
      context_.Report(
          {.phase = "iterate",
           .iteration = answer.iterations,
           .relative_residual = answer.certificate.relative_residual,
           .fraction = std::nullopt});
      if (answer.termination == Termination::kConverged) break;
      if (!(certificate.relative_residual <= kProgress * before)) {
        answer.termination =
            Judge(problem_, answer.certificate, Termination::kIllConditioned);
        break;
      }
    }
    return EstimateError(x, answer);
  }

 private:
  static double Norm(const Matrix<double>& v) {
    double sum = 0.0;
    for (Index i = 0; i < v.cols(); ++i) sum += v(0, i) * v(0, i);
    return std::sqrt(sum);
  }

  void Take(const Matrix<double>& x, const Certificate& certificate,
            ColumnAnswer& answer) const {
    for (Index i = 0; i < x.cols(); ++i) {
      answer.x[At(i)] = MakeScaled(x(0, i), exponent_);
    }
    answer.certificate = certificate;
  }

  absl::Status EstimateError(const Matrix<double>& x, ColumnAnswer& answer) {
    if (factor_ == nullptr || last_.residual.empty()) return absl::OkStatus();
    Matrix<double> from_residual(1, problem_.n());
    Matrix<double> from_rounding(1, problem_.n());
    ToDoubles(last_.residual, 0, from_residual.data());
    ToDoubles(last_.error, 0, from_rounding.data());
    absl::Status done = Precondition(from_residual);
    if (done.ok()) done = Precondition(from_rounding);
    if (!done.ok()) return done;
    const double size = Norm(x);
    const double error = Norm(from_residual) + Norm(from_rounding);
    answer.forward_error = error < size ? error / size : 1.0;
    return absl::OkStatus();
  }

  absl::Status Apply(const Matrix<double>& v, Matrix<double>& out) const {
    absl::Status done =
        MultiplySoftmax(problem_.rows(), *problem_.softmax(), v, out, context_);
    if (!done.ok()) return done;
    for (Index i = 0; i < v.cols(); ++i) {
      out(0, i) += problem_.form().ridges[At(i)] * v(0, i);
    }
    return done;
  }

  absl::Status Precondition(Matrix<double>& v) const {
    if (factor_ == nullptr) {
      for (Index i = 0; i < v.cols(); ++i) v(0, i) *= inverse_diagonal_[At(i)];
      return absl::OkStatus();
    }
    ScaledVector scaled(At(v.cols()));
    for (Index i = 0; i < v.cols(); ++i) {
      scaled[At(i)] =
          TimesExp(MakeScaled(v(0, i)), problem_.form().log_left[At(i)]);
    }
    if (absl::Status done = factor_->SolveScaled(scaled, context_);
        !done.ok()) {
      return done;
    }
    ToDoubles(TimesExpOf(scaled, problem_.form().log_right), 0, v.data());
    return absl::OkStatus();
  }

  const KernelProblem& problem_;
  const DenseFactor* factor_;
  const ComputeContext& context_;
  std::vector<double> inverse_diagonal_;
  std::int64_t exponent_ = 0;
  ResidualRows last_;
};

}  // namespace

absl::StatusOr<RouteAnswer> SolveSoftmax(const KernelProblem& problem,
                                         const DenseFactor* factor,
                                         const ComputeContext& context) {
  RouteAnswer answer =
      ZeroAnswer(problem.n(), problem.k(), Termination::kIllConditioned);
  answer.method = absl::StrFormat(
      "GMRES(%d) on softmax rows, n = %d, preconditioned by %s "
      "(log-sum-exps %.0f apart)",
      kGmresRestart, problem.n(),
      factor == nullptr ? "the diagonal"
                        : "dense Cholesky of the symmetric form",
      2.0 * problem.form().spread);
  for (std::size_t c = 0; c < problem.b.size(); ++c) {
    SoftmaxColumn column(problem, factor, context);
    const absl::Status done = column.Run(problem.b[c], answer.columns[c]);
    if (absl::IsAborted(done)) {
      for (; c < problem.b.size(); ++c) {
        ColumnAnswer& open = answer.columns[c];
        open.termination =
            Judge(problem, open.certificate, StoppedTermination(context.stop));
      }
      break;
    }
    if (!done.ok()) return done;
    if (answer.columns[c].termination == Termination::kIllConditioned) {
      answer.log_smallest_ridge =
          LogSmallestRidgeBound(problem.rows(), problem.form());
    }
  }
  return answer;
}

}  // namespace steelyard
