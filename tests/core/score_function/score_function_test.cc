#include "steelyard/score_function.h"

#include <gtest/gtest.h>

namespace steelyard {
namespace {

TEST(ScoreFunctionTest, TheDefaultIsTheSquare) {
  EXPECT_TRUE(IsSquare(ScoreFunction{}));
}

TEST(ScoreFunctionTest, TheSquareIsKnownInEveryForm) {
  EXPECT_TRUE(IsSquare(Power{2.0}));
  EXPECT_TRUE(IsSquare(PowerSum{{{3.0, 2.0}, {0.5, 2.0}}}));
  EXPECT_FALSE(IsSquare(Power{1.5}));
  EXPECT_FALSE(IsSquare(PowerSum{{{1.0, 2.0}, {1.0, 4.0}}}));
  EXPECT_FALSE(IsSquare(Softmax{}));
}

TEST(ScoreFunctionTest, SpeaksInTheNotationOfThePaper) {
  EXPECT_EQ(DescriptionOf(Power{1.5}), "|x|^1.5");
  EXPECT_EQ(DescriptionOf(PowerSum{{{2.0, 2.0}, {1.0, 4.0}}}),
            "2|x|^2 + |x|^4");
  EXPECT_EQ(DescriptionOf(Softmax{SoftmaxMode::kHeuristic, 1.0}),
            "softmax, heuristic");
  EXPECT_EQ(DescriptionOf(Softmax{SoftmaxMode::kCertified, 1.0}),
            "softmax, certified");
}

}  // namespace
}  // namespace steelyard
