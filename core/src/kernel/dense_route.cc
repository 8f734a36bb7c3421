#include "kernel/dense_route.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernel/dense_solver.h"
#include "kernel/kernel_product.h"
#include "kernel/pivoted_rows.h"
#include "kernel/softmax_route.h"
#include "kernel/true_residual.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr int kRefinementsMax = 3;
// In pairs every step also finds the couplings that underflow in S, one more
// link of a chain of them a step: rows 45 apart up to s|a|^2 of 2e6.
constexpr int kScaledRefinementsMax = 32;
// A componentwise error that needs no further step.
constexpr double kOmegaGood = 4.0 * kUnitRoundoff;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

double RandomSign(std::size_t i) {
  constexpr RandomStream kSigns{.seed = {0}, .stream = 2};
  return kSigns.Sign(static_cast<std::uint64_t>(i));
}

// S z = c in float64, all right-hand sides at once.
class ScaledRoute {
 public:
  ScaledRoute(const KernelProblem& problem, const DenseFactor& factor,
              KernelProduct& product, const ComputeContext& context)
      : problem_(problem),
        factor_(factor),
        system_(problem.rows(), problem.form(), product),
        context_(context),
        rhs_(ScaleRightHandSides(problem, context)) {}

  // Fills `answer` as far as it comes.
  absl::Status Run(RouteAnswer& answer) {
    Matrix<double> z = rhs_.c;
    if (absl::Status done = factor_.Solve(z, context_); !done.ok()) return done;
    absl::StatusOr<CheckedResidual> checked =
        system_.Check(rhs_.c, z, context_);
    if (!checked.ok()) return checked.status();
    Take(answer, z, *checked);
    for (int step = 0; step < kRefinementsMax && WorthAStep(*checked); ++step) {
      Matrix<double> next = checked->residual;
      absl::Status done = factor_.Solve(next, context_);
      if (!done.ok()) return done;
      for (Index i = 0; i < next.size(); ++i) next.data()[i] += z.data()[i];
      absl::StatusOr<CheckedResidual> refined =
          system_.Check(rhs_.c, next, context_);
      if (!refined.ok()) return refined.status();
      if (!Improve(z, *checked, next, *refined)) break;
      Take(answer, z, *checked);
    }
    return EstimateErrors(answer, z, *checked);
  }

 private:
  static bool WorthAStep(const CheckedResidual& checked) {
    return std::any_of(
        checked.certificates.begin(), checked.certificates.end(),
        [](const Certificate& c) { return c.omega > kOmegaGood; });
  }

  // Takes over the columns that became better. False: none of them by half.
  bool Improve(Matrix<double>& z, CheckedResidual& checked,
               const Matrix<double>& next, const CheckedResidual& refined) {
    const Index n = z.cols();
    bool halved = false;
    for (Index c = 0; c < z.rows(); ++c) {
      const double before = checked.certificates[At(c)].omega;
      const double after = refined.certificates[At(c)].omega;
      if (!(after < before)) continue;
      halved |= after <= 0.5 * before;
      std::copy(next.row(c), next.row(c) + n, z.row(c));
      std::copy(refined.residual.row(c), refined.residual.row(c) + n,
                checked.residual.row(c));
      std::copy(refined.error.row(c), refined.error.row(c) + n,
                checked.error.row(c));
      checked.certificates[At(c)] = refined.certificates[At(c)];
    }
    return halved;
  }

  void Take(RouteAnswer& answer, const Matrix<double>& z,
            const CheckedResidual& checked) {
    for (std::size_t c = 0; c < answer.columns.size(); ++c) {
      ColumnAnswer& column = answer.columns[c];
      column.x =
          SolutionOf(problem_, z.row(static_cast<Index>(c)), rhs_.exponent[c]);
      column.certificate = checked.certificates[c];
      ++column.iterations;
    }
  }

  absl::Status EstimateErrors(RouteAnswer& answer, const Matrix<double>& z,
                              const CheckedResidual& checked) {
    Matrix<double> from_residual = checked.residual;
    Matrix<double> from_rounding = checked.error;
    for (Index c = 0; c < z.rows(); ++c) {
      for (Index i = 0; i < z.cols(); ++i) {
        from_rounding(c, i) *= RandomSign(At(i));
      }
    }
    absl::Status done = factor_.Solve(from_residual, context_);
    if (done.ok()) done = factor_.Solve(from_rounding, context_);
    if (!done.ok()) return done;
    context_.workers.ParallelFor(z.rows(), StopToken(), [&](Index c) {
      const auto norm = [&](const double* values) {
        return NormOf(SolutionOf(problem_, values, 0));
      };
      const double estimate =
          RatioOf(Add(norm(from_residual.row(c)), norm(from_rounding.row(c))),
                  norm(z.row(c)));
      answer.columns[At(c)].forward_error =
          std::min({1.0, estimate,
                    RidgeErrorBound(problem_, checked.residual.row(c),
                                    checked.error.row(c), z.row(c))});
    });
    return absl::OkStatus();
  }

  const KernelProblem& problem_;
  const DenseFactor& factor_;
  ScaledSystem system_;
  const ComputeContext& context_;
  ScaledRightHandSides rhs_;
};

// x of (K + l I) x = b in pairs, one right-hand side.
class PairRoute {
 public:
  PairRoute(const KernelProblem& problem, const DenseFactor& factor,
            const ComputeContext& context)
      : problem_(problem),
        factor_(factor),
        context_(context),
        matrix_(MakeTrueMatrix(problem.rows(), problem.form(), nullptr)) {}

