#include "power/power_ladder.h"

#include <gmock/gmock.h>

#include <cmath>

#include "power/power_factor.h"
#include "steelyard/prepared_matrix.h"
#include "tests/core/power/power_problems.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

// n d^2 of these is just what a sketch pays for.
constexpr Index kTall = 80000;
constexpr Index kWidth = 160;

absl::StatusOr<LadderStep> Climb(const Matrix<double>& a,
                                 const PowerRegressionOptions& options,
                                 FactorOptions factor_options) {
  const Workers workers(2);
  const auto scales = ScanColumns(a.view(), "a", {workers});
  if (!scales.ok()) return scales.status();
  factor_options.gram_condition_max = 1e7;
  return ClimbPowerLadder(a.view(), *scales, factor_options, options,
                          {workers});
}

// Normal entries; columns fall to 1 / condition and are mixed by a reflection.
Matrix<double> TallOf(double condition) {
  Matrix<double> a = NormalMatrix(kTall, kWidth, Seed{21});
  const double mean = 1.0 / std::sqrt(static_cast<double>(kWidth));
  for (Index i = 0; i < kTall; ++i) {
    double product = 0.0;
    for (Index c = 0; c < kWidth; ++c) {
      a(i, c) *= std::pow(condition, -static_cast<double>(c) / (kWidth - 1.0));
      product += a(i, c) * mean;
    }
    for (Index c = 0; c < kWidth; ++c) a(i, c) -= 2.0 * product * mean;
  }
  return a;
}

TEST(PowerLadderTest, SmallMatricesGoByGramOrHouseholder) {
  for (const double condition : {1e3, 1e9}) {
    const Matrix<double> a = MatrixOfCondition(500, 6, condition);
    const auto step = Climb(a, {}, {});
    ASSERT_TRUE(step.ok());
    EXPECT_FALSE(step->sketched);
    EXPECT_FALSE(step->preconditioner);
    EXPECT_EQ(step->factor.method,
              condition < 1e7 ? FactorMethod::kGram : FactorMethod::kQr);
  }
}

TEST(PowerLadderTest, IllConditionedTallOnesByARepairedSketch) {
  const Matrix<double> good = TallOf(10.0);
  const auto gram = Climb(good, {}, {});
  ASSERT_TRUE(gram.ok());
  EXPECT_EQ(gram->factor.method, FactorMethod::kGram);
  const Matrix<double> bad = TallOf(1e11);

  const auto step = Climb(bad, {}, {});

  ASSERT_TRUE(step.ok());
  EXPECT_TRUE(step->sketched);
  EXPECT_FALSE(step->preconditioner);
  EXPECT_EQ(step->factor.method, FactorMethod::kRepaired);
  // As good as R of a QR: their ratio has singular values near 1.
  const auto qr = Climb(bad, {}, {.method = FactorMethod::kQr});
  ASSERT_TRUE(qr.ok());
  const double f = step->factor.gram_error + qr->factor.gram_error;
  EXPECT_NEAR(step->factor.inverse_frobenius_norm,
              qr->factor.inverse_frobenius_norm,
              f * qr->factor.inverse_frobenius_norm);
}

TEST(PowerLadderTest, SketchStepLeavesBadRanksToOthers) {
  Matrix<double> a = NormalMatrix(300, 6, Seed{22});
  const auto step_of = [&] {
    const auto scales = ScanColumns(a.view(), "a", {OneWorker()});
    return SketchStep(AnyMatrixView(a.view()), *scales, {}, {OneWorker()});
  };
  const auto full = step_of();
  ASSERT_TRUE(full.ok());
  ASSERT_TRUE(full->has_value());
  EXPECT_TRUE((*full)->preconditioner);
  for (Index i = 0; i < 300; ++i) a(i, 2) = a(i, 0) + a(i, 1);
  const auto deficient = step_of();
  ASSERT_TRUE(deficient.ok());
  EXPECT_FALSE(deficient->has_value());
}

// Every row with `entries` of them.
CsrCounts CountsFor(Index n, Index d, double entries) {
  const auto rows = static_cast<double>(n);
  return {.n = n,
          .d = d,
          .nonzeros = rows * entries,
          .pairs = 0.5 * rows * entries * (entries + 1.0)};
}

