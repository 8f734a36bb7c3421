#include "client/src/state_chunks.h"

#include <string>
#include <vector>

#include "client/src/crc32c.h"
#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

std::vector<v1::StateChunk> ChunksOf(const std::string& state) {
  std::vector<v1::StateChunk> chunks;
  StateCutter cutter(state);
  for (v1::StateChunk chunk; cutter.Next(&chunk);) chunks.push_back(chunk);
  return chunks;
}

TEST(StateChunksTest, CutAndJoined) {
  for (const std::size_t size : {1UL, 1UL << 20, (1UL << 20) + 1, 3000000UL}) {
    std::string state(size, 'x');
    state.back() = 'y';
    const auto chunks = ChunksOf(state);
    EXPECT_EQ(chunks.size(), (size + (1 << 20) - 1) >> 20);
    StateJoiner joiner;
    for (const v1::StateChunk& chunk : chunks) {
      EXPECT_FALSE(joiner.complete());
      EXPECT_LE(chunk.data().size(), 1U << 20);
      EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
      ASSERT_TRUE(joiner.Add(chunk).ok());
    }
    EXPECT_TRUE(joiner.complete());
    EXPECT_EQ(*joiner.Finish(), state);
  }
  EXPECT_TRUE(ChunksOf("").empty());
}

TEST(StateChunksTest, DamageIsNoticed) {
  const auto chunks = ChunksOf(std::string(2500000, 'z'));
  ASSERT_EQ(chunks.size(), 3U);
  {
    StateJoiner skips;
    ASSERT_TRUE(skips.Add(chunks[0]).ok());
    EXPECT_TRUE(absl::IsInternal(skips.Add(chunks[2])));
  }
  {
    StateJoiner damaged;
    v1::StateChunk chunk = chunks[0];
    (*chunk.mutable_data())[99] = 'q';
    EXPECT_TRUE(absl::IsInternal(damaged.Add(chunk)));
  }
  {
    StateJoiner stops;
    ASSERT_TRUE(stops.Add(chunks[0]).ok());
    EXPECT_TRUE(absl::IsInternal(stops.Finish().status()));
  }
  {
    StateJoiner goes_on;
    for (const auto& chunk : chunks) ASSERT_TRUE(goes_on.Add(chunk).ok());
    v1::StateChunk more = chunks[2];
    more.set_offset(2500000);
    EXPECT_TRUE(absl::IsInternal(goes_on.Add(more)));
  }
}

}  // namespace
}  // namespace steelyard::client
