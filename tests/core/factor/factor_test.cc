#include "factor/factor.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::KeysWithSpectrum;
using test::StoredMatrix;

absl::StatusOr<Factor> ScanAndFactor(const AnyMatrixView& a,
                                     const FactorOptions& options = {},
                                     int worker_count = 2) {
  const Workers workers(worker_count);
  const ComputeContext context{workers};
  const absl::StatusOr<ColumnScales> scales = ScanColumns(a, "a", context);
  if (!scales.ok()) return scales.status();
  return FactorMatrix(a, *scales, options, context);
}

bool SameBits(const Matrix<double>& a, const Matrix<double>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(),
                     static_cast<std::size_t>(a.size()) * sizeof(double)) == 0;
}

void ExpectUpperWithPositiveDiagonal(const Matrix<double>& r) {
  for (Index i = 0; i < r.rows(); ++i) {
    EXPECT_GE(r(i, i), 0.0);
    for (Index j = 0; j < i; ++j) EXPECT_EQ(r(i, j), 0.0);
  }
}

template <typename T>
class FactorTypedTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(FactorTypedTest, Storages);

TYPED_TEST(FactorTypedTest, CertifiedErrorBoundsTheTrueOne) {
  for (const double cond : {1.0, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12}) {
    const auto a = KeysWithSpectrum<TypeParam>(
        {.rows = 700, .columns = 12, .cond = cond, .seed = {21}});

    const auto factor = ScanAndFactor(a.view());

    ASSERT_TRUE(factor.ok()) << factor.status();
    ExpectUpperWithPositiveDiagonal(factor->r);
    EXPECT_EQ(factor->rank, 12);
    const auto error = static_cast<double>(test::LongDoubleGramError(
        a.view(), factor->scales.exponents, factor->r));
    EXPECT_LE(error, factor->gram_error + test::OracleBound(12, cond))
        << factor->description << ", cond " << cond;
    if (factor->method == FactorMethod::kGram) {
      EXPECT_LE(factor->delta, FactorOptions{}.delta_max);
    }
  }
}

TYPED_TEST(FactorTypedTest, ConditionIsThatOfTheScaledMatrix) {
  auto a = KeysWithSpectrum<TypeParam>(
      {.rows = 200, .columns = 9, .cond = 50.0, .seed = {22}});
  const auto factor = ScanAndFactor(a.view());
  ASSERT_TRUE(factor.ok());
  StoredMatrix<double> scaled(200, 9);
  for (Index i = 0; i < 200; ++i) {
    for (Index j = 0; j < 9; ++j) {
      scaled.Set(
          i, j,
          std::ldexp(a(i, j),
                     -factor->scales.exponents[static_cast<std::size_t>(j)]));
    }
  }
  const auto values = test::LongDoubleSingularValues(scaled.view());
  ASSERT_EQ(factor->singular_values.size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) {
    // The error of R'R moves singular values by half of it, relatively; the
    // SVD of R by a few u sigma_1.
    EXPECT_NEAR(factor->singular_values[i], static_cast<double>(values[i]),
                (factor->gram_error + 9.0 * test::Gamma(30)) *
                    static_cast<double>(values[0]));
  }
}

TYPED_TEST(FactorTypedTest, QrGradeIsCertifiedAsAQrAndBoundsTheTrueError) {
  const double ridge = 1e-9;
  for (const double l : {0.0, ridge}) {
    for (const double cond : {1.0, 1e3, 1e5, 3e6, 1e8, 1e12}) {
      const auto a = KeysWithSpectrum<TypeParam>(
          {.rows = 700, .columns = 12, .cond = cond, .seed = {23}});

      const auto factor =
          ScanAndFactor(a.view(), {.grade = FactorGrade::kQr, .ridge = l});

      ASSERT_TRUE(factor.ok()) << factor.status();
      ExpectUpperWithPositiveDiagonal(factor->r);
      EXPECT_EQ(factor->rank, 12);
      EXPECT_NE(factor->method, FactorMethod::kGram);
      if (cond <= 3e6) {
        EXPECT_EQ(factor->method, FactorMethod::kRepaired);
      }
      EXPECT_LE(factor->gram_error, test::HouseholderBound(12, 4.0 * cond));
      // With the rows of the ridge, as numbers of their own.
      StoredMatrix<double> whole(712, 12);
      for (Index i = 0; i < 700; ++i) {
        for (Index j = 0; j < 12; ++j) whole.Set(i, j, a(i, j));
      }
      for (Index j = 0; j < 12; ++j) whole.Set(700 + j, j, std::sqrt(l));
      const auto error = static_cast<double>(test::LongDoubleGramError(
          whole.view(), factor->scales.exponents, factor->r));
      EXPECT_LE(error, factor->gram_error + test::OracleBound(12, cond))
          << factor->description << ", cond " << cond << ", ridge " << l;
    }
  }
}

