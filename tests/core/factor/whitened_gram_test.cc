#include "factor/whitened_gram.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

struct Shape {
  Index n;
  Index d;
};

// Upper triangle of entries near 1, twice that on the diagonal.
Matrix<double> Upper(Index d) {
  Matrix<double> s = test::NormalMatrix(d, d, {62});
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < i; ++j) s(i, j) = 0.0;
    s(i, i) += 2.0;
  }
  return s;
}

class WhitenedGramTest : public testing::TestWithParam<Shape> {};

TEST_P(WhitenedGramTest, EntriesAreWithinTheComponentwiseBound) {
  const auto [n, d] = GetParam();
  const Workers workers(2);
  const auto a = test::Stored<float>(test::NormalMatrix(n, d, {61}));
  const Matrix<double> s = Upper(d);
  const std::vector<int> exponents(static_cast<std::size_t>(d), 1);

  const auto gram = WhitenedGram(RowLoader(a.view(), exponents), s, {workers});

  ASSERT_TRUE(gram.ok());
  // Columns 0, some and the last.
  std::vector<Index> columns{0, d / 3, d / 2, d - 1};
  Matrix<long double> x(n, 4);
  Matrix<long double> size(n, 4);
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < 4; ++c) {
      const Index j = columns[static_cast<std::size_t>(c)];
      for (Index k = 0; k <= j; ++k) {
        const long double term =
            std::ldexp(static_cast<long double>(a(i, k)), -1) * s(k, j);
        x(i, c) += term;
        size(i, c) += std::abs(term);
      }
    }
  }
  for (Index p = 0; p < 4; ++p) {
    for (Index q = p; q < 4; ++q) {
      long double sum = 0.0L;
      long double absolute = 0.0L;
      for (Index i = 0; i < n; ++i) {
        sum += x(i, p) * x(i, q);
        absolute += size(i, p) * size(i, q);
      }
      // d roundings in X, twice; a plain sum over one panel.
      const Index i = columns[static_cast<std::size_t>(p)];
      const Index j = columns[static_cast<std::size_t>(q)];
      EXPECT_NEAR(static_cast<double>((*gram)(i, j) - sum), 0.0,
                  test::Gamma(2 * d + 256 + 4) * static_cast<double>(absolute));
      if (i < j) {
        EXPECT_EQ((*gram)(j, i), 0.0);
      }
    }
  }
}

TEST_P(WhitenedGramTest, BitsDoNotDependOnTheWorkers) {
  const auto [n, d] = GetParam();
  const Matrix<double> a = test::NormalMatrix(n, d, {63});
  const Matrix<double> s = Upper(d);
  Matrix<double> first;
  for (const int count : {1, 2, 4}) {
    const Workers workers(count);
    auto gram = WhitenedGram(RowLoader(a.view(), {}), s, {workers});
    ASSERT_TRUE(gram.ok());
    if (count == 1) first = *gram;
    EXPECT_EQ(std::memcmp(first.data(), gram->data(),
                          static_cast<std::size_t>(d * d) * sizeof(double)),
              0)
        << count << " workers";
  }
}

// One panel, many slots, partial panels, several tiles.
INSTANTIATE_TEST_SUITE_P(Shapes, WhitenedGramTest,
                         testing::Values(Shape{1, 1}, Shape{3, 20},
                                         Shape{512, 8}, Shape{5001, 8},
                                         Shape{2500, 65}, Shape{300, 520}));

TEST(WhitenedGramStopTest, StopsBetweenPanels) {
  const Workers workers(1);
  const Matrix<double> a = test::NormalMatrix(5000, 4, {64});
  StopSource source;
  source.StopAtLook(3);
  const auto gram = WhitenedGram(RowLoader(a.view(), {}), Upper(4),
                                 ComputeContext{workers, source.token(), {}});
  EXPECT_EQ(gram.status().code(), absl::StatusCode::kCancelled);
  // Of 20 panels: each of the two slots may look once more, and its caller.
  EXPECT_LE(source.token().looks_after_stop(), 4);
}

}  // namespace
}  // namespace steelyard
