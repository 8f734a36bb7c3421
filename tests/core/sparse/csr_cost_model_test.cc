#include "sparse/csr_cost_model.h"

#include <gtest/gtest.h>

namespace steelyard::test {
namespace {

// Every row with `entries` of them.
CsrCounts Even(Index n, Index d, double entries) {
  const auto rows = static_cast<double>(n);
  return {.n = n,
          .d = d,
          .nonzeros = rows * entries,
          .pairs = 0.5 * rows * entries * (entries + 1.0)};
}

constexpr double kSteps = 60.0;

TEST(CsrCostModelTest, FewEntriesARowAreWorkForTheGram) {
  for (const Index d : {100, 500, 2000, 8000}) {
    for (const double entries : {1.0, 2.5, 10.0}) {
      const CsrCounts a = Even(100 * d, d, entries);
      EXPECT_LT(WorkOfGram(a), WorkOfRows(a)) << d << ", " << entries;
      EXPECT_LT(WorkOfGram(a), WorkOfSketch(a, 4 * d, kSteps)) << d;
    }
  }
}

TEST(CsrCostModelTest, FullRowsAreWorkForAQr) {
  const CsrCounts a = Even(3000, 300, 300.0);
  EXPECT_LT(WorkOfRows(a), WorkOfGram(a));
}

TEST(CsrCostModelTest, ManyHalfFullRowsAreWorkForASketch) {
  const CsrCounts a = Even(400000, 4000, 200.0);
  const double sketch = WorkOfSketch(a, 4 * 4000, kSteps);
  EXPECT_LT(sketch, WorkOfGram(a));
  EXPECT_LT(sketch, WorkOfRows(a));
}

// A step costs what it reads, a sketch what it has.
TEST(CsrCostModelTest, GrowsWithEveryCount) {
  const CsrCounts a = Even(10000, 100, 5.0);
  EXPECT_LT(WorkOfSketch(a, 400, 10.0), WorkOfSketch(a, 400, 20.0));
  EXPECT_LT(WorkOfSketch(a, 400, 10.0), WorkOfSketch(a, 800, 10.0));
  EXPECT_LT(WorkOfGram(a), WorkOfGram(Even(10000, 100, 6.0)));
  EXPECT_LT(WorkOfGram(Even(10000, 1400, 50.0)),
            WorkOfGram(Even(10000, 1500, 50.0)));
  EXPECT_LT(WorkOfRows(a), WorkOfRows(Even(20000, 100, 5.0)));
}

}  // namespace
}  // namespace steelyard::test
