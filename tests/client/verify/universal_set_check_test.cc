// The check must accept a right answer and notice every kind of wrong one.
#include "client/verify/universal_set_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

constexpr double kEpsilon = 0.2;

// The right answer, from the scores themselves.
client::UniversalSet RightAnswer(const LeverageReference& reference) {
  client::UniversalSet set;
  set.keys = reference.scores().size();
  set.rank = reference.rank();
  set.epsilon = kEpsilon;
  set.exact = true;
  set.relative_score_error = 1e-12;
  set.size_bound = static_cast<double>(set.rank) / kEpsilon;
  for (Eigen::Index j = 0; j < reference.scores().size(); ++j) {
    const double score = reference.scores()[j];
    if (score >= kEpsilon) {
      set.indices.push_back(j);
      set.sensitivities.push_back(score);
    } else {
      set.effective_epsilon = std::max(set.effective_epsilon,
                                       score * (1 + set.relative_score_error));
    }
  }
  return set;
}

class UniversalSetCheckTest : public testing::Test {
 protected:
  UniversalSetCheck Run(const client::UniversalSet& set,
                        const client::UniversalSetOptions& asked = {
                            .epsilon = kEpsilon}) const {
    return CheckUniversalSet(keys_, reference_, asked, set);
  }

  // The first rule that `change` breaks.
  std::string BrokenBy(
      const std::function<void(client::UniversalSet*)>& change) const {
    client::UniversalSet set = right_;
    change(&set);
    for (const Finding& finding : Run(set).verdict.findings) {
      if (finding.outcome == Outcome::kBroken) return finding.rule;
    }
    return "";
  }

  const tensor_files::StoredTensor tensor_ =
      test::TensorOf(test::UnevenKeys(200, 8, 5, Seed{21}));
  const Rows keys_ = HeadsOf(tensor_)[0];
  const LeverageReference reference_{keys_};
  const client::UniversalSet right_ = RightAnswer(reference_);
};

TEST_F(UniversalSetCheckTest, TheRightAnswerHolds) {
  ASSERT_GE(right_.indices.size(), 3u);
  const UniversalSetCheck check = Run(right_);
  for (const Finding& finding : check.verdict.findings) {
    EXPECT_EQ(finding.outcome, Outcome::kHeld)
        << finding.rule << ": " << finding.detail;
  }
  EXPECT_EQ(check.attaining_queries, 200);
  EXPECT_LT(check.largest_excluded, kEpsilon);
  EXPECT_GT(check.largest_excluded, 0.0);
}

TEST_F(UniversalSetCheckTest, AMissingKeyIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->indices.erase(set->indices.begin());
              set->sensitivities.erase(set->sensitivities.begin());
            }),
            "every key outside scores at most effective_epsilon");
}

TEST_F(UniversalSetCheckTest, AKeyTooManyIsNoticed) {
  EXPECT_EQ(BrokenBy([this](client::UniversalSet* set) {
              set->indices.push_back(199);
              set->sensitivities.push_back(reference_.scores()[199]);
            }),
            "every decided member scores at least epsilon");
}

TEST_F(UniversalSetCheckTest, AWrongScoreIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->sensitivities[0] *= 1 + 1e-9;
            }),
            "every member's score lies in its interval");
}

TEST_F(UniversalSetCheckTest, AWrongRankIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) { set->rank -= 1; }),
            "the rank");
}

TEST_F(UniversalSetCheckTest, ABoundThatIsTooSmallIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) { set->size_bound = 1.0; }),
            "|U| is within its bound");
}

TEST_F(UniversalSetCheckTest, AnUnderstatedEffectiveEpsilonIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->effective_epsilon *= 0.999;
            }),
            "every key outside scores at most effective_epsilon");
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->effective_epsilon = kEpsilon;
            }),
            "effective_epsilon < epsilon");
}

TEST_F(UniversalSetCheckTest, ListsOutOfFormAreNoticed) {
  const std::string form =
      "the lists are ascending, within the keys, of one length";
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              std::swap(set->indices[0], set->indices[1]);
            }),
            form);
  EXPECT_EQ(
      BrokenBy([](client::UniversalSet* set) { set->indices.back() = 200; }),
      form);
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->sensitivities.pop_back();
            }),
            form);
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) {
              set->undecided.push_back(199);
            }),
            form);
  EXPECT_EQ(BrokenBy([](client::UniversalSet* set) { set->keys = 100; }), form);
}

TEST_F(UniversalSetCheckTest, TopKeysThatAreNotTheTopAreNoticed) {
  client::UniversalSet set = right_;
  set.epsilon = 0.0;
  set.size_bound = 200.0;
  // The two most sensitive of the members.
  while (set.indices.size() > 2) {
    const auto weakest =
        std::min_element(set.sensitivities.begin(), set.sensitivities.end()) -
        set.sensitivities.begin();
    set.effective_epsilon =
        set.sensitivities[static_cast<std::size_t>(weakest)] *
        (1 + set.relative_score_error);
    set.indices.erase(set.indices.begin() + weakest);
    set.sensitivities.erase(set.sensitivities.begin() + weakest);
  }
  const client::UniversalSetOptions asked = {.top_m = 2};
  EXPECT_TRUE(Run(set, asked).verdict.held());
  set.indices[1] = 199;
  set.sensitivities[1] = reference_.scores()[199];
  EXPECT_FALSE(Run(set, asked).verdict.held());
}

TEST_F(UniversalSetCheckTest, AnEmptySetOfUnremarkableKeysHolds) {
  const auto tensor = test::TensorOf(test::NormalMatrix(300, 4, Seed{8}));
  const Rows keys = HeadsOf(tensor)[0];
  const LeverageReference reference(keys);
  const client::UniversalSet set = RightAnswer(reference);
  ASSERT_TRUE(set.indices.empty());
  EXPECT_TRUE(CheckUniversalSet(keys, reference, {.epsilon = kEpsilon}, set)
                  .verdict.held());
}

}  // namespace
}  // namespace steelyard::verify
