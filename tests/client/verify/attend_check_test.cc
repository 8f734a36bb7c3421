// The check must accept right output and notice wrong output.
#include "client/verify/attend_check.h"

#include <gtest/gtest.h>

#include "client/verify/score_check.h"
#include "tests/client/verify/key_tensors.h"

namespace steelyard::verify {
namespace {

class AttendCheckTest : public testing::Test {
 protected:
  AttendCheck Run(const client::AttendOptions& options,
                  const std::vector<int64_t>& members, const RowMatrix& output,
                  const std::vector<int64_t>& attended) const {
    return CheckAttention(keys_, values_, queries_, options, client::Power{},
                          members, output, attended);
  }

  const tensor_files::StoredTensor key_tensor_ =
      test::TensorOf(test::NormalMatrix(12, 3, Seed{1}));
  const tensor_files::StoredTensor value_tensor_ =
      test::TensorOf(test::NormalMatrix(12, 2, Seed{2}));
  const tensor_files::StoredTensor query_tensor_ =
      test::TensorOf(test::NormalMatrix(1, 3, Seed{3}));
  const Rows keys_ = HeadsOf(key_tensor_)[0];
  const Rows values_ = HeadsOf(value_tensor_)[0];
  const Rows queries_ = HeadsOf(query_tensor_)[0];
};

TEST_F(AttendCheckTest, SinksMembersAndWindowCountOnce) {
  // The query is at position 11: its window holds keys 10 and 11.
  const client::AttendOptions options{.sinks = 2, .local = client::Window{1}};
  const std::vector<int64_t> members = {1, 5, 11};
  const Eigen::VectorXd scores =
      ScoresOf(keys_.All(), queries_.Block(0, 1).row(0), client::Power{}, 12);
  RowMatrix output = RowMatrix::Zero(1, 2);
  double mass = 0;
  for (const int64_t l : {0, 1, 5, 10, 11}) {
    output += scores[l] * values_.Block(l, 1);
    mass += scores[l];
  }
  client::AttendOptions all = options;
  all.normalization = client::AttentionNormalization::kAll;
  EXPECT_TRUE(Run(all, members, output, {5}).verdict.held());
  EXPECT_FALSE(Run(options, members, output, {5}).verdict.held());
  output /= mass;
  const AttendCheck right = Run(options, members, output, {5});
  EXPECT_TRUE(right.verdict.held());
  EXPECT_GT(right.full_attention_error, 0.0);
  EXPECT_FALSE(Run(options, members, output, {6}).verdict.held());
  output(0, 0) += 0.01;
  EXPECT_FALSE(Run(options, members, output, {5}).verdict.held());
}

TEST_F(AttendCheckTest, AGridIsOfManhattanDistance) {
  // Keys 1 to 9 are the cells of a 3 x 3 grid; the query is at its middle.
  const client::AttendOptions options{
      .local = client::Grid{.height = 3, .width = 3, .radius = 1, .first = 1},
      .normalization = client::AttentionNormalization::kAll,
      .positions = {5}};
  const Eigen::VectorXd scores =
      ScoresOf(keys_.All(), queries_.Block(0, 1).row(0), client::Power{}, 12);
  RowMatrix output = RowMatrix::Zero(1, 2);
  for (const int64_t l : {2, 4, 5, 6, 8}) {
    output += scores[l] * values_.Block(l, 1);
  }
  EXPECT_TRUE(Run(options, {}, output, {5}).verdict.held());
  client::AttendOptions causal = options;
  causal.causal = true;
  EXPECT_FALSE(Run(causal, {}, output, {5}).verdict.held());
}

}  // namespace
}  // namespace steelyard::verify
