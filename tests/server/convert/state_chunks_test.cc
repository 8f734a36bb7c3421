#include "server/convert/state_chunks.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

std::string Bytes(std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<char>(i * 31 + i / 251);
  }
  return bytes;
}

std::vector<v1::StateChunk> Chunks(const std::string& bytes,
                                   const Limits& limits) {
  std::vector<v1::StateChunk> chunks;
  EXPECT_TRUE(WriteStateChunks(bytes, limits, [&](v1::StateChunk&& chunk) {
                chunks.push_back(std::move(chunk));
                return true;
              }).ok());
  return chunks;
}

TEST(StateChunksTest, BytesComeBackWhole) {
  Limits limits;
  limits.chunk_bytes_max = 1024;
  for (const std::size_t count : {1u, 959u, 960u, 961u, 5000u}) {
    const std::string bytes = Bytes(count);
    StateBytes together("state", limits);
    for (const v1::StateChunk& chunk : Chunks(bytes, limits)) {
      v1::StreamKeysResponse message;
      *message.mutable_state() = chunk;
      EXPECT_LE(message.ByteSizeLong(), 1024u);
      EXPECT_FALSE(together.complete());
      ASSERT_TRUE(together.Append(chunk).ok());
    }
    EXPECT_TRUE(together.complete());
    EXPECT_EQ(together.Take(), bytes);
  }
}

TEST(StateChunksTest, RefusesWhatIsNotTheNextChunk) {
  Limits limits;
  limits.chunk_bytes_max = 1024;
  const auto chunks = Chunks(Bytes(3000), limits);
  const auto reason = [&](v1::StateChunk chunk) {
    StateBytes bytes("shard.chunk", limits);
    EXPECT_TRUE(bytes.Append(chunks[0]).ok());
    const absl::Status status = bytes.Append(chunk);
    EXPECT_EQ(bytes.size(), 960);
    const auto detail = DetailOf(status).value_or(ErrorDetail{});
    EXPECT_EQ(detail.field.substr(0, 11), "shard.chunk");
    return detail.reason;
  };
  EXPECT_EQ(reason(chunks[0]), "OFFSET_MISMATCH");
  EXPECT_EQ(reason(chunks[2]), "OFFSET_MISMATCH");
  v1::StateChunk chunk = chunks[1];
  chunk.mutable_data()->back() ^= 1;
  EXPECT_EQ(reason(chunk), "CHECKSUM_MISMATCH");
  chunk = chunks[1];
  chunk.clear_data();
  EXPECT_EQ(reason(chunk), "FIELD_REQUIRED");
  chunk = chunks[1];
  chunk.set_data(Bytes(1025));
  EXPECT_EQ(reason(chunk), "LIMIT_EXCEEDED");

  StateBytes bytes("state", limits);
  EXPECT_EQ(DetailOf(bytes.EndedEarly())->reason, "STATE_CORRUPT");
  v1::StateChunk last = chunks[0];
  last.set_last(true);
  ASSERT_TRUE(bytes.Append(last).ok());
  EXPECT_EQ(DetailOf(bytes.Append(chunks[1]))->reason, "MESSAGE_OUT_OF_ORDER");
}

TEST(StateChunksTest, ABrokenStreamEndsTheWriting) {
  Limits limits;
  limits.chunk_bytes_max = 1024;
  EXPECT_EQ(WriteStateChunks(Bytes(3000), limits,
                             [](v1::StateChunk&&) { return false; })
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::server
