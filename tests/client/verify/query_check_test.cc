// The check must accept sets that hold and notice those that do not.
#include "client/verify/query_check.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

class QueryCheckTest : public testing::Test {
 protected:
  // Leverage scores on arrival (causal) or over all keys are what |x|^2 has;
  // at most 1 for any other function.
  client::UniversalSet SetOf(bool causal, double epsilon) const {
    client::UniversalSet set;
    set.keys = keys_.rows();
    set.epsilon = epsilon;
    set.relative_score_error = 1e-9;
    set.size_bound = static_cast<double>(keys_.rows());
    for (int64_t j = 0; j < keys_.rows(); ++j) {
      const double score =
          causal ? LeverageReference(keys_.First(j + 1)).scores()[j]
                 : reference_.scores()[j];
      if (score >= epsilon) {
        set.indices.push_back(j);
        set.sensitivities.push_back(std::min(1.0, score));
      } else {
        set.effective_epsilon = std::max(set.effective_epsilon, score);
      }
    }
    return set;
  }

  bool Held(const client::UniversalSetOptions& asked,
            const client::UniversalSet& set) const {
    return CheckByQueries(keys_, reference_, asked, set).verdict.held();
  }

  const tensor_files::StoredTensor tensor_ =
      test::TensorOf(test::UnevenKeys(80, 5, 5, Seed{5}));
  const Rows keys_ = HeadsOf(tensor_)[0];
  const LeverageReference reference_{keys_};
};

TEST_F(QueryCheckTest, TheSetOfPowerTwoHoldsAndASmallerOneDoesNot) {
  const client::UniversalSetOptions asked{.epsilon = 0.2};
  client::UniversalSet set = SetOf(false, 0.2);
  ASSERT_GE(set.indices.size(), 3u);
  EXPECT_TRUE(Held(asked, set));
  client::UniversalSet low = set;
  low.sensitivities[1] *= 0.9;
  EXPECT_FALSE(Held(asked, low));
  set.indices.erase(set.indices.begin());
  set.sensitivities.erase(set.sensitivities.begin());
  EXPECT_FALSE(Held(asked, set));
}

TEST_F(QueryCheckTest, CausalSetsAreHeldAgainstTheirPrefixes) {
  const client::UniversalSetOptions asked{.epsilon = 0.2, .causal = true};
  EXPECT_TRUE(Held(asked, SetOf(true, 0.2)));
  // The set of all keys lacks those that mattered when they came.
  EXPECT_FALSE(Held(asked, SetOf(false, 0.2)));
}

TEST_F(QueryCheckTest, OtherFunctions) {
  client::UniversalSet all = SetOf(false, 0.0);
  ASSERT_EQ(all.indices.size(), 80u);
  std::fill(all.sensitivities.begin(), all.sensitivities.end(), 1.0);
  const client::UniversalSetOptions cube{.epsilon = 0.2,
                                         .function = client::Power{3.0}};
  EXPECT_TRUE(Held(cube, all));
  const client::UniversalSetOptions sum{
      .epsilon = 0.2, .function = client::PowerSum{{{1.0, 1.0}, {1.0, 3.0}}}};
  EXPECT_TRUE(Held(sum, all));
  client::UniversalSet none = SetOf(false, 2.0);
  none.effective_epsilon = 0.2;
  EXPECT_FALSE(Held(cube, none));
  EXPECT_FALSE(Held(sum, none));
}

TEST_F(QueryCheckTest, RidgeLooksOnlyAtLargeQueries) {
  client::UniversalSet none = SetOf(false, 2.0);
  none.effective_epsilon = 0.01;
  EXPECT_FALSE(Held({.epsilon = 0.2}, none));
  EXPECT_TRUE(
      Held({.epsilon = 0.2, .ridge = client::RidgeVariant{1e9, 1.0}}, none));
}

TEST_F(QueryCheckTest, SoftmaxIsNotChecked) {
  const UniversalSetCheck check =
      CheckByQueries(keys_, reference_, {.function = client::Softmax{}}, {});
  EXPECT_EQ(check.verdict.findings[0].outcome, Outcome::kNotChecked);
}

}  // namespace
}  // namespace steelyard::verify
