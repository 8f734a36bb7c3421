// The check must accept right rows and notice every kind of wrong one.
#include "client/verify/score_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

constexpr double kEpsilon = 0.05;

class ScoreCheckTest : public testing::Test {
 protected:
  std::vector<client::HeavyRow> RightRows(
      const client::ScoreFunction& function,
      const std::vector<int64_t>& positions) const {
    std::vector<client::HeavyRow> rows;
    const RowMatrix keys = keys_.All();
    for (int64_t i = 0; i < queries_.rows(); ++i) {
      const Eigen::VectorXd scores =
          ScoresOf(keys, queries_.Block(i, 1).row(0), function,
                   VisibleKeys(positions, i, keys.rows()));
      client::HeavyRow row;
      for (Eigen::Index l = 0; l < scores.size(); ++l) {
        if (scores[l] < kEpsilon) continue;
        row.indices.push_back(l);
        row.scores.push_back(scores[l]);
        row.captured_mass += scores[l];
      }
      rows.push_back(std::move(row));
    }
    return rows;
  }

  bool Held(const std::vector<client::HeavyRow>& rows,
            const client::ScoreFunction& function,
            const std::vector<int64_t>& positions = {}) const {
    return CheckScores(keys_, queries_, function, positions, kEpsilon, rows)
        .verdict.held();
  }

  const tensor_files::StoredTensor key_tensor_ =
      test::TensorOf(test::UnevenKeys(60, 4, 4, Seed{3}));
  const tensor_files::StoredTensor query_tensor_ =
      test::TensorOf(test::NormalMatrix(9, 4, Seed{4}));
  const Rows keys_ = HeadsOf(key_tensor_)[0];
  const Rows queries_ = HeadsOf(query_tensor_)[0];
};

TEST_F(ScoreCheckTest, ScoresAreSharesOfTheFunction) {
  RowMatrix keys(3, 1);
  keys << 1, -2, 3;
  const Eigen::RowVectorXd query = Eigen::RowVectorXd::Constant(1, 2.0);
  const auto of = [&](const client::ScoreFunction& function, int64_t visible) {
    return ScoresOf(keys, query, function, visible)[1];
  };
  EXPECT_DOUBLE_EQ(of(client::Power{3.0}, 3), 8.0 / 36.0);
  EXPECT_DOUBLE_EQ(of(client::Power{1.0}, 2), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(of(client::PowerSum{{{1.0, 1.0}, {0.5, 2.0}}}, 3),
                   12.0 / (4.0 + 12.0 + 24.0));
  const double sum = std::exp(2.0) + std::exp(-4.0) + std::exp(6.0);
  EXPECT_DOUBLE_EQ(of(client::Softmax{.scale = 1.0}, 3), std::exp(-4.0) / sum);
}

TEST_F(ScoreCheckTest, RightRowsHoldForEveryFunction) {
  const std::vector<int64_t> positions = {3, 5, 7, 11, 20, 30, 40, 50, 59};
  for (const client::ScoreFunction& function :
       {client::ScoreFunction(client::Power{1.0}),
        client::ScoreFunction(client::Power{4.0}),
        client::ScoreFunction(client::PowerSum{{{1.0, 1.0}, {2.0, 3.0}}}),
        client::ScoreFunction(client::Softmax{})}) {
    EXPECT_TRUE(Held(RightRows(function, {}), function));
    EXPECT_TRUE(Held(RightRows(function, positions), function, positions));
  }
}

TEST_F(ScoreCheckTest, EveryKindOfWrongRowIsNoticed) {
  const client::Power power{3.0};
  const auto broken =
      [&](const std::function<void(client::HeavyRow*)>& change) {
        std::vector<client::HeavyRow> rows = RightRows(power, {});
        change(&rows[2]);
        return !Held(rows, power);
      };
  ASSERT_FALSE(RightRows(power, {})[2].indices.empty());
  EXPECT_FALSE(broken([](client::HeavyRow*) {}));
  EXPECT_TRUE(broken([](client::HeavyRow* row) {
    row->indices.pop_back();
    row->scores.pop_back();
  }));
  EXPECT_TRUE(broken([](client::HeavyRow* row) { row->scores[0] *= 1.001; }));
  EXPECT_TRUE(broken([](client::HeavyRow* row) { row->captured_mass += 0.1; }));
  EXPECT_TRUE(broken([](client::HeavyRow* row) {
    row->indices.push_back(row->indices.back());
    row->scores.push_back(0.5);
  }));
  // An interval that holds the score is right; one beside it is not.
  EXPECT_FALSE(broken([](client::HeavyRow* row) {
    row->scores_upper = row->scores;
    for (double& upper : row->scores_upper) upper *= 1.5;
  }));
  EXPECT_TRUE(broken([](client::HeavyRow* row) {
    row->scores_upper = row->scores;
    for (double& lower : row->scores) lower *= 1.2;
    for (double& upper : row->scores_upper) upper *= 1.5;
  }));
}

}  // namespace
}  // namespace steelyard::verify
