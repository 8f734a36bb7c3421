#include "power/certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "power/least_squares_error.h"

namespace steelyard {
namespace {

// 2^x, at most the largest double: a ratio is never an infinity.
double Ratio(double log2_ratio) {
  if (std::isnan(log2_ratio)) return 0.0;  // zero over zero
  return std::min(std::exp2(log2_ratio), std::numeric_limits<double>::max());
}

class Certifier {
 public:
  Certifier(const PowerProblem& problem, const Levels& levels,
            const ComputeContext& context)
      : problem_(problem), levels_(levels), context_(context) {}

  // S^-1 A'A v from S^-1 v: G S^2.
  absl::Status MultiplyGram(ScaledBlock& v) const {
    ScaleRows(problem_.a.exponents, 2, v);
    return problem_.solver.MultiplyGram(v.hi, context_);
  }

  // S^-1 (y_start - (A'A)^j x), start = 0 (odd) or b.
  absl::StatusOr<ScaledBlock> PowerResidual() const {
    const Index d = Cols(problem_.a.view);
    ScaledBlock v(d, problem_.b.count);
    for (int level = problem_.exponent; level >= 1; --level) {
      absl::Status done = MultiplyGram(v);
      if (!done.ok()) return done;
      ScaledBlock rho = levels_.rho[static_cast<std::size_t>(level)];
      done = problem_.solver.Project(rho, context_);
      if (!done.ok()) return done;
      AddTo(rho, v);
    }
    return v;
  }

  // S e_j: the error of z_j.
  absl::StatusOr<ScaledBlock> Error() const {
    ScaledBlock e(Cols(problem_.a.view), problem_.b.count);
    for (int level = FirstLevel(problem_); level <= problem_.exponent;
         ++level) {
      ScaleRows(problem_.a.exponents, -2, e);
      AddTo(levels_.rho[static_cast<std::size_t>(level)], e);
      absl::Status done = problem_.solver.Estimate(e.hi, context_);
      if (!done.ok()) return done;
    }
    return e;
  }

  // log2 ||M'r|| / ||M||, from `gradient`: S^-1 r (even), S^-1 A'r (odd).
  absl::StatusOr<std::vector<double>> Optimality(ScaledBlock gradient,
                                                 double log2_norm) const {
    for (int level = 1; level <= problem_.exponent; ++level) {
      absl::Status done = MultiplyGram(gradient);
      if (!done.ok()) return done;
    }
    ScaleRows(problem_.a.exponents, 1, gradient);
    std::vector<double> norms = Log2Norms(gradient);
    const int power = 2 * problem_.exponent + (problem_.odd ? 1 : 0);
    for (double& norm : norms) norm -= power * log2_norm;
    return norms;
  }

  // log2 ||b - M x||, odd: ||r_0 + A r||^2 = |r_0|^2 + 2 r'A'r_0 + |A r|^2 with
  // `sr` = S r and A_s'A_s = G - ridge.
  absl::StatusOr<std::vector<double>> OddResidual(ScaledBlock sr) const {
    const ScaledBlock& z = levels_.z.front();
    const ScaledBlock& rho = levels_.rho.front();
    for (Index c = 0; c < sr.cols(); ++c) {
      const auto at = static_cast<std::size_t>(c);
      const auto shift = static_cast<int>(std::clamp<std::int64_t>(
          sr.exponents[at] - rho.exponents[at], -4000, 4000));
      for (Index i = 0; i < sr.rows(); ++i) {
        sr.hi(i, c) = std::ldexp(sr.hi(i, c), shift);
      }
    }
    Matrix<double> product = sr.hi;
    absl::Status done = problem_.solver.MultiplyRoot(product, context_);
    if (!done.ok()) return done;
    std::vector<double> squares = levels_.r_squares;
    for (Index i = 0; i < sr.rows(); ++i) {
      const double l =
          problem_.ridge_diagonal.empty()
              ? 0.0
              : problem_.ridge_diagonal[static_cast<std::size_t>(i)];
      for (Index c = 0; c < sr.cols(); ++c) {
        const double x = sr.hi(i, c);
        squares[static_cast<std::size_t>(c)] +=
            2.0 * x * (rho.hi(i, c) + l * z.hi(i, c)) +
            product(i, c) * product(i, c) - l * x * x;
      }
    }
    for (std::size_t c = 0; c < squares.size(); ++c) {
      squares[c] = 0.5 * std::log2(std::max(squares[c], 0.0)) +
                   static_cast<double>(rho.exponents[c]);
    }
    return squares;
  }

  // Exponent 0 of the odd family; r = [b - A z; -sqrt(l) z].
  absl::StatusOr<std::vector<double>> BackwardErrors(bool in_haste) const {
    if (in_haste) {
      return std::vector<double>(static_cast<std::size_t>(problem_.b.count),
                                 1.0);
    }
    const ScaledBlock& z = levels_.z.front();
    std::vector<double> r_norms = levels_.r_squares;
    for (std::size_t i = 0; i < problem_.ridge_diagonal.size(); ++i) {
      for (Index c = 0; c < z.cols(); ++c) {
        const double x = z.hi(static_cast<Index>(i), c);
        r_norms[static_cast<std::size_t>(c)] +=
            problem_.ridge_diagonal[i] * x * x;
      }
    }
    for (double& norm : r_norms) norm = std::sqrt(std::max(norm, 0.0));
    LeastSquaresErrors own(problem_.solver.factor(),
                           problem_.solver.distortion());
    LeastSquaresErrors& errors =
        problem_.least_squares ? *problem_.least_squares : own;
    return errors.Bounds(
        {levels_.rho.front().hi, r_norms, NormsOfColumns(z.hi)}, context_);
  }