TEST(FactorLadderTest, QrGradeIsKeptWhereTheGramFails) {
  // Wide, rank deficient, equal and zero rows.
  auto a = KeysWithSpectrum<double>(
      {.rows = 300, .columns = 8, .cond = 10.0, .seed = {24}});
  for (Index i = 0; i < 300; ++i) {
    for (Index j = 0; j < 8; ++j) {
      if (j == 5) a.Set(i, j, a(i, 2) + a(i, 3));
      if (i % 3 == 1) a.Set(i, j, a(i - 1, j));
      if (i % 3 == 2) a.Set(i, j, 0.0);
    }
  }
  const auto deficient = ScanAndFactor(a.view(), {.grade = FactorGrade::kQr});
  ASSERT_TRUE(deficient.ok());
  EXPECT_EQ(deficient->rank, 7);
  EXPECT_EQ(deficient->method, FactorMethod::kQr);
  const Matrix<double> wide = test::NormalMatrix(5, 9, {25});
  const auto few = ScanAndFactor(wide.view(), {.grade = FactorGrade::kQr});
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->rank, 5);
}

TEST(FactorLadderTest, MethodFollowsTheCondition) {
  for (const double cond : {1.0, 1e3}) {
    const auto a = KeysWithSpectrum<double>(
        {.rows = 600, .columns = 16, .cond = cond, .seed = {1}});
    EXPECT_EQ(ScanAndFactor(a.view())->method, FactorMethod::kGram) << cond;
  }
  for (const double cond : {1e7, 1e8, 1e9, 1e10, 1e13}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto a = KeysWithSpectrum<double>(
          {.rows = 600, .columns = 16, .cond = cond, .seed = {seed}});
      EXPECT_EQ(ScanAndFactor(a.view())->method, FactorMethod::kQr) << cond;
    }
  }
}

TEST(FactorLadderTest, PowerRegressionsKeepAGramUpToTheirLimit) {
  const FactorOptions options{.gram_condition_max = 1e7};
  const auto factor_at = [&](double cond, std::uint64_t seed) {
    const auto a = KeysWithSpectrum<double>(
        {.rows = 600, .columns = 16, .cond = cond, .seed = {seed}});
    return ScanAndFactor(a.view(), options);
  };
  EXPECT_EQ(factor_at(1e6, 0)->method, FactorMethod::kGram);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(factor_at(1e9, seed)->method, FactorMethod::kQr);
  }
}

TEST(FactorLadderTest, MethodCanBeForced) {
  const auto a = KeysWithSpectrum<double>(
      {.rows = 100, .columns = 5, .cond = 10.0, .seed = {3}});
  EXPECT_EQ(ScanAndFactor(a.view(), {.method = FactorMethod::kQr})->method,
            FactorMethod::kQr);
  const auto svd = ScanAndFactor(a.view(), {.method = FactorMethod::kSvd});
  ASSERT_TRUE(svd.ok());
  EXPECT_EQ(svd->v_transposed.rows(), 5);
  EXPECT_EQ(svd->rank, 5);
  const auto steep = KeysWithSpectrum<double>(
      {.rows = 100, .columns = 5, .cond = 1e6, .seed = {3}});
  const auto gram =
      ScanAndFactor(steep.view(), {.method = FactorMethod::kGram});
  EXPECT_EQ(gram->method, FactorMethod::kGram);
  EXPECT_GT(gram->delta, 1e-3);
}

TEST(FactorBitsTest, DoNotDependOnTheWorkers) {
  for (const FactorMethod method : {FactorMethod::kGram, FactorMethod::kQr}) {
    for (const Index d : {24, 300}) {
      const Matrix<double> normal = test::NormalMatrix(8 * d + 700, d, {5});
      const auto one = ScanAndFactor(normal.view(), {.method = method}, 1);
      ASSERT_TRUE(one.ok());
      EXPECT_EQ(one->method, method);
      for (const int count : {2, 3, 4}) {
        const auto many =
            ScanAndFactor(normal.view(), {.method = method}, count);
        EXPECT_TRUE(SameBits(one->r, many->r)) << count << " workers";
        EXPECT_EQ(one->delta, many->delta);
        EXPECT_EQ(one->condition, many->condition);
      }
    }
  }
}

