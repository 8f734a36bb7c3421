#include "power/least_squares_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "power/levels.h"
#include "tests/core/power/level_problem.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/backward_error_oracle.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

constexpr Index kRows = 40;
constexpr Index kCols = 5;
// nu is rounded by this: the header.
const double kRounding = std::exp2(1.0 / 8.0);

std::vector<double> ColumnOf(const Matrix<double>& x) {
  return {x.data(), x.data() + x.size()};
}

// b = A x + `noise` times a vector outside of the range of A, |x| = |b| = 1 or
// so: residuals from nearly none to nearly all of b.
Matrix<double> RightSide(const Matrix<double>& a, double noise) {
  const Matrix<double> x = NormalMatrix(a.cols(), 1, Seed{31});
  const Matrix<double> off = NormalMatrix(a.rows(), 1, Seed{32});
  Matrix<double> b(a.rows(), 1);
  for (Index i = 0; i < a.rows(); ++i) {
    b(i, 0) = noise * off(i, 0);
    for (Index j = 0; j < a.cols(); ++j) b(i, 0) += a(i, j) * x(j, 0);
  }
  return b;
}

// The bound of one x, from R of a Householder QR.
double BoundOf(const Matrix<double>& a, const Matrix<double>& b,
               const std::vector<double>& x) {
  const ComputeContext context{OneWorker()};
  const auto scales = ScanColumns(a.view(), "a", context);
  const auto factor =
      FactorMatrix(a.view(), *scales, {.method = FactorMethod::kQr}, context);
  const ScaledMatrix scaled{a.view(), factor->scales.exponents};
  const ScaledRightSides sides{b.view(), {0}};
  Matrix<double> z(a.cols(), 1);
  for (Index j = 0; j < a.cols(); ++j) {
    const auto at = static_cast<std::size_t>(j);
    z(j, 0) = std::ldexp(x[at], scaled.exponents[at]);
  }
  const auto pass = ResidualPass(
      {.a = scaled, .b = ColumnSlice(sides, 0, 1), .z_hi = &z, .k = 1},
      Precision::kDoubleDouble, context);
  const std::vector<double> r_norms = {std::sqrt(pass->squares[0])};
  const auto bounds =
      LeastSquaresErrors(*factor, 0.0)
          .Bounds({pass->hi, r_norms, NormsOfColumns(z)}, context);
  EXPECT_TRUE(bounds.ok()) << bounds.status();
  return (*bounds)[0];
}

// Any x at all, not only good ones.
TEST(LeastSquaresErrorTest, HoldsTheExactOneWithinItsFactor) {
  for (const double condition : {1.0, 1e3, 1e8, 1e12}) {
    const Matrix<double> a = MatrixOfCondition(kRows, kCols, condition);
    for (const double noise : {1e-12, 1e-6, 1e-2, 1e3}) {
      const Matrix<double> b = RightSide(a, noise);
      const auto solved = SolvePower(
          a, b, {.family = PowerFamily::kLeftGramPower, .exponent = 0});
      ASSERT_TRUE(solved.ok()) << solved.status();
      for (const double change : {1e-9, 1e-4, 1.0, 1e6}) {
        std::vector<double> x = ColumnOf(solved->x);
        for (std::size_t j = 0; j < x.size(); ++j) {
          x[j] += change * std::cos(static_cast<double>(j));
        }
        const double exact = LeastSquaresBackwardError(a, b, x);
        const double bound = BoundOf(a, b, x);
        SCOPED_TRACE(testing::Message() << condition << ", " << noise << ", "
                                        << change << ": " << exact);
        const double rounding = 1.0 + HouseholderBound(kCols, condition);
        EXPECT_LE(exact, bound * rounding);
        EXPECT_LE(bound, std::sqrt(2.0) * kRounding * exact * rounding);
      }
    }
  }
}

