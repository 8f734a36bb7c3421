#include "kernel/kernel_problem.h"

#include <algorithm>
#include <cmath>

namespace steelyard {
namespace {

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

RouteAnswer ZeroAnswer(Index n, Index k, Termination termination) {
  RouteAnswer answer;
  answer.columns.resize(At(k));
  for (ColumnAnswer& column : answer.columns) {
    column.x.resize(At(n));
    column.termination = termination;
  }
  return answer;
}

Termination StoppedTermination(const StopToken& stop) {
  return stop.reason() == StopReason::kTimeLimit ? Termination::kTimeLimit
                                                 : Termination::kStopped;
}

ScaledVector TimesExpOf(const ScaledVector& v,
                        const std::vector<double>& log_scale) {
  ScaledVector out(v.size());
  for (std::size_t i = 0; i < v.size(); ++i) {
    out[i] = TimesExp(v[i], log_scale[i]);
  }
  return out;
}

ScaledRightHandSides ScaleRightHandSides(const KernelProblem& problem,
                                         const ComputeContext& context) {
  ScaledRightHandSides scaled{Matrix<double>(problem.k(), problem.n()),
                              std::vector<std::int64_t>(problem.b.size())};
  context.workers.ParallelFor(problem.k(), StopToken(), [&](Index column) {
    const ScaledVector c =
        TimesExpOf(problem.b[At(column)], problem.form().log_left);
    scaled.exponent[At(column)] = TopExponent(c);
    ToDoubles(c, scaled.exponent[At(column)], scaled.c.row(column));
  });
  return scaled;
}

ScaledVector SolutionOf(const KernelProblem& problem, const double* z,
                        std::int64_t exponent) {
  ScaledVector x(At(problem.n()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = TimesExp(MakeScaled(z[i], exponent), problem.form().log_right[i]);
  }
  return x;
}

Termination Judge(const KernelProblem& problem, const Certificate& certificate,
                  Termination otherwise) {
  if (IsConverged(certificate, problem.options.tolerance)) {
    return Termination::kConverged;
  }
  if (AtPrecisionFloor(certificate, problem.rows().logit_max)) {
    return Termination::kPrecisionFloor;
  }
  return otherwise;
}

double RidgeErrorBound(const KernelProblem& problem, const double* residual,
                       const double* error, const double* z) {
  const SymmetricForm& form = problem.form();
  if (form.ridge == 0.0) return 1.0;
  const bool softmax = form.normalization == KernelNormalization::kSoftmaxRows;
  ScaledVector residual_rows(At(problem.n()));
  ScaledVector error_rows(At(problem.n()));
  double log_back = 0.0;
  for (std::size_t i = 0; i < residual_rows.size(); ++i) {
    // Units in which M is symmetric: those of b, or e^{L/2} b.
    const double log_weight =
        softmax ? std::log(form.weight[i]) : form.log_left[i];
    residual_rows[i] = TimesExp(MakeScaled(residual[i]), -log_weight);
    error_rows[i] = TimesExp(MakeScaled(error[i]), -log_weight);
    if (softmax) {
      const double log_here = form.log_right[i] - log_weight;
      log_back = i == 0 ? log_here : std::max(log_back, log_here);
    }
  }
  const ScaledNumber bound =
      TimesExp(Add(NormOf(residual_rows), NormOf(error_rows)),
               log_back - std::log(form.ridge));
  return std::min(1.0, RatioOf(bound, NormOf(SolutionOf(problem, z, 0))));
}

}  // namespace steelyard