  absl::Status Run(const ScaledVector& b, ColumnAnswer& answer) {
    ResidualRows kept;
    ScaledVector correction = b;
    ScaledVector x(b.size());
    const double floor = 8.0 * kUnitRoundoff * problem_.rows().logit_max;
    for (int step = 0; step <= kScaledRefinementsMax; ++step) {
      absl::Status done = Precondition(correction);
      if (!done.ok()) return done;
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = Add(x[i], correction[i]);
      }
      absl::StatusOr<ResidualRows> rows = TrueResidual(matrix_, x, b, context_);
      if (!rows.ok()) return rows.status();
      const Certificate certificate = Certify(*rows);
      const double before = answer.certificate.omega;
      correction = rows->residual;
      if (step == 0 || certificate.omega < before) {
        answer.x = x;
        answer.certificate = certificate;
        answer.iterations = step + 1;
        kept = *std::move(rows);
      }
      // One wrong row keeps omega at 1 until the chain has reached it: only at
      // the floor does a step that does not halve end it.
      const bool at_floor = answer.certificate.omega <= floor;
      if (answer.certificate.omega <= kOmegaGood) break;
      if (step > 0 && at_floor && certificate.omega > 0.5 * before) break;
    }
    return EstimateError(std::move(kept), answer);
  }

 private:
  // v := W S^-1 W v
  absl::Status Precondition(ScaledVector& v) const {
    v = TimesExpOf(v, problem_.form().log_left);
    absl::Status done = factor_.SolveScaled(v, context_);
    if (done.ok()) v = TimesExpOf(v, problem_.form().log_right);
    return done;
  }

  absl::Status EstimateError(ResidualRows rows, ColumnAnswer& answer) {
    ScaledVector rounding = std::move(rows.error);
    const ScaledNumber norms = Add(NormOf(rows.residual), NormOf(rounding));
    for (std::size_t i = 0; i < rounding.size(); ++i) {
      rounding[i] = Times(rounding[i], RandomSign(i));
    }
    absl::Status done = Precondition(rows.residual);
    if (done.ok()) done = Precondition(rounding);
    if (!done.ok()) return done;
    const ScaledNumber size = NormOf(answer.x);
    answer.forward_error = std::min(
        1.0, RatioOf(Add(NormOf(rows.residual), NormOf(rounding)), size));
    const double ridge = problem_.form().ridge;
    if (ridge > 0.0) {
      answer.forward_error =
          std::min(answer.forward_error,
                   RatioOf(TimesExp(norms, -std::log(ridge)), size));
    }
    return absl::OkStatus();
  }

  const KernelProblem& problem_;
  const DenseFactor& factor_;
  const ComputeContext& context_;
  TrueMatrix matrix_;
};

RouteAnswer IllConditioned(const KernelProblem& problem) {
  RouteAnswer answer =
      ZeroAnswer(problem.n(), problem.k(), Termination::kIllConditioned);
  answer.log_smallest_ridge = problem.factor->smallest_ridge->log_ridge;
  answer.rank = problem.factor->smallest_ridge->rank;
  answer.method = absl::StrFormat(
      "dense Cholesky of the scaled kernel, n = %d: not positive definite to "
      "working precision; smallest ridge by pivoted Cholesky",
      problem.n());
  return answer;
}

absl::Status RunColumns(const KernelProblem& problem, const DenseFactor& factor,
                        KernelProduct& product, const ComputeContext& context,
                        RouteAnswer& answer) {
  if (problem.form().spread <= kCommonScaleSpreadMax) {
    answer.method = absl::StrFormat(
        "dense Cholesky of the scaled kernel, n = %d, refined with residuals "
        "from A",
        problem.n());
    return ScaledRoute(problem, factor, product, context).Run(answer);
  }
  for (std::size_t c = 0; c < problem.b.size(); ++c) {
    absl::Status done = PairRoute(problem, factor, context)
                            .Run(problem.b[c], answer.columns[c]);
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RouteAnswer> SolveDense(const KernelProblem& problem,
                                       const ComputeContext& context) {
  const DenseFactor& factor = *problem.factor->dense;
  if (!factor.positive_definite()) return IllConditioned(problem);
  KernelProduct product(problem.rows(), problem.form().offsets,
                        problem.form().unit_diagonal);
  context.Report({.phase = "verify", .fraction = std::nullopt});
  const bool wide = problem.form().spread > kCommonScaleSpreadMax;
  if (wide && problem.softmax().has_value()) {
    return SolveSoftmax(problem, &factor, context);
  }

  RouteAnswer answer =
      ZeroAnswer(problem.n(), problem.k(), Termination::kIllConditioned);
  answer.method = absl::StrFormat(
      "dense Cholesky of the scaled kernel, n = %d, vectors as mantissa and "
      "exponent (scales e^%.0f apart), refined with the true logits",
      problem.n(), problem.form().spread);
  answer.condition = problem.factor->dense_condition;
  const absl::Status done =
      RunColumns(problem, factor, product, context, answer);
  if (!done.ok() && !absl::IsAborted(done)) return done;
  const Termination otherwise = done.ok() ? Termination::kIllConditioned
                                          : StoppedTermination(context.stop);
  for (ColumnAnswer& column : answer.columns) {
    column.termination = column.iterations == 0
                             ? otherwise
                             : Judge(problem, column.certificate, otherwise);
    if (column.termination == Termination::kIllConditioned) {
      answer.log_smallest_ridge =
          LogSmallestRidgeBound(problem.rows(), problem.form());
    }
  }
  return answer;
}

}  // namespace steelyard
