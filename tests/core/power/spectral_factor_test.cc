#include "power/spectral_factor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/power/power_problems.h"
#include "tests/support/bounds.h"

namespace steelyard::test {
namespace {

struct Made {
  Matrix<double> a;
  Factor factor;
  std::optional<SpectralFactor> spectral;
};

Made MadeOf(Matrix<double> a, double ridge = 0.0) {
  const ComputeContext context{OneWorker()};
  Made made{std::move(a), {}, {}};
  const auto scales = ScanColumns(made.a.view(), "a", context);
  made.factor =
      *FactorMatrix(made.a.view(), *scales,
                    {.method = FactorMethod::kQr, .ridge = ridge}, context);
  std::vector<double> diagonal;
  for (const int exponent : made.factor.scales.exponents) {
    if (ridge > 0.0) diagonal.push_back(std::ldexp(ridge, -2 * exponent));
  }
  auto spectral =
      MakeSpectralFactor({made.a.view(), made.factor.scales.exponents},
                         made.factor, diagonal, context);
  EXPECT_TRUE(spectral.ok()) << spectral.status();
  made.spectral = *std::move(spectral);
  return made;
}

// v_p'(A'A + l I) v_q in long double.
long double Form(const Made& made, Index p, Index q, long double ridge) {
  const SpectralFactor& spectral = *made.spectral;
  const Index d = made.a.cols();
  const double* const left = spectral.v_transposed.row(p);
  const double* const right = spectral.v_transposed.row(q);
  long double sum = 0.0L;
  for (Index i = 0; i < made.a.rows(); ++i) {
    long double x = 0.0L;
    long double y = 0.0L;
    for (Index c = 0; c < d; ++c) {
      x += static_cast<long double>(made.a(i, c)) * left[c];
      y += static_cast<long double>(made.a(i, c)) * right[c];
    }
    sum += x * y;
  }
  for (Index c = 0; c < d; ++c) {
    sum += ridge * left[c] * static_cast<long double>(right[c]);
  }
  return sum;
}

class SpectralFactorTest : public testing::TestWithParam<double> {};

// S (I + F) S = V'(A'A + l I)V, entry by entry, with what long double leaves of
// it: d + n roundings of 2^-64 in numbers up to |A v_p| |A v_q|.
TEST_P(SpectralFactorTest, MeasuresWhatTheFactorLacks) {
  constexpr Index kRows = 60;
  constexpr Index kCols = 9;
  const double condition = GetParam();
  for (const double ridge : {0.0, 1e-3}) {
    Matrix<double> a = MatrixOfCondition(kRows, kCols, condition);
    // Other units in one column.
    for (Index i = 0; i < kRows; ++i) a(i, 2) *= 8.0;
    const Made made = MadeOf(std::move(a), ridge);
    ASSERT_TRUE(made.spectral.has_value());
    const SpectralFactor& spectral = *made.spectral;
    ASSERT_EQ(spectral.measured, kCols);
    EXPECT_GE(spectral.s.back(), 0.99);
    EXPECT_LT(spectral.s.back(), 2.01);
    EXPECT_EQ(spectral.backward_errors.size(), std::size_t{kCols});
    EXPECT_GE(spectral.bytes(), 3 * 8 * kCols * kCols);
    for (Index p = 0; p < kCols; ++p) {
      for (Index q = 0; q < kCols; ++q) {
        const auto of_p = static_cast<long double>(std::ldexp(
            spectral.s[static_cast<std::size_t>(p)], spectral.shift));
        const auto of_q = static_cast<long double>(std::ldexp(
            spectral.s[static_cast<std::size_t>(q)], spectral.shift));
        long double f = Form(made, p, q, ridge) / (of_p * of_q);
        long double n = 0.0L;
        for (Index c = 0; c < kCols; ++c) {
          n += static_cast<long double>(spectral.v_transposed(p, c)) *
               spectral.v_transposed(q, c);
        }
        if (p == q) {
          f -= 1.0L;
          n -= 1.0L;
        }
        const double noise = 4.0 * static_cast<double>(kRows + kCols) * 0x1p-64;
        EXPECT_NEAR(spectral.f(p, q), static_cast<double>(f),
                    noise * condition * std::sqrt(8.0 * kCols))
            << p << ", " << q;
        EXPECT_NEAR(spectral.n(p, q), static_cast<double>(n), noise);
        // As large as a backward stable R and SVD leave it.
        EXPECT_LE(std::abs(spectral.f(p, q)),
                  HouseholderBound(kCols, 8.0 * condition));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Conditions, SpectralFactorTest,
                         testing::Values(1.0, 1e3, 1e6));

TEST(SpectralFactorTest, IsNotMadeWhereItWouldNotBeTrusted) {
  EXPECT_FALSE(MadeOf(MatrixOfCondition(60, 4, 10.0)).spectral.has_value());
  EXPECT_FALSE(MadeOf(MatrixOfCondition(60, 9, 1e9)).spectral.has_value());
  Matrix<double> far = MatrixOfCondition(60, 9, 10.0);
  for (Index i = 0; i < far.rows(); ++i) far(i, 1) *= 0x1p60;
  EXPECT_FALSE(MadeOf(far).spectral.has_value());
  Matrix<double> deficient = MatrixOfCondition(60, 9, 10.0);
  for (Index i = 0; i < deficient.rows(); ++i) {
    deficient(i, 1) = deficient(i, 5);
  }
  EXPECT_FALSE(MadeOf(deficient).spectral.has_value());
}

TEST(SpectralFactorTest, LargeMatricesAreMeasuredInTheDirectionsThatCount) {
  EXPECT_EQ(DirectionsToMeasure(100, 20), 20);
  EXPECT_EQ(DirectionsToMeasure(400000, 256), 32);
  EXPECT_EQ(DirectionsToMeasure(1 << 24, 32), 16);
}

TEST(SpectralFactorTest, StopsWhereItIsTold) {
  const Matrix<double> a = MatrixOfCondition(2000, 20, 10.0);
  const Made made = MadeOf(a);
  StopSource source;
  source.StopAtLook(3);
  const auto stopped =
      MakeSpectralFactor({a.view(), made.factor.scales.exponents}, made.factor,
                         {}, {OneWorker(), source.token()});
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