TEST(SparseLadderTest, TheCostModelChoosesTheSketchWhereTheGramIsTooMuch) {
  const PowerRegressionOptions least_squares{
      .family = PowerFamily::kLeftGramPower, .exponent = 0};
  // The target's matrix, one-hot columns, text: pairs are few.
  for (const CsrCounts& few :
       {CountsFor(1000000, 500, 2.5), CountsFor(327346, 1000, 8.0),
        CountsFor(100000, 8000, 40.0)}) {
    EXPECT_FALSE(SketchIsLeast(few, least_squares)) << few.d;
  }
  for (const CsrCounts& many :
       {CountsFor(200000, 2000, 200.0), CountsFor(400000, 4000, 200.0),
        CountsFor(1000000, 1000, 300.0)}) {
    EXPECT_TRUE(SketchIsLeast(many, least_squares)) << many.d;
  }
  // Too few rows for a sketch, 106 bits.
  EXPECT_FALSE(SketchIsLeast(CountsFor(10000, 4000, 200.0), least_squares));
  PowerRegressionOptions extended = least_squares;
  extended.extended_output = true;
  EXPECT_FALSE(SketchIsLeast(CountsFor(400000, 4000, 200.0), extended));
  // R serves every level, steps are paid by each of them.
  PowerRegressionOptions power = least_squares;
  power.exponent = 64;
  EXPECT_FALSE(SketchIsLeast(CountsFor(200000, 2000, 200.0), power));
}

// Some full rows among short ones: their pairs are most of the work.
SparseMatrix<double> SomeFullRows() {
  constexpr Index kFull = 15;  // every so many
  Matrix<double> a = NormalMatrix(10000, 300, Seed{23});
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index c = 0; i % kFull != 0 && c < a.cols(); ++c) {
      if (c != i % a.cols()) a(i, c) = 0.0;
    }
  }
  return SparseOf<double>(a);
}

TEST(SparseLadderTest, TakesTheSketchOnceAndRForManySolves) {
  const auto csr = SomeFullRows();
  const AnyCsrView a = csr.view();
  const Workers workers(2);
  PowerRegressionOptions options{.family = PowerFamily::kLeftGramPower,
                                 .exponent = 0};
  const Matrix<double> b = NormalMatrix(csr.rows, 2, Seed{24});

  const auto once = SolvePowerRegression(a, b.view(), options, {workers});
  const auto prepared = PrepareMatrix(a, options, {workers});
  options.method = PowerMethod::kQr;
  const auto by_r = SolvePowerRegression(a, b.view(), options, {workers});

  ASSERT_TRUE(once.ok() && prepared.ok() && by_r.ok()) << once.status();
  EXPECT_THAT(once->report.method, testing::HasSubstr("sketch"));
  EXPECT_THAT(once->report.method, testing::HasSubstr("high probability"));
  EXPECT_FALSE(prepared->factor().sketched);
  for (Index c = 0; c < b.cols(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    EXPECT_TRUE(once->report.converged[at]);
    double square = 0.0;
    double size = 0.0;
    for (Index i = 0; i < csr.cols; ++i) {
      square += std::pow(once->x(i, c) - by_r->x(i, c), 2.0);
      size += std::pow(by_r->x(i, c), 2.0);
    }
    EXPECT_LE(std::sqrt(square / size), 2.0 * (once->report.forward_error[at] +
                                               by_r->report.forward_error[at]) +
                                            Gamma(8));
  }
}

TEST(SparseLadderTest, TheCostCoversTheMemoryOfTheSketch) {
  const auto csr = SomeFullRows();
  const PowerRegressionOptions options{.family = PowerFamily::kLeftGramPower,
                                       .exponent = 0};
  const Matrix<double> b = NormalMatrix(csr.rows, 1, Seed{25});
  const PowerShape shape{.n = csr.rows,
                         .d = csr.cols,
                         .k = 1,
                         .nonzeros = static_cast<Index>(csr.values.size())};
  const AllocationPeak peak;
  ASSERT_TRUE(SolvePowerRegression(AnyCsrView(csr.view()), b.view(), options,
                                   {OneWorker()})
                  .ok());
  EXPECT_LE(static_cast<double>(peak.bytes()),
            CostOfPowerRegression(shape, options, 1).bytes);
}

}  // namespace
}  // namespace steelyard::test