TEST(LeastSquaresErrorTest, TheAnswerZero) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 10.0);
  const Matrix<double> b = NormalMatrix(kRows, 1, Seed{33});
  // E takes A'b away: |b'A| / (|b| |A|_F), as the limit of small x.
  const double bound = BoundOf(a, b, std::vector<double>(kCols, 0.0));
  const double exact =
      LeastSquaresBackwardError(a, b, std::vector<double>(kCols, 0x1p-30));
  // |r| and A'r move by |A x|.
  const double moved = 1.0 + 0x1p-16;
  EXPECT_LE(exact, bound * moved);
  EXPECT_LE(bound, std::sqrt(2.0) * kRounding * exact * moved);
}

TEST(LeastSquaresErrorTest, NothingToSolveHasNone) {
  const ComputeContext context{OneWorker()};
  Factor factor;
  factor.r = Matrix<double>(3, 3);
  factor.method = FactorMethod::kQr;
  const Matrix<double> gradient(3, 1);
  const std::vector<double> one = {1.0};
  const std::vector<double> zero = {0.0};
  // A = 0.
  EXPECT_EQ(
      *LeastSquaresErrors(factor, 0.0).Bounds({gradient, one, zero}, context),
      zero);
  for (Index i = 0; i < 3; ++i) factor.r(i, i) = 1.0;
  factor.frobenius_norm = std::sqrt(3.0);
  // b = 0, and a residual of zero.
  EXPECT_EQ(
      *LeastSquaresErrors(factor, 0.0).Bounds({gradient, zero, zero}, context),
      zero);
  EXPECT_EQ(
      *LeastSquaresErrors(factor, 0.0).Bounds({gradient, zero, one}, context),
      zero);
}

TEST(LeastSquaresErrorTest, ColumnsNeverMeet) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e5);
  const PowerRegressionOptions options{.family = PowerFamily::kLeftGramPower,
                                       .exponent = 0};
  Matrix<double> b = NormalMatrix(kRows, 12, Seed{34});
  for (Index c = 0; c < 12; ++c) {
    const Matrix<double> own = RightSide(a, std::pow(10.0, -c));
    for (Index i = 0; i < kRows; ++i)
      b(i, c) = own(i, 0) + (c % 3 == 0 ? b(i, c) : 0.0);
  }
  const auto together = SolvePower(a, b, options);
  ASSERT_TRUE(together.ok());
  for (Index c = 0; c < 12; ++c) {
    const auto alone = SolvePower(a, Column(b, c), options);
    EXPECT_EQ(alone->report.least_squares_backward_error[0],
              together->report
                  .least_squares_backward_error[static_cast<std::size_t>(c)]);
  }
}

