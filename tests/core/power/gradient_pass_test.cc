#include "power/gradient_pass.h"

#include <gtest/gtest.h>

#include <cmath>

#include "linalg/column_products.h"
#include "tests/core/power/power_problems.h"
#include "tests/support/allocation_peak.h"

namespace steelyard::test {
namespace {

// Some rows in a last block, several slots, more than a tile of columns.
constexpr Index kRows = 700;
constexpr Index kCols = 37;
constexpr Index kSides = 50;

struct Sides {
  Matrix<double> a = NormalMatrix(kRows, kCols, Seed{3});
  Matrix<double> b = NormalMatrix(kRows, kSides, Seed{4});
  std::vector<int> exponents = std::vector<int>(kCols, 4);
  ScaledRightSides right{b.view(), std::vector<int>(kSides, 5)};

  ScaledMatrix scaled() const { return {a.view(), exponents}; }
};

TEST(GradientPassTest, ErrsByWhatItSays) {
  const Sides sides;

  const auto c = GradientPass(
      sides.scaled(), ColumnSlice(sides.right, 0, kSides), {OneWorker()});

  ASSERT_TRUE(c.ok());
  ASSERT_EQ(c->hi.cols(), kSides);
  for (const Index column : {0, 7, 24, 49}) {
    const auto at = static_cast<std::size_t>(column);
    double squares = 0.0;
    double length = 0.0;
    for (Index r = 0; r < kRows; ++r) {
      length += std::ldexp(sides.b(r, column) * sides.b(r, column), -10);
    }
    EXPECT_NEAR(c->squares[at], length, 0x1p-46 * length);
    for (Index i = 0; i < kCols; ++i) {
      __float128 exact = 0.0;
      for (Index r = 0; r < kRows; ++r) {
        exact += static_cast<__float128>(sides.a(r, i)) * sides.b(r, column);
      }
      exact *= 0x1p-9;
      const auto error =
          static_cast<double>(exact - c->hi(i, column) - c->lo(i, column));
      squares += error * error;
    }
    // A mean of 37 squares.
    const double error = std::sqrt(squares / kCols);
    EXPECT_LE(error, 2.0 * c->rounding[at]);
    EXPECT_GE(error, c->rounding[at] / 3.0);
  }
}

TEST(GradientPassTest, AColumnHasItsBitsAnywhereOnAnyNumberOfWorkers) {
  const Sides sides;
  const Workers three(3);
  const auto all = GradientPass(sides.scaled(),
                                ColumnSlice(sides.right, 0, kSides), {three});
  for (const Index column : {0, 23, 24, 49}) {
    const auto at = static_cast<std::size_t>(column);
    const auto alone = GradientPass(
        sides.scaled(), ColumnSlice(sides.right, column, 1), {OneWorker()});
    ASSERT_TRUE(all.ok() && alone.ok());
    for (Index i = 0; i < kCols; ++i) {
      EXPECT_EQ(alone->hi(i, 0), all->hi(i, column));
      EXPECT_EQ(alone->lo(i, 0), all->lo(i, column));
    }
    EXPECT_EQ(alone->squares[0], all->squares[at]);
    EXPECT_EQ(alone->rounding[0], all->rounding[at]);
  }
}

TEST(GradientPassTest, StopsAndKeepsToItsMemory) {
  const Sides sides;
  const ColumnSlice b(sides.right, 0, kSides);
  for (const int workers : {1, 3}) {
    const Workers team(workers);
    const AllocationPeak peak;
    ASSERT_TRUE(GradientPass(sides.scaled(), b, {team}).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()),
              BytesOfGradientPass(kRows, kCols, kSides, workers));
  }
  for (const std::int64_t look : {1, 4, 9}) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(GradientPass(sides.scaled(), b, {OneWorker(), source.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
}

TEST(GradientPassTest, TakesAsManyColumnsAsMemoryAllows) {
  const Sides sides;
  EXPECT_EQ(GradientColumns(kRows, kCols), kGradientColumnsMost);
  EXPECT_LT(GradientColumns(400000, 512), kGradientColumnsMost);
  EXPECT_EQ(GradientColumns(400000, 512) % kColumnGroup, 0);
}

}  // namespace
}  // namespace steelyard::test
