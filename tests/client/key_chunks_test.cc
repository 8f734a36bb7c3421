#include "client/src/key_chunks.h"

#include <numeric>
#include <vector>

#include "client/src/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {
namespace {

using testing::ElementsAre;

std::vector<double> Counted(std::size_t size) {
  std::vector<double> numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return numbers;
}

TEST(CutKeysTest, PiecesAreOfAtMostSoManyBytesAndWhole) {
  const std::vector<double> numbers = Counted(2 * 10 * 3);
  const TensorView heads(numbers, {2, 10, 3});
  // A key of both heads has 48 bytes: three fit into 150.
  const auto pieces = CutKeys(heads, std::nullopt, 150);
  ASSERT_EQ(pieces.size(), 4U);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_FALSE(pieces[i].head.has_value());
    EXPECT_EQ(pieces[i].count, i < 3 ? 3 : 1);
    EXPECT_EQ(pieces[i].keys.available(), 2 * 3 * pieces[i].count);
    EXPECT_EQ(*static_cast<const double*>(pieces[i].keys.data()),
              static_cast<double>(i * 9));
  }
}

TEST(CutKeysTest, AKeyOfAllHeadsThatIsTooLargeGoesHeadByHead) {
  const std::vector<double> numbers = Counted(2 * 10 * 3);
  const TensorView heads(numbers, {2, 10, 3});
  const auto pieces = CutKeys(heads, std::nullopt, 24);
  ASSERT_EQ(pieces.size(), 20U);
  EXPECT_EQ(pieces[0].head, 0);
  EXPECT_EQ(pieces[10].head, 1);
  EXPECT_EQ(*static_cast<const double*>(pieces[10].keys.data()), 30.0);
  EXPECT_EQ(pieces[10].keys.rank(), 2);
  // Nor is a key cut: the server says so.
  EXPECT_EQ(CutKeys(heads.Head(0), 0, 8).size(), 10U);
}

class ChunkBufferTest : public testing::Test {
 protected:
  KeyRequest Append(const TensorView& keys,
                    std::optional<std::int64_t> head = std::nullopt) {
    const int rank = keys.rank();
    auto request = buffer_.Append({keys, head, keys.extent(rank - 2)});
    EXPECT_TRUE(request.ok()) << request.status();
    return request.ok() ? *request : nullptr;
  }

  const std::vector<double> numbers_ = Counted(2 * 4 * 3);
  const TensorView heads_{numbers_, {2, 4, 3}};
  ChunkBuffer buffer_;
};

TEST_F(ChunkBufferTest, ChunksSayWhereTheyBelong) {
  buffer_.Start({5, 5});
  const KeyRequest first = Append(heads_.Rows(0, 2));
  EXPECT_FALSE(first->chunk().has_head());
  EXPECT_EQ(first->chunk().offset(), 5);
  EXPECT_EQ(first->chunk().crc32c(), Crc32c(first->chunk().keys().data()));
  EXPECT_THAT(first->chunk().keys().shape(), ElementsAre(2, 2, 3));
  const KeyRequest second = Append(heads_.Head(1).Rows(2, 1), 1);
  EXPECT_EQ(second->chunk().head(), 1);
  EXPECT_EQ(second->chunk().offset(), 7);
  EXPECT_THAT(buffer_.next_offset(), ElementsAre(7, 8));
  EXPECT_EQ(buffer_.bytes(), 8 * (12 + 3));
  EXPECT_EQ(buffer_.unacknowledged().size(), 2U);
}

TEST_F(ChunkBufferTest, EveryHeadOnlyWhereAllAreAsFar) {
  buffer_.Start({0, 0});
  Append(heads_.Head(0), 0);
  const auto request = buffer_.Append({heads_, std::nullopt, 4});
  EXPECT_TRUE(absl::IsFailedPrecondition(request.status()));
  Append(heads_.Head(1), 1);
  EXPECT_TRUE(buffer_.Append({heads_, std::nullopt, 4}).ok());
}

TEST_F(ChunkBufferTest, AcknowledgedChunksAreForgotten) {
  buffer_.Start({0, 0});
  Append(heads_.Rows(0, 2));
  Append(heads_.Rows(2, 2));
  buffer_.Acknowledge({2, 1});  // The second head still lacks one.
  EXPECT_EQ(buffer_.unacknowledged().size(), 2U);
  buffer_.Acknowledge({2, 2});
  EXPECT_EQ(buffer_.unacknowledged().size(), 1U);
  buffer_.Acknowledge({1, 1});  // Old news.
  EXPECT_THAT(buffer_.acknowledged(), ElementsAre(2, 2));
  buffer_.Acknowledge({4, 4});
  EXPECT_TRUE(buffer_.empty());
  EXPECT_EQ(buffer_.bytes(), 0);
}

TEST_F(ChunkBufferTest, ARewindMustMeetTheBeginningOfAChunk) {
  buffer_.Start({0, 0});
  Append(heads_.Rows(0, 2));
  Append(heads_.Rows(2, 2));
  EXPECT_TRUE(buffer_.Rewind({0, 0}).ok());
  EXPECT_TRUE(buffer_.Rewind({2, 2}).ok());
  EXPECT_EQ(buffer_.unacknowledged().size(), 1U);
  EXPECT_TRUE(absl::IsFailedPrecondition(buffer_.Rewind({3, 3})));
  EXPECT_TRUE(buffer_.Rewind({4, 4}).ok());
  const absl::Status lost = buffer_.Rewind({0, 0});  // Not here any more.
  EXPECT_TRUE(absl::IsFailedPrecondition(lost));
  EXPECT_EQ(DetailOf(lost)->reason, "OFFSET_MISMATCH");
  EXPECT_TRUE(absl::IsFailedPrecondition(buffer_.Rewind({9, 9})));
  EXPECT_TRUE(absl::IsFailedPrecondition(buffer_.Rewind({4})));
}

}  // namespace
}  // namespace steelyard::client
