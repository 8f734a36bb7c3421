// ExportState and MergeStates: shards of one matrix, states that were damaged.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "steelyard/v1/universal_set_stream.pb.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/streamed_keys.h"

namespace steelyard::test {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr std::int64_t kKeys = 600;
constexpr std::int64_t kColumns = 6;

std::string BytesOf(const std::vector<v1::StateChunk>& chunks) {
  std::string bytes;
  for (const v1::StateChunk& chunk : chunks) bytes += chunk.data();
  return bytes;
}

// In chunks of at most `size` bytes.
std::vector<v1::StateChunk> ChunksOf(const std::string& bytes,
                                     std::size_t size = 100) {
  std::vector<v1::StateChunk> chunks;
  for (std::size_t offset = 0; offset < bytes.size(); offset += size) {
    v1::StateChunk chunk;
    chunk.set_offset(static_cast<std::int64_t>(offset));
    chunk.set_data(bytes.substr(offset, size));
    chunk.set_crc32c(server::Crc32c(chunk.data()));
    chunk.set_last(offset + size >= bytes.size());
    chunks.push_back(chunk);
  }
  return chunks;
}

v1::MergeStatesRequest MergeOpen(const std::string& id,
                                 const std::vector<std::string>& names) {
  v1::MergeStatesRequest message;
  message.mutable_open()->set_set_id(id);
  for (const std::string& name : names) {
    message.mutable_open()->add_names("universalSets/" + name);
  }
  return message;
}

void AppendShard(int number, const std::vector<v1::StateChunk>& chunks,
                 std::vector<v1::MergeStatesRequest>* messages) {
  for (const v1::StateChunk& chunk : chunks) {
    v1::MergeStatesRequest message;
    message.mutable_shard()->set_shard(number);
    *message.mutable_shard()->mutable_chunk() = chunk;
    messages->push_back(message);
  }
}

class MergeStatesTest : public testing::Test {
 protected:
  // Keys [first, last) as a session of their own; its state.
  std::string Shard(const std::string& id, std::int64_t first,
                    std::int64_t last, bool causal = false) const {
    StreamedKeys stream(caller_);
    v1::StreamKeysRequest open = OpenMessage(id, kColumns);
    open.mutable_open()->set_first_index(first);
    open.mutable_open()->set_causal(causal);
    stream.Send(open);
    v1::StreamKeysRequest chunk = ChunkMessage(keys_, first, last - first);
    chunk.mutable_chunk()->set_offset(0);
    stream.Send(chunk);
    stream.HalfClose();
    const grpc::Status ended = stream.Finish();
    EXPECT_TRUE(ended.ok()) << ended.error_message();
    std::vector<v1::StateChunk> chunks;
    EXPECT_TRUE(caller_.Export("universalSets/" + id, &chunks).ok());
    return BytesOf(chunks);
  }

  void ExpectWholeSet(const std::string& id) const {
    v1::FindUniversalSetRequest request;
    *request.mutable_keys()->mutable_dense() = keys_;
    request.set_epsilon(0.1);
    v1::FindUniversalSetResponse batch;
    ASSERT_TRUE(caller_.Find(request, &batch).ok());
    ASSERT_EQ(batch.sets(0).undecided_size(), 0);
    v1::ReadUniversalSetRequest read;
    read.set_name("universalSets/" + id);
    std::vector<v1::UniversalSet> parts;
    ASSERT_TRUE(caller_.Read(read, &parts).ok());
    const auto sets = Joined(parts);
    ASSERT_EQ(sets.size(), 1u);
    EXPECT_THAT(sets[0].indices(), ElementsAreArray(batch.sets(0).indices()));
    EXPECT_EQ(sets[0].keys(), kKeys);
  }

  grpc::Status Import(const std::vector<v1::StateChunk>& chunks,
                      bool all = true) const {
    StreamedKeys stream(caller_);
    v1::StreamKeysRequest open;
    open.mutable_open()->set_import_state(true);
    stream.Send(open);
    for (const v1::StateChunk& chunk : chunks) {
      if (!stream.Send(StateMessage(chunk))) break;
    }
    if (all) stream.Send(FinishMessage());
    stream.HalfClose();
    return stream.Finish();
  }

