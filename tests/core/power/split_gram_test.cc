#include "power/split_gram.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/power/power_problems.h"
#include "tests/support/allocation_peak.h"

namespace steelyard::test {
namespace {

// Some rows in a last block, several slots, several groups of columns.
constexpr Index kRows = 700;
constexpr Index kCols = 250;

TEST(SplitGramTest, ErrsByWhatItSays) {
  const Matrix<double> a = NormalMatrix(kRows, kCols, Seed{3});
  std::vector<int> exponents(kCols, 4);
  exponents[5] = 3;

  const auto gram = MakeSplitGram({a.view(), exponents}, {OneWorker()});

  ASSERT_TRUE(gram.ok());
  double squares = 0.0;
  int count = 0;
  for (Index i = 0; i < kCols; i += 13) {
    for (Index j = 0; j < kCols; j += 17) {
      __float128 exact = 0.0;
      for (Index r = 0; r < kRows; ++r) {
        exact += static_cast<__float128>(a(r, i)) * a(r, j);
      }
      exact *= std::ldexp(1.0, (i == 5 ? -3 : -4) + (j == 5 ? -3 : -4));
      const auto error =
          static_cast<double>(exact - gram->hi(i, j) - gram->lo(i, j));
      squares += error * error;
      ++count;
      EXPECT_EQ(gram->hi(i, j), gram->hi(j, i));
      // lo is what hi lost.
      EXPECT_EQ(gram->hi(i, j), gram->hi(i, j) + gram->lo(i, j));
    }
  }
  // A mean of 300 squares.
  const double error = std::sqrt(squares / count);
  EXPECT_LE(error, 1.5 * gram->rounding);
  EXPECT_GE(error, gram->rounding / 2.0);
}

TEST(SplitGramTest, BitsDoNotDependOnWorkers) {
  const Matrix<double> a = NormalMatrix(kRows, kCols, Seed{3});
  const Workers three(3);
  const std::vector<int> none(kCols, 0);
  const auto one = MakeSplitGram({a.view(), none}, {OneWorker()});
  const auto same = MakeSplitGram({a.view(), none}, {three});
  ASSERT_TRUE(one.ok() && same.ok());
  for (Index e = 0; e < one->hi.size(); ++e) {
    ASSERT_EQ(one->hi.data()[e], same->hi.data()[e]);
    ASSERT_EQ(one->lo.data()[e], same->lo.data()[e]);
  }
  EXPECT_EQ(one->rounding, same->rounding);
}

TEST(SplitGramTest, StopsAndKeepsToItsMemory) {
  const Matrix<double> a = NormalMatrix(kRows, kCols, Seed{3});
  const std::vector<int> none(kCols, 0);
  for (const int workers : {1, 3}) {
    const Workers team(workers);
    const AllocationPeak peak;
    ASSERT_TRUE(MakeSplitGram({a.view(), none}, {team}).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()),
              CostOfSplitGram(kRows, kCols, workers).bytes);
  }
  for (const std::int64_t look : {1, 4, 9}) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(MakeSplitGram({a.view(), none}, {OneWorker(), source.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard::test
