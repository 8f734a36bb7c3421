#include "softmax/page_kernel.h"

#include <cmath>
#include <limits>

#include "hwy/targets.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Runs `body` on every target that this processor has.
template <typename Body>
void OnEveryTarget(const Body& body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
}

TEST(PageKernelTest, LogitsAreProductsWhoeverIsScoredBeside) {
  constexpr Index kColumns = 11;
  const Matrix<double> queries = test::NormalMatrix(7, kColumns, Seed{1});
  const Matrix<double> wide = test::NormalMatrix(kColumns, kPageKeys, Seed{2});
  Matrix<float> narrow(kColumns, kPageKeys);
  for (Index i = 0; i < wide.size(); ++i) {
    narrow.data()[i] = static_cast<float>(wide.data()[i]);
  }
  std::vector<const double*> rows;
  for (Index i = 0; i < 7; ++i) rows.push_back(queries.row(i));
  OnEveryTarget([&] {
    Matrix<double> together(7, kPageKeys);
    Matrix<double> singles(7, kPageKeys);
    Matrix<double> alone(1, kPageKeys);
    PageLogits(rows.data(), 7, wide.data(), kColumns, together.data());
    PageLogits(rows.data(), 7, narrow.data(), kColumns, singles.data());
    for (Index i = 0; i < 7; ++i) {
      PageLogits(&rows[static_cast<std::size_t>(i)], 1, wide.data(), kColumns,
                 alone.data());
      for (Index l = 0; l < kPageKeys; ++l) {
        long double exact = 0.0L;
        long double exact_narrow = 0.0L;
        double size = 0.0;
        for (Index c = 0; c < kColumns; ++c) {
          const long double q = queries(i, c);
          exact += q * wide(c, l);
          exact_narrow += q * narrow(c, l);
          size += std::abs(queries(i, c) * wide(c, l));
        }
        const double bound = test::Gamma(kColumns + 1) * size;
        EXPECT_NEAR(together(i, l), static_cast<double>(exact), bound);
        EXPECT_NEAR(singles(i, l), static_cast<double>(exact_narrow), bound);
        EXPECT_EQ(alone(0, l), together(i, l));
      }
    }
  });
}

TEST(PageKernelTest, SumsOfExponentialsLeaveNothingOut) {
  for (const Index count : {0, 1, 5, 32, 67}) {
    Matrix<double> x = test::NormalMatrix(1, count + 1, Seed{3});
    for (Index j = 0; j < count; ++j) x(0, j) = 1e4 + 20.0 * x(0, j);
    if (count > 4) x(0, 3) = -kInfinity;
    OnEveryTarget([&] {
      const double largest = LargestOf(x.data(), count);
      long double sum = 0.0L;
      double most = -kInfinity;
      for (Index j = 0; j < count; ++j) {
        most = std::max(most, x(0, j));
        sum += std::exp(static_cast<long double>(x(0, j)) - largest);
      }
      EXPECT_EQ(largest, most);
      // Arguments beyond 745 give 0: (2 + 745) u a term.
      const double bound = test::Gamma(747 + count);
      EXPECT_NEAR(SumOfExponentials(x.data(), count, largest),
                  static_cast<double>(sum), bound * static_cast<double>(sum));
    });
  }
}

TEST(PageKernelTest, PageMassesAreTheSmallerOfTwoBounds) {
  constexpr Index kPages = 13;
  const Matrix<double> numbers = test::NormalMatrix(4, kPages, Seed{5});
  Matrix<double> upper(1, kPages), log_mass(1, kPages);
  Matrix<double> radii(1, kPages), spreads(1, kPages);
  long double expected = 0.0L;
  for (Index p = 0; p < kPages; ++p) {
    log_mass(0, p) = p == 3 || p == 12 ? -kInfinity : numbers(0, p);
    upper(0, p) = p == 12 ? -kInfinity : 1.5 + numbers(1, p);
    radii(0, p) = std::abs(numbers(2, p));
    spreads(0, p) = std::min(1.0, std::abs(numbers(3, p)));
    const long double b = spreads(0, p);
    const long double reach = 2.0L * radii(0, p);
    const long double t = log_mass(0, p) - 0.5L;
    const long double box = std::exp(upper(0, p) + 0.25L);
    const long double ball =
        std::exp(t) * std::max(0.0L, 1.0L - b - b * reach) +
        b * std::exp(t + reach);
    expected += p == 3 ? box : std::min(box, ball);
  }
  OnEveryTarget([&] {
    const double sum = SumOfPageMasses({.upper = upper.data(),
                                        .log_mass = log_mass.data(),
                                        .radii = radii.data(),
                                        .spreads = spreads.data(),
                                        .pages = kPages,
                                        .norm = 2.0,
                                        .upper_shift = 0.25,
                                        .mass_shift = -0.5});
    EXPECT_NEAR(sum, static_cast<double>(expected),
                static_cast<double>(expected) * test::Gamma(100));
  });
}

TEST(PageKernelTest, MasksTellWhoReaches) {
  Matrix<double> x = test::NormalMatrix(1, kPageKeys, Seed{4});
  x(0, 7) = 0.25;
  OnEveryTarget([&] {
    const std::uint32_t mask = AtLeast(x.data(), 0.25);
    for (Index l = 0; l < kPageKeys; ++l) {
      EXPECT_EQ((mask >> l & 1) != 0, x(0, l) >= 0.25) << l;
    }
  });
}

}  // namespace
}  // namespace steelyard