  RunningServer running_;
  const SetCaller caller_{running_.address()};
  const v1::Tensor keys_ = WideKeys(kKeys, kColumns, 3);
};

TEST_F(MergeStatesTest, ShardsByNameAndShardsSentGiveTheSetOfAll) {
  Shard("a", 0, 150);
  const std::string b = Shard("b", 150, 350);
  Shard("c", 350, 400);
  const std::string d = Shard("d", 400, kKeys);
  std::vector<v1::MergeStatesRequest> messages = {MergeOpen("all", {"c", "a"})};
  AppendShard(0, ChunksOf(d), &messages);
  AppendShard(1, ChunksOf(b, 77), &messages);
  v1::MergeStatesResponse response;
  const grpc::Status status = caller_.Merge(messages, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.info().name(), "universalSets/all");
  EXPECT_EQ(response.info().state(), v1::UniversalSetInfo::STATE_FINISHED);
  EXPECT_EQ(response.info().next_offset(0), kKeys);
  ExpectWholeSet("all");

  // Those that were merged stay as they are.
  v1::UniversalSetInfo info;
  ASSERT_TRUE(caller_.Get("universalSets/a", &info).ok());
  EXPECT_EQ(info.state(), v1::UniversalSetInfo::STATE_SUSPENDED);
  EXPECT_EQ(info.next_offset(0), 150);
}

TEST_F(MergeStatesTest, AMergedStateMayBeMergedAgain) {
  Shard("a", 0, 200);
  Shard("b", 200, 400);
  Shard("c", 400, kKeys);
  v1::MergeStatesResponse response;
  ASSERT_TRUE(caller_.Merge({MergeOpen("ac", {"a", "c"})}, &response).ok());
  ASSERT_TRUE(caller_.Merge({MergeOpen("abc", {"ac", "b"})}, &response).ok());
  ExpectWholeSet("abc");
}

TEST_F(MergeStatesTest, WhatCannotBeMergedIsRefusedAndNothingIsKept) {
  Shard("a", 0, 200);
  Shard("overlap", 199, 300);
  Shard("causal-1", 0, 200, true);
  Shard("causal-2", 200, 300, true);
  v1::FindUniversalSetRequest found = UniversalSetRequest(50, kColumns);
  found.set_set_id("found");
  v1::FindUniversalSetResponse unused;
  ASSERT_TRUE(caller_.Find(found, &unused).ok());
  const auto merged = [&](const std::vector<std::string>& names) {
    v1::MergeStatesResponse response;
    return caller_.Merge({MergeOpen("all", names)}, &response);
  };
  grpc::Status status = merged({"a", "overlap"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(SetCaller::ReasonOf(status), "RANGES_OVERLAP");
  status = merged({"causal-1", "causal-2"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(SetCaller::ReasonOf(status), "CAUSAL_NOT_MERGEABLE");
  EXPECT_EQ(SetCaller::ReasonOf(merged({"a", "causal-2"})),
            "CONFLICTING_FIELDS");
  EXPECT_EQ(merged({"a", "nobody"}).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(merged({"a", "found"}).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(SetCaller::ReasonOf(merged({})), "FIELD_REQUIRED");
  v1::MergeStatesResponse response;
  EXPECT_EQ(SetCaller::ReasonOf(caller_.Merge({}, &response)),
            "MESSAGE_OUT_OF_ORDER");
  EXPECT_EQ(caller_.Merge({MergeOpen("a", {"a"})}, &response).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  std::vector<v1::StateChunk> chunks;
  EXPECT_EQ(caller_.Export("universalSets/found", &chunks).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  v1::UniversalSetInfo info;
  EXPECT_EQ(caller_.Get("universalSets/all", &info).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(MergeStatesTest, ShardsComeInOrderAndWhole) {
  const std::string a = Shard("a", 0, 200);
  const std::string b = Shard("b", 200, 300);
  const auto reason = [&](const std::vector<v1::MergeStatesRequest>& messages) {
    v1::MergeStatesResponse response;
    return SetCaller::ReasonOf(caller_.Merge(messages, &response));
  };
  std::vector<v1::MergeStatesRequest> skipped = {MergeOpen("all", {})};
  AppendShard(1, ChunksOf(a), &skipped);
  EXPECT_EQ(reason(skipped), "MESSAGE_OUT_OF_ORDER");
  std::vector<v1::MergeStatesRequest> mixed = {MergeOpen("all", {})};
  AppendShard(0, {ChunksOf(a).front()}, &mixed);
  AppendShard(1, ChunksOf(b), &mixed);
  EXPECT_EQ(reason(mixed), "MESSAGE_OUT_OF_ORDER");
  std::vector<v1::MergeStatesRequest> short_of = {MergeOpen("all", {})};
  AppendShard(0, {ChunksOf(a).front()}, &short_of);
  EXPECT_EQ(reason(short_of), "STATE_CORRUPT");
  std::vector<v1::MergeStatesRequest> twice = {MergeOpen("all", {}),
                                               MergeOpen("all", {})};
  EXPECT_EQ(reason(twice), "MESSAGE_OUT_OF_ORDER");
}

TEST_F(MergeStatesTest, ADamagedStateIsRefusedWhereverItIsRead) {
  const std::string good = Shard("a", 0, 200);
  EXPECT_TRUE(Import(ChunksOf(good)).ok());

  std::vector<v1::StateChunk> chunks = ChunksOf(good);
  chunks.pop_back();
  EXPECT_EQ(SetCaller::ReasonOf(Import(chunks, false)), "STATE_CORRUPT");
  EXPECT_EQ(SetCaller::ReasonOf(Import(chunks)), "MESSAGE_OUT_OF_ORDER");
  chunks = ChunksOf(good);
  chunks[1].set_crc32c(chunks[1].crc32c() + 1);
  EXPECT_EQ(SetCaller::ReasonOf(Import(chunks)), "CHECKSUM_MISMATCH");
  chunks = ChunksOf(good);
  chunks[1].set_offset(3);
  EXPECT_EQ(SetCaller::ReasonOf(Import(chunks)), "OFFSET_MISMATCH");

  // Cut off anywhere, with checksums that are right.
  for (std::size_t size = 1; size < good.size(); size += good.size() / 17) {
    const grpc::Status status = Import(ChunksOf(good.substr(0, size)));
    EXPECT_EQ(SetCaller::ReasonOf(status), "STATE_CORRUPT")
        << size << " " << status.error_message();
  }
  v1::UniversalSetState state;
  ASSERT_TRUE(state.ParseFromString(good));
  state.set_format(2);
  const grpc::Status newer = Import(ChunksOf(state.SerializeAsString()));
  EXPECT_EQ(SetCaller::ReasonOf(newer), "STATE_FORMAT_TOO_NEW");
  state.set_format(1);
  state.mutable_heads(0)->set_factor_error(7.0);
  const grpc::Status corrupt = Import(ChunksOf(state.SerializeAsString()));
  EXPECT_EQ(SetCaller::ReasonOf(corrupt), "STATE_CORRUPT");
  EXPECT_THAT(corrupt.error_details(),
              HasSubstr("state.heads[0].factor_error"));
}

}  // namespace
}  // namespace steelyard::test
