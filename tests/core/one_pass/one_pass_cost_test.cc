// What the server reserves against what is really allocated.
#include "gtest/gtest.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

struct Shape {
  Index d;
  double epsilon;
  Index block;
};

class OnePassCostTest : public testing::TestWithParam<Shape> {};

TEST_P(OnePassCostTest, BoundsWhatIsHeldAndWhatACallTakes) {
  const auto [d, epsilon, block] = GetParam();
  const Matrix<double> keys = test::NormalMatrix(12000, d, Seed{111});
  const OnePassOptions options{
      .columns = d, .storage = StorageType::kFloat64, .epsilon = epsilon};
  const double held = BytesOfOnePass(options, block);
  for (const int count : {1, 4}) {
    const Workers workers(count);
    const ComputeContext context{workers};
    const Cost cost = CostOfOnePass(options, block, count);
    const test::AllocationPeak peak;
    OnePassUniversalSet pass = test::NewPass(options);
    for (const KeyRange& part : test::Blocks(12000, block)) {
      ASSERT_TRUE(
          pass.Add(SubView(keys.view(), part.first, part.count), context).ok());
      ASSERT_LE(pass.bytes(), held);
    }
    ASSERT_TRUE(pass.Snapshot(context).ok());
    ASSERT_TRUE(pass.Export(context).ok());
    EXPECT_LE(static_cast<double>(peak.bytes()), held + cost.bytes);
    EXPECT_GE(cost.flops, 2.0 * static_cast<double>(block * d * d));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, OnePassCostTest,
                         testing::Values(Shape{1, 0.5, 100}, Shape{4, 0.01, 1},
                                         Shape{16, 0.05, 5000},
                                         Shape{32, 0.005, 12000}));

}  // namespace
}  // namespace steelyard
