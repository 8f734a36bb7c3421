#include "power/matrix_exponential.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "factor/factor.h"
#include "linalg/double_double.h"
#include "linalg/double_double_rows.h"
#include "linalg/stopped.h"
#include "linalg/svd.h"
#include "power/answer.h"
#include "power/exponential_error.h"
#include "power/gram_solver.h"
#include "power/series.h"
#include "power/termination.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Singular values are cut here: their squares stay finite, and e^-(1e300) is 0.
constexpr double kLargestValue = 1e150;
// A Gram loses u s_1^2, Householder 2 u s_1 s_d: the same for small s_1.
constexpr double kGramSquareMax = 4.0;
// ln 2 in two parts (Higham's double-double constants are computed by MPFR).
constexpr DoubleDouble kLn2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
constexpr double kWholeMax = 0x1p40;
// Logarithms below this are units in which residuals are compared.
constexpr double kLogUnits = 600.0;
// 8 (j + 1) of the powers with j = 1.
constexpr int kFloorExponent = 1;

// e^-y = mantissa 2^exponent for y = s^2 >= 0.
struct Power2 {
  double mantissa;
  std::int64_t exponent;
};

Power2 ExpOfMinusSquare(double s) {
  const DoubleDouble square = TwoProduct(s, s);
  const double whole = std::nearbyint(square.hi / kLn2.hi);
  // No exponent of ours holds it: AssembleX will say so.
  if (whole > kWholeMax) return {1.0, -static_cast<std::int64_t>(kWholeMax)};
  const DoubleDouble rest = Subtract(square, Multiply(whole, kLn2));
  return {std::exp(-rest.hi), -static_cast<std::int64_t>(whole)};
}

// log of sum of e^(2 l) to the power 1/2.
double LogNorm(const std::vector<double>& logs) {
  const double top = *std::max_element(logs.begin(), logs.end());
  if (std::isinf(top)) return top;
  double sum = 0.0;
  for (const double l : logs) sum += std::exp(2.0 * (l - top));
  return top + 0.5 * std::log(sum);
}

double Ratio(double log_ratio) {
  if (std::isnan(log_ratio)) return 0.0;  // zero over zero
  return std::min(std::exp(log_ratio), std::numeric_limits<double>::max());
}

class MatrixExponential {
 public:
  MatrixExponential(const PowerFactor& factor, const ScaledRightSides& b,
                    const PowerRegressionOptions& options,
                    const ComputeContext& context, const SeriesSum* series)
      : factor_(factor.factor),
        b_(b.view),
        b_exponents_(b.exponents),
        d_(Rows(b.view)),
        k_(Cols(b.view)),
        options_(options),
        context_(context),
        v_transposed_(factor.exponential->v_transposed),
        s_(factor.exponential->s),
        shifts_(factor.exponential->shifts),
        series_(series) {}

  absl::StatusOr<Solution> Run() {
    absl::Status done = Solve();
    if (absl::IsAborted(done)) {
      return PowerAnswer(d_, k_, false).Stopped(context_.stop.reason());
    }
    if (!done.ok()) return done;
    if (series_ != nullptr) TakeSeries();
    Solution solution;
    for (Index c = 0; c < k_; ++c) AddColumn(c, solution.report);
    Finish(solution);
    return solution;
  }

 private:
  // x~ = V diag(e^-shift) V'b.
  absl::Status Solve() {
    Matrix<double> b(d_, k_);
    LoadScaledRows(b_, 0, d_, b_exponents_, b.data());
    absl::Status done =
        Product(BlockOf(std::as_const(v_transposed_)), b, c_, context_);
    if (!done.ok()) return done;
    Matrix<double> damped(d_, k_);
    for (Index i = 0; i < d_; ++i) {
      const double factor = std::exp(-shifts_[static_cast<std::size_t>(i)]);
      for (Index c = 0; c < k_; ++c) damped(i, c) = factor * c_(i, c);
    }
    return Product(Transposed(BlockOf(std::as_const(v_transposed_))), damped,
                   x_, context_);
  }

  // The sum of the series in the place of x~, which is kept to judge it.
  void TakeSeries() {
    direct_ = std::move(x_);
    x_ = series_->x;
    const Power2 common = ExpOfMinusSquare(s_.back());
    const auto shift = static_cast<int>(
        std::min<std::int64_t>(-common.exponent, 1 << 20));
    for (Index e = 0; e < x_.size(); ++e) {
      double& x = x_.data()[e];
      x = std::ldexp(x / common.mantissa, shift);
      // Far from any digit then.
      if (!std::isfinite(x)) x = 0.0;
    }
  }