  std::vector<double> Log2B() const {
    std::vector<double> norms(levels_.b_squares.size());
    const std::vector<int> exponents = problem_.b.Exponents();
    for (std::size_t c = 0; c < norms.size(); ++c) {
      norms[c] = 0.5 * std::log2(levels_.b_squares[c]) + exponents[c];
    }
    return norms;
  }

  // log2 of the norms of S^-1 z.
  std::vector<double> Log2Unscaled(ScaledBlock z) const {
    ScaleRows(problem_.a.exponents, -1, z);
    return Log2Norms(z);
  }

 private:
  const PowerProblem& problem_;
  const Levels& levels_;
  const ComputeContext& context_;
};

// Logarithms to the base 2 of what the ratios are made of, one a column.
struct Norms {
  std::vector<double> residual;
  std::vector<double> excess;    // odd only
  std::vector<double> gradient;  // ||M'r|| / ||M||
  std::vector<double> b;
  std::vector<double> x;
  std::vector<double> error;
  std::vector<double> least_squares;  // no logarithms; exponent 0 only
};

absl::StatusOr<Norms> MeasureNorms(const PowerProblem& problem,
                                   const Levels& levels, const Format& format,
                                   const ComputeContext& context) {
  const Certifier certifier(problem, levels, context);
  Norms norms;
  norms.b = certifier.Log2B();
  norms.x = certifier.Log2Unscaled(levels.z.back());
  absl::StatusOr<ScaledBlock> error = certifier.Error();
  if (!error.ok()) return error.status();
  norms.error = certifier.Log2Unscaled(*error);
  absl::StatusOr<ScaledBlock> r = certifier.PowerResidual();
  if (!r.ok()) return r.status();
  ScaledBlock gradient = *r;
  if (problem.odd) {
    ScaledBlock sr = *r;
    ScaleRows(problem.a.exponents, 2, sr);
    auto residual = certifier.OddResidual(sr);
    if (!residual.ok()) return residual.status();
    norms.residual = *std::move(residual);
    ScaledBlock deviation = levels.rho.front();
    absl::Status done = problem.solver.Estimate(deviation.hi, context);
    if (!done.ok()) return done;
    AddTo(sr, deviation);
    done = problem.solver.MultiplyRoot(deviation.hi, context);
    if (!done.ok()) return done;
    norms.excess = Log2Norms(deviation);
    done = certifier.MultiplyGram(gradient);
    if (!done.ok()) return done;
    AddTo(levels.rho.front(), gradient);
    if (problem.exponent == 0) {
      auto backward_errors = certifier.BackwardErrors(format.in_haste);
      if (!backward_errors.ok()) return backward_errors.status();
      norms.least_squares = *std::move(backward_errors);
    }
  } else {
    ScaleRows(problem.a.exponents, 1, *r);
    norms.residual = Log2Norms(*r);
  }
  auto optimality = certifier.Optimality(std::move(gradient), format.log2_norm);
  if (!optimality.ok()) return optimality.status();
  norms.gradient = *std::move(optimality);
  return norms;
}

}  // namespace

absl::StatusOr<Certificate> Certify(const PowerProblem& problem,
                                    const Levels& levels, const Format& format,
                                    const ComputeContext& context) {
  absl::StatusOr<Norms> norms = MeasureNorms(problem, levels, format, context);
  if (!norms.ok()) return norms.status();
  const int power = 2 * problem.exponent + (problem.odd ? 1 : 0);
  const auto k = static_cast<std::size_t>(problem.b.count);
  Certificate out;
  for (auto* ratios :
       {&out.relative_residual, &out.residual_floor, &out.backward_error,
        &out.optimality, &out.forward_error}) {
    ratios->assign(k, 0.0);
  }
  if (problem.odd) out.excess_residual.assign(k, 0.0);
  out.least_squares_backward_error = std::move(norms->least_squares);
  for (std::size_t c = 0; c < k; ++c) {
    if (levels.b_squares[c] == 0.0) continue;
    const double b = norms->b[c];
    // ||M|| ||x|| / ||b||, and log2 of that + 1.
    const double growth = std::isinf(norms->x[c])
                              ? norms->x[c]
                              : power * format.log2_norm + norms->x[c] - b;
    const double scale =
        growth > 60.0 ? growth : std::log2(1.0 + std::exp2(growth));
    out.relative_residual[c] = Ratio(norms->residual[c] - b);
    if (problem.odd) out.excess_residual[c] = Ratio(norms->excess[c] - b);
    out.residual_floor[c] = Ratio(format.log2_unit + growth);
    out.backward_error[c] = Ratio(norms->residual[c] - b - scale);
    out.optimality[c] = Ratio(norms->gradient[c] - b - scale);
    out.forward_error[c] = Ratio(norms->error[c] - norms->x[c]);
  }
  return out;
}

}  // namespace steelyard