TEST(FactorBitsTest, ARepairDoesNotDependOnTheWorkers) {
  for (const Index d : {24, 530}) {
    const Matrix<double> normal = test::NormalMatrix(2 * d + 700, d, {26});
    const auto one =
        ScanAndFactor(normal.view(), {.grade = FactorGrade::kQr}, 1);
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(one->method, FactorMethod::kRepaired);
    for (const int count : {2, 4}) {
      const auto many =
          ScanAndFactor(normal.view(), {.grade = FactorGrade::kQr}, count);
      EXPECT_TRUE(SameBits(one->r, many->r)) << count << " workers";
    }
  }
}

TEST(FactorExtremesTest, ColumnScalesChangeNothing) {
  const auto a = KeysWithSpectrum<double>(
      {.rows = 50, .columns = 6, .cond = 20.0, .seed = {6}});
  // The last is 2^-1060: entries are subnormal, so one that is exact there.
  const int shifts[] = {0, 996, -996, 1020, -1000, 3};
  StoredMatrix<double> shifted(50, 6);
  for (Index i = 0; i < 50; ++i) {
    for (Index j = 0; j < 6; ++j) {
      shifted.Set(i, j, std::ldexp(a(i, j), shifts[j]));
    }
  }
  for (const FactorMethod method : {FactorMethod::kGram, FactorMethod::kQr}) {
    const auto plain = ScanAndFactor(a.view(), {.method = method});
    const auto extreme = ScanAndFactor(shifted.view(), {.method = method});
    ASSERT_TRUE(extreme.ok());
    EXPECT_TRUE(SameBits(plain->r, extreme->r));
    for (std::size_t j = 0; j < 6; ++j) {
      EXPECT_EQ(extreme->scales.exponents[j],
                plain->scales.exponents[j] + shifts[j]);
    }
  }
}

TEST(ScanAndFactorTest, IsTheScanAndTheFactorToTheBit) {
  const Workers workers(2);
  for (const int shift : {0, 40, -60}) {
    auto a = KeysWithSpectrum<float>(
        {.rows = 700, .columns = 6, .cond = 20.0, .seed = {14}});
    for (Index i = 0; i < 700; ++i) a.Set(i, 3, std::ldexp(a(i, 3), shift));
    const auto one = ScanAndFactorMatrix(a.view(), "a", {}, {workers});
    const auto two = ScanAndFactor(a.view());
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(one->method, FactorMethod::kGram);
    EXPECT_TRUE(SameBits(one->r, two->r));
    EXPECT_EQ(one->scales.exponents, two->scales.exponents);
    EXPECT_EQ(one->delta, two->delta);
  }
}

TEST(ScanAndFactorTest, ExtremeColumnsGoThroughTheScan) {
  const Workers workers(2);
  for (const double scale : {1e-300, 1e-140, 1e140, 1e300, 0.0}) {
    auto a = KeysWithSpectrum<double>(
        {.rows = 60, .columns = 5, .cond = 3.0, .seed = {15}});
    for (Index i = 0; i < 60; ++i) a.Set(i, 2, a(i, 2) * scale);
    const auto one = ScanAndFactorMatrix(a.view(), "a", {}, {workers});
    const auto two = ScanAndFactor(a.view());
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(one->rank, scale == 0.0 ? 4 : 5) << scale;
    EXPECT_TRUE(SameBits(one->r, two->r)) << scale;
    EXPECT_EQ(one->scales.exponents, two->scales.exponents);
  }
}

TEST(ScanAndFactorTest, NamesTheFirstNumberThatIsNotFinite) {
  const Workers workers(2);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity()}) {
    StoredMatrix<Half> a(600, 4);
    for (Index i = 0; i < 600; ++i) a.Set(i, i % 4, 1.0);
    a.Set(599, 0, bad);
    a.Set(511, 2, bad);
    const auto wanted = ScanColumns(a.view(), "keys", {workers}, 1000).status();
    ASSERT_EQ(wanted.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(
        ScanAndFactorMatrix(a.view(), "keys", {}, {workers}, 1000).status(),
        wanted);
  }
}