  // |x~ - direct| / |x~|: what the sum has lost.
  double SeriesError(Index c, double x_norm) const {
    if (x_norm == 0.0) return 1.0;
    double distance = 0.0;
    for (Index i = 0; i < d_; ++i) {
      distance = std::hypot(distance, x_(i, c) - direct_(i, c));
    }
    return std::min(distance / x_norm, std::numeric_limits<double>::max());
  }

  std::vector<double> Column(const Matrix<double>& from, Index c) const {
    std::vector<double> column;
    for (Index i = 0; i < d_; ++i) column.push_back(from(i, c));
    return column;
  }

  // log |e^shift (V'x~) - V'b| entry by entry: the residual in the basis V.
  std::vector<double> LogResidual(Index c) const {
    const std::vector<double> x = Column(x_, c);
    const std::vector<double> zero(x.size(), 0.0);
    std::vector<double> hi(x.size());
    std::vector<double> lo(x.size());
    DotRows({v_transposed_.data(), d_, d_}, x.data(), zero.data(), hi.data(),
            lo.data());
    std::vector<double> logs;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double b = c_(static_cast<Index>(i), c);
      if (hi[i] == 0.0) {
        logs.push_back(std::log(std::abs(b)));
        continue;
      }
      // Where e^shift overflows, V'b is nothing beside it.
      const double grown = shifts_[i] < 700.0
                               ? std::abs(hi[i] * std::exp(shifts_[i]) - b)
                               : kInfinity;
      logs.push_back(std::isfinite(grown)
                         ? std::log(grown)
                         : std::log(std::abs(hi[i])) + shifts_[i]);
    }
    return logs;
  }

  // What one column measured. `judged` is in units of e^excess, in which
  // residual and floor lie within float64; the reported ones end at its edge.
  struct ColumnMeasures {
    Measured judged;
    double excess = 0.0;
    double residual = 0.0;
    double floor = 0.0;
    double backward = 0.0;
    double optimality = 0.0;
  };

  ColumnMeasures Measure(Index c) const {
    const std::vector<double> b = Column(c_, c);
    const std::vector<double> x = Column(x_, c);
    const double b_norm =
        std::sqrt(std::inner_product(b.begin(), b.end(), b.begin(), 0.0));
    const double x_norm =
        std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
    ColumnMeasures all{.judged = {.zero_right_side = b_norm == 0.0,
                                  .beyond_format = BeyondFormat()}};
    if (b_norm == 0.0) return all;
    const double log_b = std::log(b_norm);
    std::vector<double> logs = LogResidual(c);
    const double log_r = LogNorm(logs) - log_b;
    // log of ||M|| ||x|| / ||b||, and of that + 1.
    const double growth = shifts_.front() + std::log(x_norm) - log_b;
    const double scale = growth > 40.0 ? growth : std::log1p(std::exp(growth));
    const double log_floor = growth + std::log(kUnitRoundoff);
    for (std::size_t i = 0; i < logs.size(); ++i) {
      logs[i] -= (s_.front() - s_[i]) * (s_.front() + s_[i]);
    }
    all.excess = std::max({0.0, log_r - kLogUnits, log_floor - kLogUnits});
    all.judged.judged_residual = Ratio(log_r - all.excess);
    all.judged.residual_floor = Ratio(log_floor - all.excess);
    all.judged.forward_error = ExponentialError(s_, shifts_, b, x_norm);
    if (series_ != nullptr) {
      all.judged.forward_error =
          SeriesError(c, x_norm) +
          (x_norm == 0.0 ? 0.0 : all.judged.forward_error);
    }
    all.residual = Ratio(log_r);
    all.floor = Ratio(log_floor);
    all.backward = Ratio(log_r - scale);
    all.optimality = Ratio(LogNorm(logs) - log_b - scale);
    return all;
  }

  void AddColumn(Index c, SolveReport& report) {
    const ColumnMeasures all = Measure(c);
    const double tolerance =
        options_.tolerance
            ? *options_.tolerance * std::exp(-all.excess)
            : ToleranceOf({}, kFloorExponent, all.judged.residual_floor);
    terminations_.push_back(
        TerminationOf(all.judged, tolerance, kFloorExponent));
    if (series_ != nullptr) {
      const auto at = static_cast<std::size_t>(c);
      Termination& why = terminations_.back();
      // More terms would not help.
      if (why == Termination::kIterationLimit && series_->complete[at]) {
        why = Termination::kPrecisionFloor;
      }
      report.iterations = std::max(report.iterations, series_->terms[at]);
    }
    report.relative_residual.push_back(all.residual);
    report.residual_floor.push_back(all.floor);
    report.backward_error.push_back(all.backward);
    report.optimality.push_back(all.optimality);
    report.forward_error.push_back(all.judged.forward_error);
    report.converged.push_back(terminations_.back() == Termination::kConverged);
  }

  // The relative error 2 u s_1 s_d leaves no digit.
  bool BeyondFormat() const {
    return 2.0 * kUnitRoundoff * s_.front() * s_.back() >= 0.1;
  }

  void Finish(Solution& solution) {
    const Power2 common = ExpOfMinusSquare(s_.back());
    std::vector<std::int64_t> exponents(static_cast<std::size_t>(x_.size()));
    for (Index e = 0; e < x_.size(); ++e) {
      x_.data()[e] *= common.mantissa;
      exponents[static_cast<std::size_t>(e)] =
          common.exponent + b_exponents_[static_cast<std::size_t>(e % k_)];
    }
    SolveReport& report = solution.report;
    report.termination = Worst(terminations_);
    if (!AssembleX(std::move(x_), {}, exponents, solution)) {
      report.termination = Termination::kIllConditioned;
      report.converged.assign(terminations_.size(), false);
      report.forward_error.assign(terminations_.size(), 1.0);
    }
    report.condition_estimate = factor_.condition;
    report.rank = factor_.rank;
    report.rank_gap = factor_.rank_gap;
    report.method = absl::StrCat(
        series_ != nullptr ? absl::StrCat(report.iterations,
                                          " terms of the series; judged by ")
                           : "",
        factor_.description,
        "; e^-(s^2) of the singular values, s_1 = ", s_.front(),
        ", s_d = ", s_.back());
  }

  const Factor& factor_;
  const AnyMatrixView& b_;
  const std::vector<int>& b_exponents_;
  Index d_, k_;
  const PowerRegressionOptions& options_;
  const ComputeContext& context_;
  const Matrix<double>& v_transposed_;
  const std::vector<double>& s_;       // descending
  const std::vector<double>& shifts_;  // (s_i - s_d)(s_i + s_d)
  Matrix<double> c_;            // V'b
  Matrix<double> x_;            // x~
  const SeriesSum* series_;     // null: the direct method
  Matrix<double> direct_;       // x~ without the series
  std::vector<Termination> terminations_;
};

}  // namespace

