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
#include "power/phase_progress.h"
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
  MatrixExponential(const AnyMatrixView& a, const AnyMatrixView& b,
                    const PowerRegressionOptions& options,
                    const ComputeContext& context)
      : a_(a),
        b_(b),
        d_(Cols(a)),
        k_(Cols(b)),
        options_(options),
        progress_(context),
        context_{context.workers, context.stop, progress_.Sink()} {}

  absl::StatusOr<Solution> Run() {
    absl::Status done = Prepare();
    if (done.ok()) done = Solve();
    if (absl::IsAborted(done)) {
      return PowerAnswer(d_, k_, false).Stopped(context_.stop.reason());
    }
    if (!done.ok()) return done;
    progress_.Enter("verify", 0.9, 1.0);
    Solution solution;
    for (Index c = 0; c < k_; ++c) AddColumn(c, solution.report);
    Finish(solution);
    progress_.Report("verify", 1.0);
    return solution;
  }

 private:
  // R S = U diag(s) V'.
  absl::Status Prepare() {
    progress_.Enter("scan", 0.0, 0.05);
    absl::StatusOr<ColumnScales> scales = ScanColumns(a_, "a", context_);
    if (!scales.ok()) return scales.status();
    absl::StatusOr<ColumnScales> b_scales = ScanColumns(b_, "b", context_);
    if (!b_scales.ok()) return b_scales.status();
    b_exponents_ = std::move(b_scales->exponents);
    progress_.Enter("factor", 0.05, 0.6);
    FactorOptions factor_options;
    factor_options.method = Method(*scales);
    factor_options.gram_condition_max = 1e7;
    absl::StatusOr<Factor> factor =
        FactorMatrix(a_, *scales, factor_options, context_);
    if (!factor.ok()) return factor.status();
    factor_ = *std::move(factor);
    progress_.Enter("iterate", 0.6, 0.9);
    return Decompose();
  }

  std::optional<FactorMethod> Method(const ColumnScales& scales) const {
    if (options_.method == PowerMethod::kGram) return FactorMethod::kGram;
    double square = 0.0;  // at least |A|_F^2
    for (const int e : scales.exponents) square += std::ldexp(4.0, 2 * e);
    if (square <= kGramSquareMax && !options_.method) return std::nullopt;
    return FactorMethod::kQr;
  }

  absl::Status Decompose() {
    const std::vector<int>& exponents = factor_.scales.exponents;
    const int top = *std::max_element(exponents.begin(), exponents.end());
    Matrix<double> root(d_, d_);
    for (Index i = 0; i < d_; ++i) {
      for (Index j = 0; j < d_; ++j) {
        root(i, j) = std::ldexp(factor_.r(i, j),
                                exponents[static_cast<std::size_t>(j)] - top);
      }
    }
    absl::StatusOr<RightSvd> svd = ComputeRightSvd(std::move(root));
    if (!svd.ok()) return svd.status();
    v_transposed_ = std::move(svd->v_transposed);
    for (const double s : svd->singular_values) {
      s_.push_back(std::min(std::ldexp(s, top), kLargestValue));
    }
    // Rows that R lacks are no small singular values but none.
    for (Index i = Rows(a_); i < d_; ++i) s_[static_cast<std::size_t>(i)] = 0.0;
    for (const double s : s_)
      shifts_.push_back((s - s_.back()) * (s + s_.back()));
    return CheckStop(context_.stop);
  }

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
    report.method =
        absl::StrCat(factor_.description,
                     "; e^-(s^2) of the singular values, s_1 = ", s_.front(),
                     ", s_d = ", s_.back());
  }

  const AnyMatrixView& a_;
  const AnyMatrixView& b_;
  Index d_, k_;
  const PowerRegressionOptions& options_;
  PhaseProgress progress_;
  ComputeContext context_;
  std::vector<int> b_exponents_;
  Factor factor_;
  Matrix<double> v_transposed_;
  std::vector<double> s_;       // descending
  std::vector<double> shifts_;  // (s_i - s_d)(s_i + s_d)
  Matrix<double> c_;            // V'b
  Matrix<double> x_;            // x~
  std::vector<Termination> terminations_;
};

}  // namespace

absl::StatusOr<Solution> SolveMatrixExponential(
    const AnyMatrixView& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context) {
  return MatrixExponential(a, b, options, context).Run();
}

}  // namespace steelyard
