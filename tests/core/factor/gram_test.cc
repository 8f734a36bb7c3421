#include "factor/gram.h"

#include <cmath>
#include <cstring>
#include <utility>
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

class GramTest : public testing::TestWithParam<Shape> {};

TEST_P(GramTest, EntriesAreWithinTheComponentwiseBound) {
  const auto [n, d] = GetParam();
  const Workers workers(2);
  const Matrix<double> a = test::NormalMatrix(n, d, {41});

  const auto gram = UpperGram(RowLoader(a.view(), {}), {workers});

  ASSERT_TRUE(gram.ok());
  for (Index i = 0; i < d; i += 1 + d / 30) {
    for (Index j = 0; j < d; j += 1 + d / 30) {
      if (j < i) {
        EXPECT_EQ((*gram)(i, j), 0.0);
        continue;
      }
      long double sum = 0.0L;
      long double size = 0.0L;
      for (Index k = 0; k < n; ++k) {
        const long double term = static_cast<long double>(a(k, i)) * a(k, j);
        sum += term;
        size += std::abs(term);
      }
      // A plain sum over one panel, then compensated: gram.h.
      EXPECT_NEAR(
          static_cast<double>(static_cast<long double>((*gram)(i, j)) - sum),
          0.0, test::Gamma(GramPanelRows(n) + 2) * static_cast<double>(size));
    }
  }
}

TEST_P(GramTest, BitsDoNotDependOnTheWorkers) {
  const auto [n, d] = GetParam();
  const Matrix<double> a = test::NormalMatrix(n, d, {42});
  const RowLoader rows(a.view(), {});
  // One set of workers at a time: the smallest of those alive limits TBB.
  std::vector<Matrix<double>> results;
  for (const int count : {1, 2, 3, 4}) {
    const Workers workers(count);
    auto gram = UpperGram(rows, {workers});
    ASSERT_TRUE(gram.ok());
    results.push_back(*std::move(gram));
    EXPECT_EQ(std::memcmp(results.front().data(), results.back().data(),
                          static_cast<std::size_t>(d * d) * sizeof(double)),
              0)
        << count << " workers";
  }
}

// One panel, many slots, partial panels, several tiles.
INSTANTIATE_TEST_SUITE_P(Shapes, GramTest,
                         testing::Values(Shape{1, 1}, Shape{1, 20},
                                         Shape{512, 8}, Shape{5001, 8},
                                         Shape{40000, 5}, Shape{3000, 129},
                                         Shape{900, 300}, Shape{300, 520},
                                         Shape{257, 257}, Shape{255, 31}));

TEST(GramSumTest, ManyRowsDoNotDrift) {
  // 200,000 equal rows: every plain sum would round the same way.
  constexpr Index kRows = 200000;
  test::StoredMatrix<float> a(kRows, 1);
  for (Index i = 0; i < kRows; ++i) a.Set(i, 0, 1.1);
  const Workers workers(2);
  const auto gram = UpperGram(RowLoader(a.view(), {}), {workers});
  ASSERT_TRUE(gram.ok());
  const double wanted =
      static_cast<double>(static_cast<long double>(kRows) * a(0, 0) * a(0, 0));
  EXPECT_NEAR((*gram)(0, 0), wanted,
              wanted * test::Gamma(GramPanelRows(kRows) + 2));
}

}  // namespace
}  // namespace steelyard