TEST(FactorRankTest, DeficientMatricesAreFoundWithTheirNullSpace) {
  const std::vector<double> values = {1.0, 0.5, 0.25, 0.0, 0.0};
  const Matrix<double> a = test::MatrixWithSingularValues(80, values, {7});

  const auto factor = ScanAndFactor(a.view());

  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 3);
  EXPECT_EQ(factor->method, FactorMethod::kQr);
  EXPECT_EQ(factor->gram_error, std::numeric_limits<double>::infinity());
  // The product U S V' is rounded to about u; so is what should be zero.
  EXPECT_LE(factor->rank_gap, 1e3 * test::Gamma(80));
  ASSERT_EQ(factor->v_transposed.rows(), 5);
  // R v = 0 for the vectors past the rank.
  for (Index k = factor->rank; k < 5; ++k) {
    for (Index i = 0; i < 5; ++i) {
      double sum = 0.0;
      for (Index j = 0; j < 5; ++j) {
        sum += factor->r(i, j) * factor->v_transposed(k, j);
      }
      EXPECT_NEAR(sum, 0.0, 2.0 * factor->frobenius_norm * test::Gamma(80));
    }
  }
  // Scores by S_r^-1 V_r' against the oracle.
  EXPECT_LT(factor->delta, 1e-9);
  const auto exact = test::LongDoubleLeverages(a.view(), 3);
  Matrix<double> row(1, 5);
  for (Index i = 0; i < 80; ++i) {
    LoadScaledRows(a.view(), i, 1, factor->scales.exponents, row.data());
    double score = 0.0;
    for (Index k = 0; k < factor->rank; ++k) {
      double dot = 0.0;
      for (Index j = 0; j < 5; ++j)
        dot += row(0, j) * factor->v_transposed(k, j);
      const double x =
          dot / factor->singular_values[static_cast<std::size_t>(k)];
      score += x * x;
    }
    const auto tau = static_cast<double>(exact[static_cast<std::size_t>(i)]);
    EXPECT_NEAR(score, tau, factor->delta * tau + test::Gamma(80));
  }
}

TEST(FactorRankTest, ZeroAndDuplicateColumnsCountOnce) {
  Matrix<double> a = test::NormalMatrix(40, 5, {8});
  for (Index i = 0; i < 40; ++i) {
    a(i, 2) = 0.0;
    a(i, 4) = a(i, 1);
  }
  const auto factor = ScanAndFactor(a.view());
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 3);
  EXPECT_EQ(factor->scales.exponents[2], 0);
}

TEST(FactorRankTest, AllZerosHaveRankZero) {
  const Matrix<double> a(10, 4);
  const auto factor = ScanAndFactor(a.view());
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 0);
  EXPECT_EQ(factor->condition, 0.0);
  EXPECT_EQ(factor->frobenius_norm, 0.0);
}

TEST(FactorRankTest, FewerRowsThanColumns) {
  for (const Index n : {1, 3, 7}) {
    const Matrix<double> a = test::NormalMatrix(n, 8, {9});
    const auto factor = ScanAndFactor(a.view());
    ASSERT_TRUE(factor.ok());
    EXPECT_EQ(factor->rank, n);
    ExpectUpperWithPositiveDiagonal(factor->r);
    // Rows past the rank hold rounding only.
    EXPECT_LE(factor->rank_gap, test::HouseholderBound(8, factor->condition));
    // R'R = A'A, entry by entry.
    for (Index j = 0; j < 8; ++j) {
      for (Index k = 0; k < 8; ++k) {
        double gram = 0.0;
        for (Index i = 0; i < n; ++i) {
          gram += std::ldexp(
              a(i, j) * a(i, k),
              -factor->scales.exponents[static_cast<std::size_t>(j)] -
                  factor->scales.exponents[static_cast<std::size_t>(k)]);
        }
        for (Index i = 0; i < 8; ++i) {
          gram -= factor->r(i, j) * factor->r(i, k);
        }
        // Columns are shorter than 2; 40 sqrt(d) u as in N4.
        EXPECT_NEAR(gram, 0.0, 4.0 * test::HouseholderBound(8, 1.0));
      }
    }
  }
}