TEST(LeastSquaresErrorTest, StopsBetweenPanels) {
  const ComputeContext context{OneWorker()};
  Factor factor;
  factor.r = NormalMatrix(kCols, kCols, Seed{35});
  factor.frobenius_norm = 5.0;
  const Matrix<double> gradient = NormalMatrix(kCols, 1, Seed{36});
  const std::vector<double> one = {1.0};
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  EXPECT_EQ(LeastSquaresErrors(factor, 0.0)
                .Bounds({gradient, one, one}, {OneWorker(), source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

// What is reported, on every road to R.
struct Road {
  std::string name;
  std::optional<PowerMethod> method;
  double condition_max;  // where the road ends
  bool sketched = false;
  bool sparse = false;
};

std::vector<Road> Roads() {
  return {{"Ladder", std::nullopt, 1e12},
          {"Gram", PowerMethod::kGram, 1e6},
          {"Qr", PowerMethod::kQr, 1e12},
          {"Svd", PowerMethod::kSvd, 1e12},
          {"Sketch", PowerMethod::kSketch, 1e12, true},
          {"Published", PowerMethod::kSketchPublished, 1e6, true},
          {"Csr", std::nullopt, 1e12, false, true},
          {"CsrSketch", PowerMethod::kSketch, 1e12, true, true}};
}

class ReportedErrorTest : public testing::TestWithParam<Road> {};

TEST_P(ReportedErrorTest, IsThatOfTheDefinition) {
  constexpr Index kTall = 120;  // for a sketch
  const Road road = GetParam();
  const PowerRegressionOptions options{.family = PowerFamily::kLeftGramPower,
                                       .exponent = 0,
                                       .method = road.method};
  for (double condition = 10.0; condition <= road.condition_max;
       condition *= 10.0) {
    const Matrix<double> a = MatrixOfCondition(kTall, kCols, condition);
    const auto csr = SparseOf<double>(a);
    for (const double noise : {1e-10, 1e-3, 1e1}) {
      const Matrix<double> b = RightSide(a, noise);
      const auto solved =
          road.sparse ? SolvePowerRegression(AnyCsrView(csr.view()), b.view(),
                                             options, {OneWorker()})
                      : SolvePower(a, b, options);
      ASSERT_TRUE(solved.ok()) << solved.status();
      const SolveReport& report = solved->report;
      SCOPED_TRACE(testing::Message()
                   << condition << ", " << noise << ": " << report.method);
      ASSERT_EQ(report.least_squares_backward_error.size(), 1U);
      const double bound = report.least_squares_backward_error[0];
      const double exact = LeastSquaresBackwardError(a, b, ColumnOf(solved->x));
      // What R has in error, and a sketch that keeps lengths to 1 -+ 1 / 2; of
      // x exact to the last bits the oracle knows what long double does.
      const double of_r = 1.0 + HouseholderBound(kCols, condition);
      const double of_sketch = road.sketched ? 3.0 : 1.0;
      const double of_oracle = static_cast<double>(kTall) * kLongDoubleRoundoff;
      EXPECT_LE(exact, bound * of_r + of_oracle);
      EXPECT_LE(bound, std::sqrt(2.0) * kRounding * of_r * of_sketch *
                           (exact + of_oracle));
      if (road.name != "Published") {
        EXPECT_LE(bound, Gamma(kTall));  // backward stable
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Roads, ReportedErrorTest, testing::ValuesIn(Roads()),
                         [](const auto& road) { return road.param.name; });

TEST(LeastSquaresReportTest, OfARidgeIsThatOfTheLongerMatrix) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 1e6);
  const Matrix<double> b = RightSide(a, 1e-2);
  const double ridge = 0x1p-20;
  Matrix<double> longer(kRows + kCols, kCols);
  Matrix<double> sides(kRows + kCols, 1);
  for (Index i = 0; i < kRows; ++i) {
    sides(i, 0) = b(i, 0);
    for (Index j = 0; j < kCols; ++j) longer(i, j) = a(i, j);
  }
  for (Index j = 0; j < kCols; ++j) longer(kRows + j, j) = 0x1p-10;
  for (const auto method : {PowerMethod::kGram, PowerMethod::kQr}) {
    const auto solved = SolvePower(a, b,
                                   {.family = PowerFamily::kLeftGramPower,
                                    .exponent = 0,
                                    .method = method,
                                    .ridge = ridge});
    ASSERT_TRUE(solved.ok()) << solved.status();
    const double bound = solved->report.least_squares_backward_error[0];
    const double exact =
        LeastSquaresBackwardError(longer, sides, ColumnOf(solved->x));
    EXPECT_LE(exact, bound * (1.0 + HouseholderBound(kCols, 1e3)));
    EXPECT_LE(bound, std::sqrt(2.0) * kRounding * exact *
                         (1.0 + HouseholderBound(kCols, 1e3)));
  }
}

TEST(LeastSquaresReportTest, OtherRegressionsHaveNone) {
  const Matrix<double> a = MatrixOfCondition(kRows, kCols, 10.0);
  for (const PowerFamily family :
       {PowerFamily::kGramPower, PowerFamily::kLeftGramPower}) {
    const Index length = family == PowerFamily::kGramPower ? kCols : kRows;
    const auto solved = SolvePower(a, NormalMatrix(length, 1, Seed{37}),
                                   {.family = family, .exponent = 1});
    ASSERT_TRUE(solved.ok());
    EXPECT_TRUE(solved->report.least_squares_backward_error.empty());
  }
}

}  // namespace
}  // namespace steelyard::test
