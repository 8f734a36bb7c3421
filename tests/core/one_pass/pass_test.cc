#include "one_pass/pass.h"

#include "tests/core/one_pass/streams.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;

// Small blocks wait until they are a panel; a long block takes them along.
TEST(PassTest, BlocksOfAnySizeEndInTheSamePanels) {
  const Matrix<double> keys = test::NormalMatrix(2000, 4, Seed{81});
  const OnePassOptions options{
      .columns = 4, .storage = StorageType::kFloat64, .epsilon = 0.1};
  std::vector<OnePassState> states;
  // No block reaches a panel: the panels are the same, and so are the bits.
  for (const Index block : {1, 3, 250}) {
    const OnePassUniversalSet pass =
        test::Stream(keys.view(), options, test::Blocks(2000, block));
    EXPECT_EQ(pass.keys(), 2000);
    states.push_back(*pass.Export(TestContext()));
  }
  test::ExpectEqualStates(states[1], states[0]);
  test::ExpectEqualStates(states[2], states[0]);
}

TEST(PassTest, AnswersCountTheKeysThatWait) {
  const Matrix<double> keys = test::NormalMatrix(10, 4, Seed{82});
  const OnePassUniversalSet pass =
      test::Stream(keys.view(), {.epsilon = 0.1}, test::Blocks(10, 1));
  EXPECT_EQ(pass.keys(), 10);
  EXPECT_EQ(test::Snapshot(pass).keys, 10);
  EXPECT_EQ(pass.Export(TestContext())->ranges[0].count, 10);
  EXPECT_GE(pass.bytes(), 10.0 * 4 * 8);
}

}  // namespace
}  // namespace steelyard
