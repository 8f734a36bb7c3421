#include "client/src/query_blocks.h"

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "client/src/error_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

TEST(QueryBlocksTest, AFewQueriesAreOneBlock) {
  const Eigen::MatrixXf queries = Eigen::MatrixXf::Random(10, 4);
  const TensorView view(queries);
  const std::vector<std::int64_t> positions = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const QueryCutter cutter(view, positions);
  EXPECT_EQ(cutter.blocks(), 1);
  EXPECT_EQ(cutter.Block(0)->queries.extent(0), 10);
  EXPECT_EQ(cutter.Block(0)->positions, positions);
  EXPECT_FALSE(cutter.Block(1).has_value());
}

// Every block is at most a mebibyte, and every row goes to a place of its own.
TEST(QueryBlocksTest, ManyQueriesAreCutAndGatheredAgain) {
  constexpr std::int64_t kHeads = 3;
  constexpr std::int64_t kRows = 1000;
  constexpr std::int64_t kColumns = 200;
  std::vector<double> numbers(kHeads * kRows * kColumns);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<double>(i);
  }
  const TensorView view(numbers, {kHeads, kRows, kColumns});
  std::vector<std::int64_t> positions(kRows);
  for (std::int64_t i = 0; i < kRows; ++i) {
    positions[static_cast<std::size_t>(i)] = 7 * i;
  }
  const QueryCutter cutter(view, positions);
  EXPECT_GE(cutter.blocks(), 4);
  std::set<std::int64_t> rows;
  for (std::int64_t b = 0; b < cutter.blocks(); ++b) {
    const auto block = cutter.Block(b);
    ASSERT_TRUE(block.has_value());
    const TensorView& part = block->queries;
    EXPECT_LE(part.available() * 8, 1 << 20);
    ASSERT_EQ(part.rank(), 3);
    const std::int64_t count = part.extent(1);
    ASSERT_EQ(static_cast<std::int64_t>(block->positions.size()), count);
    for (std::int64_t g = 0; g < kHeads; ++g) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t whole = cutter.WholeRow(b, g * count + i);
        rows.insert(whole);
        const auto* row = static_cast<const double*>(part.data()) +
                          g * part.stride(0) + i * part.stride(1);
        EXPECT_EQ(row[0], static_cast<double>(whole * kColumns));
        EXPECT_EQ(block->positions[static_cast<std::size_t>(i)],
                  7 * (whole % kRows));
      }
    }
  }
  EXPECT_EQ(static_cast<std::int64_t>(rows.size()), kHeads * kRows);
  EXPECT_EQ(*rows.rbegin(), kHeads * kRows - 1);
}

TEST(QueryBlocksTest, RowsLargerThanABlockGoOneByOne) {
  const Eigen::MatrixXd queries = Eigen::MatrixXd::Zero(3, 200000);
  const TensorView view(queries);
  const std::vector<std::int64_t> none;
  const QueryCutter cutter(view, none);
  EXPECT_EQ(cutter.blocks(), 3);
  EXPECT_EQ(cutter.Block(2)->queries.extent(0), 1);
}

TEST(QueryBlocksTest, WhatIsNoMatrixIsOneBlockForTheCallToRefuse) {
  const std::vector<double> six(6);
  const TensorView vector(six, {6});
  const TensorView wrong(six, {1LL << 40, 1LL << 40});
  const std::vector<std::int64_t> none;
  EXPECT_EQ(QueryCutter(vector, none).blocks(), 1);
  const QueryCutter cutter(wrong, none);
  EXPECT_EQ(cutter.Block(1)->queries.extent(0), 1LL << 40);
}

absl::Status NotFinite(const std::string& field) {
  return LocalError(absl::StatusCode::kInvalidArgument, "it is nan",
                    {.reason = "NOT_FINITE", .field = field});
}

template <typename T>
class LocatedTest : public testing::Test {};
using Scalars = testing::Types<double, float, Eigen::half, Eigen::bfloat16>;
TYPED_TEST_SUITE(LocatedTest, Scalars);

TYPED_TEST(LocatedTest, ARowOfABlockIsTheRowOfAllQueries) {
  constexpr std::int64_t kRows = 40'000;  // Two blocks at least.
  std::vector<TypeParam> numbers(2 * kRows * 20, TypeParam(1.5F));
  const TensorView view(numbers, {2, kRows, 20});
  const std::vector<std::int64_t> positions;
  const QueryCutter cutter(view, positions);
  ASSERT_GE(cutter.blocks(), 2);
  const absl::Status given = NotFinite("block.queries.data");
  EXPECT_EQ(cutter.Located(given), given);  // All are finite: not known.
  for (const float bad : {NAN, -INFINITY}) {
    numbers[static_cast<std::size_t>((kRows + 39'999) * 20 + 19)] =
        TypeParam(bad);
    const absl::Status located = cutter.Located(given);
    EXPECT_EQ(located.message(),
              "it is nan; this is row 39999 of head 1 of the queries");
    EXPECT_EQ(DetailOf(located)->reason, "NOT_FINITE");
  }
  EXPECT_EQ(cutter.Located(NotFinite("open.keys.dense.data")),
            NotFinite("open.keys.dense.data"));
  EXPECT_EQ(cutter.Located(absl::AbortedError("x")), absl::AbortedError("x"));
}

}  // namespace
}  // namespace steelyard::client