std::optional<FactorMethod> FactorMethodOfExponential(
    const ColumnScales& scales, std::optional<PowerMethod> method) {
  if (method == PowerMethod::kGram) return FactorMethod::kGram;
  double square = 0.0;  // at least |A|_F^2
  for (const int e : scales.exponents) square += std::ldexp(4.0, 2 * e);
  if (square <= kGramSquareMax && !method) return std::nullopt;
  return FactorMethod::kQr;
}

absl::StatusOr<ExponentialBasis> MakeExponentialBasis(
    const Factor& factor, Index n, const ComputeContext& context) {
  const std::vector<int>& exponents = factor.scales.exponents;
  const int top = *std::max_element(exponents.begin(), exponents.end());
  const Index d = factor.r.cols();
  Matrix<double> root(d, d);
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < d; ++j) {
      root(i, j) = std::ldexp(factor.r(i, j),
                              exponents[static_cast<std::size_t>(j)] - top);
    }
  }
  absl::StatusOr<RightSvd> svd = ComputeRightSvd(std::move(root));
  if (!svd.ok()) return svd.status();
  ExponentialBasis basis;
  basis.v_transposed = std::move(svd->v_transposed);
  for (const double s : svd->singular_values) {
    basis.s.push_back(std::min(std::ldexp(s, top), kLargestValue));
  }
  // Rows that R lacks are no small singular values but none.
  for (Index i = n; i < d; ++i) basis.s[static_cast<std::size_t>(i)] = 0.0;
  for (const double s : basis.s) {
    basis.shifts.push_back((s - basis.s.back()) * (s + basis.s.back()));
  }
  if (absl::Status stopped = CheckStop(context.stop); !stopped.ok()) {
    return stopped;
  }
  return basis;
}

absl::StatusOr<Solution> ApplyMatrixExponential(
    const PowerFactor& factor, const ScaledRightSides& b,
    const PowerRegressionOptions& options, const ComputeContext& context,
    const SeriesSum* series) {
  return MatrixExponential(factor, b, options, context, series).Run();
}

}  // namespace steelyard
