// server/convert/key_stream.h; what a whole stream makes of it is tested in
// tests/end_to_end/stream_keys_test.cc.
#include "server/convert/key_stream.h"

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

const Limits kLimits;

v1::OpenKeys FullOpen() {
  v1::OpenKeys open;
  open.set_set_id("keys");
  open.set_heads(2);
  open.set_columns(3);
  open.set_dtype(v1::DTYPE_BFLOAT16);
  open.set_epsilon(0.25);
  open.mutable_function()->mutable_power()->set_p(4.0);
  open.set_top_m(9);
  open.set_causal(true);
  open.set_first_index(1000);
  open.mutable_ttl()->set_seconds(60);
  return open;
}

std::string ReasonOf(const absl::Status& status) {
  return DetailOf(status).value_or(ErrorDetail{}).reason;
}

TEST(KeyStreamTest, EveryFieldOfTheOpeningIsTaken) {
  const auto opening = OpeningFromProto(FullOpen(), kLimits);
  ASSERT_TRUE(opening.ok()) << opening.status();
  EXPECT_EQ(opening->kind, StreamOpening::Kind::kNew);
  EXPECT_EQ(opening->request.id, "keys");
  EXPECT_EQ(opening->request.ttl, absl::Minutes(1));
  EXPECT_EQ(opening->description.heads, 2);
  EXPECT_EQ(opening->description.columns, 3);
  EXPECT_EQ(opening->description.epsilon, 0.25);
  EXPECT_EQ(opening->description.top_m, 9);
  EXPECT_EQ(std::get<Power>(opening->description.function).p, 4.0);
  EXPECT_TRUE(opening->description.causal);
  EXPECT_EQ(opening->storage, StorageType::kBFloat16);
  EXPECT_EQ(opening->first_index, 1000);

  // Resume reads its name only.
  v1::OpenKeys resume = FullOpen();
  resume.set_resume(true);
  resume.set_columns(-5);
  const auto resumed = OpeningFromProto(resume, kLimits);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->kind, StreamOpening::Kind::kResume);
}

TEST(KeyStreamTest, AnImportAgreesWithTheStateOrIsSilent) {
  const auto opening = OpeningFromProto(FullOpen(), kLimits);
  ASSERT_TRUE(opening.ok());
  const auto check = [&](const v1::OpenKeys& open) {
    return CheckAgreement(open, opening->description, opening->storage, 1000);
  };
  EXPECT_TRUE(check({}).ok());
  EXPECT_TRUE(check(FullOpen()).ok());
  const std::vector<std::pair<const char*, std::function<void(v1::OpenKeys*)>>>
      all = {
          {"open.heads", [](auto* o) { o->set_heads(1); }},
          {"open.columns", [](auto* o) { o->set_columns(4); }},
          {"open.dtype", [](auto* o) { o->set_dtype(v1::DTYPE_FLOAT16); }},
          {"open.epsilon", [](auto* o) { o->set_epsilon(0.5); }},
          {"open.function",
           [](auto* o) { o->mutable_function()->mutable_power()->set_p(2.0); }},
          {"open.top_m", [](auto* o) { o->set_top_m(8); }},
          {"open.first_index", [](auto* o) { o->set_first_index(7); }},
      };
  for (const auto& [field, mutate] : all) {
    v1::OpenKeys open = FullOpen();
    mutate(&open);
    EXPECT_EQ(ReasonOf(check(open)), "CONFLICTING_FIELDS") << field;
    EXPECT_EQ(DetailOf(check(open))->field, field);
  }
}

// 2 heads of 5 keys, 3 columns.
v1::KeyChunk FullChunk() {
  v1::KeyChunk chunk;
  test::SetPlainTensor({2, 5, 3}, chunk.mutable_keys());
  chunk.set_offset(40);
  chunk.set_crc32c(Crc32c(chunk.keys().data()));
  return chunk;
}

class KeyChunkTest : public testing::Test {
 protected:
  absl::StatusOr<KeyChunkInput> Read(const v1::KeyChunk& chunk,
                                     const std::vector<Index>& next) const {
    return ChunkFromProto(chunk, description_, StorageType::kFloat64, next,
                          kLimits);
  }

  const SetDescription description_{.heads = 2, .columns = 3};
};

TEST_F(KeyChunkTest, AChunkIsForAllHeadsOrForOne) {
  const v1::KeyChunk both = FullChunk();
  const auto chunk = Read(both, {40, 40});
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_EQ(chunk->rows, 5);
  EXPECT_FALSE(chunk->head.has_value());
  EXPECT_TRUE(CheckChecksum(both, *chunk).ok());
  EXPECT_EQ(ReasonOf(Read(both, {40, 41}).status()), "OFFSET_MISMATCH");

  v1::KeyChunk one = FullChunk();
  test::SetPlainTensor({5, 3}, one.mutable_keys());
  one.set_head(1);
  const auto second = Read(one, {0, 40});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->head, 1);
  EXPECT_EQ(ReasonOf(CheckChecksum(one, *second)), "CHECKSUM_MISMATCH");
  one.clear_crc32c();
  EXPECT_TRUE(CheckChecksum(one, *Read(one, {0, 40})).ok());
  EXPECT_EQ(ReasonOf(Read(one, {40, 0}).status()), "OFFSET_MISMATCH");
}

TEST_F(KeyChunkTest, ANaNIsToldByItsHeadAndGlobalRow) {
  const v1::KeyChunk message = FullChunk();
  const auto chunk = Read(message, {40, 40});
  ASSERT_TRUE(chunk.ok());
  // Row 7 of the tensor: key 2 of head 1.
  const absl::Status status =
      AtChunk(NotFiniteError("keys", 7, 1, 3, 1.0 / 0.0), *chunk, 1000);
  const ErrorDetail detail = *DetailOf(status);
  EXPECT_EQ(detail.field, "chunk.keys.data");
  EXPECT_EQ(detail.metadata.at("index"), "22");
  EXPECT_EQ(detail.metadata.at("row"), "1042");
  EXPECT_EQ(detail.metadata.at("head"), "1");
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("row 1042 of head 1"));
  const absl::Status other = absl::CancelledError("gone");
  EXPECT_EQ(AtChunk(other, *chunk, 0), other);
}

TEST_F(KeyChunkTest, AnswersTellOffsets) {
  v1::StreamKeysResponse opened;
  OpenedToProto("universalSets/keys", {3, 4}, kLimits, &opened);
  v1::StreamKeysResponse ack;
  AckToProto({5, 6}, &ack);
  EXPECT_THAT(test::UnsetFields(std::vector{opened.opened()}),
              testing::IsEmpty());
  EXPECT_THAT(opened.opened().next_offset(), testing::ElementsAre(3, 4));
  EXPECT_THAT(ack.ack().next_offset(), testing::ElementsAre(5, 6));
  v1::StreamKeysRequest request;
  EXPECT_EQ(KeyBytes(request), 0);
  *request.mutable_chunk() = FullChunk();
  EXPECT_EQ(KeyBytes(request), 2 * 5 * 3 * 8);
}

}  // namespace
}  // namespace steelyard::server