TEST(FactorRidgeTest, IsTheFactorOfTheLongerMatrix) {
  const auto a = KeysWithSpectrum<double>(
      {.rows = 60, .columns = 4, .cond = 1e3, .seed = {10}});
  for (const double ridge : {1e-4, 1.0, 1e6}) {
    StoredMatrix<double> longer(64, 4);
    for (Index i = 0; i < 60; ++i) {
      for (Index j = 0; j < 4; ++j) longer.Set(i, j, a(i, j));
    }
    for (Index j = 0; j < 4; ++j) longer.Set(60 + j, j, std::sqrt(ridge));
    for (const FactorMethod method : {FactorMethod::kGram, FactorMethod::kQr}) {
      const auto factor =
          ScanAndFactor(a.view(), {.method = method, .ridge = ridge});
      ASSERT_TRUE(factor.ok());
      const auto error = static_cast<double>(test::LongDoubleGramError(
          longer.view(), factor->scales.exponents, factor->r));
      // sqrt(ridge) is rounded once in both.
      EXPECT_LE(error, factor->gram_error + test::Gamma(2)) << ridge;
    }
  }
}

TEST(FactorRidgeTest, MakesEveryMatrixFullAndNeverOverflows) {
  StoredMatrix<double> tiny(3, 5);
  for (Index j = 0; j < 4; ++j) tiny.Set(0, j, 1e-300);
  const auto factor = ScanAndFactor(tiny.view(), {.ridge = 1e8});
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 5);
  for (Index j = 0; j < 5; ++j) {
    const auto column = static_cast<std::size_t>(j);
    EXPECT_NEAR(std::ldexp(factor->r(j, j), factor->scales.exponents[column]),
                1e4, 1e4 * test::Gamma(8));
  }
}

TEST(FactorRidgeTest, FillsAZeroColumnHoweverSmall) {
  Matrix<double> a = test::NormalMatrix(30, 3, {13});
  for (Index i = 0; i < 30; ++i) a(i, 1) = 0.0;
  for (const FactorMethod method : {FactorMethod::kGram, FactorMethod::kQr}) {
    const auto factor =
        ScanAndFactor(a.view(), {.method = method, .ridge = 0x1p-160});
    ASSERT_TRUE(factor.ok());
    EXPECT_EQ(factor->method, method);
    EXPECT_EQ(factor->rank, 3);
    EXPECT_EQ(factor->scales.exponents[1], -80);
    EXPECT_EQ(factor->r(1, 1), 1.0);
  }
}

TEST(FactorStopTest, EndsAtTheLookThatSaysStop) {
  const Workers workers(2);
  const Matrix<double> a = test::NormalMatrix(3000, 140, {11});
  const auto scales = ScanColumns(a.view(), "a", {workers});
  ASSERT_TRUE(scales.ok());
  for (const FactorMethod method :
       {FactorMethod::kGram, FactorMethod::kQr, FactorMethod::kSvd}) {
    StopSource whole;
    ASSERT_TRUE(FactorMatrix(a.view(), *scales, {.method = method},
                             {workers, whole.token()})
                    .ok());
    const std::int64_t looks = whole.token().looks();
    // More than one look for every 2^23 flops.
    EXPECT_GT(looks, 3000 * 140 * 140 / (1 << 23));
    for (const std::int64_t look : {std::int64_t{1}, looks / 2, looks}) {
      StopSource source;
      source.StopAtLook(look);
      const auto factor = FactorMatrix(a.view(), *scales, {.method = method},
                                       {workers, source.token()});
      EXPECT_EQ(factor.status().code(), absl::StatusCode::kCancelled);
      // A block starts only after a look that allows it.
      EXPECT_EQ(source.token().looks() - source.token().looks_after_stop(),
                look - 1);
    }
    StopSource draining;
    draining.RequestStop(StopReason::kDraining);
    EXPECT_EQ(FactorMatrix(a.view(), *scales, {.method = method},
                           {workers, draining.token()})
                  .status()
                  .code(),
              absl::StatusCode::kAborted);
  }
}

TEST(FactorLargeTest, ConditionOfALargeFactorIsAnEstimateFromBelow) {
  const auto a = KeysWithSpectrum<double>(
      {.rows = 300, .columns = 150, .cond = 1e3, .seed = {12}});
  const Workers workers(2);
  auto factor = ScanAndFactor(a.view());
  ASSERT_TRUE(factor.ok());
  EXPECT_TRUE(factor->singular_values.empty());
  ASSERT_TRUE(AddSvd(&*factor, {workers}).ok());
  ASSERT_EQ(factor->singular_values.size(), 150U);
  const double condition =
      factor->singular_values.front() / factor->singular_values.back();
  EXPECT_LE(factor->condition, condition * (1.0 + test::Gamma(150 * 150)));
  EXPECT_GE(factor->condition, condition / 2.0);
}

}  // namespace
}  // namespace steelyard
