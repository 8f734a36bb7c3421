// What the server reserves against what is really allocated.
#include <algorithm>

#include "factor/factor.h"
#include "gtest/gtest.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

struct Shape {
  Index n;
  Index d;
};

class FactorCostTest : public testing::TestWithParam<Shape> {};

TEST_P(FactorCostTest, BoundsWhatIsAllocatedAndNotByFar) {
  const auto [n, d] = GetParam();
  const Matrix<double> a = test::NormalMatrix(n, d, {61});
  for (const int count : {1, 4}) {
    const Workers workers(count);
    const ComputeContext context{workers};
    const auto scales = ScanColumns(a.view(), "a", context);
    ASSERT_TRUE(scales.ok());
    const Cost cost = CostOfFactor(n, d, count);
    double most = 0.0;
    for (const FactorMethod method :
         {FactorMethod::kGram, FactorMethod::kQr, FactorMethod::kSvd}) {
      const test::AllocationPeak peak;
      {
        auto factor =
            FactorMatrix(a.view(), *scales, {.method = method}, context);
        ASSERT_TRUE(factor.ok());
        ASSERT_TRUE(AddSvd(&*factor, context).ok());
      }
      const auto bytes = static_cast<double>(peak.bytes());
      EXPECT_LE(bytes, cost.bytes) << static_cast<int>(method) << ", " << count;
      most = std::max(most, bytes);
    }
    const test::AllocationPeak repair;
    ASSERT_TRUE(
        FactorMatrix(a.view(), *scales, {.grade = FactorGrade::kQr}, context)
            .ok());
    EXPECT_LE(static_cast<double>(repair.bytes()), cost.bytes) << count;
    // Tiny shapes: the flat 64 KiB for strings, lists and alignment rule.
    EXPECT_GE(4.0 * most + 4.0 * 65536.0, cost.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, FactorCostTest,
                         testing::Values(Shape{1, 1}, Shape{3, 40},
                                         Shape{20000, 4}, Shape{5000, 64},
                                         Shape{700, 130}, Shape{2000, 400}));

TEST(FactorFlopsTest, FlopsCoverTheLadder) {
  // Gram, then QR: 4 n d^2 and more.
  EXPECT_GE(CostOfFactor(1000000, 128, 2).flops, 4e6 * 128 * 128);
}

}  // namespace
}  // namespace steelyard
