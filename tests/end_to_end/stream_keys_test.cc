// StreamKeys: the state machine, sessions that outlive their streams, and every
// bad message.
#include <signal.h>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/server_process.h"
#include "tests/support_server/streamed_keys.h"

namespace steelyard::test {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr std::int64_t kKeys = 500;
constexpr std::int64_t kColumns = 8;

class StreamKeysTest : public testing::Test {
 protected:
  // The set of all keys in one request.
  v1::UniversalSet BatchSet() const {
    v1::FindUniversalSetRequest request;
    *request.mutable_keys()->mutable_dense() = keys_;
    request.set_epsilon(0.1);
    v1::FindUniversalSetResponse response;
    EXPECT_TRUE(caller_.Find(request, &response).ok());
    EXPECT_EQ(response.sets(0).undecided_size(), 0);
    return response.sets(0);
  }

  void ExpectBatchSet(const std::vector<v1::UniversalSet>& sets) const {
    ASSERT_EQ(sets.size(), 1u);
    const v1::UniversalSet batch = BatchSet();
    EXPECT_THAT(sets[0].indices(), ElementsAreArray(batch.indices()));
    EXPECT_EQ(sets[0].keys(), kKeys);
    EXPECT_GT(sets[0].indices_size(), 3);
  }

  v1::UniversalSetInfo Info(const std::string& id) const {
    v1::UniversalSetInfo info;
    const grpc::Status status = caller_.Get("universalSets/" + id, &info);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return info;
  }

  // Streams end a little after their client's part.
  v1::UniversalSetInfo InfoOnceSuspended(const std::string& id) const {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Info(id).state() == v1::UniversalSetInfo::STATE_RECEIVING &&
           std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return Info(id);
  }

  // A session whose first half is acknowledged and whose stream is broken.
  void BreakInTheMiddle(const std::string& id) const {
    StreamedKeys stream(caller_);
    stream.Send(OpenMessage(id, kColumns));
    stream.SendKeys(keys_, 0, kKeys / 2, 50);
    ASSERT_TRUE(stream.WaitForAck(kKeys / 2));
    stream.Break();
    (void)stream.Finish();
  }

  void FinishFrom(StreamedKeys& stream, std::int64_t offset) const {
    stream.SendKeys(keys_, offset, kKeys, 50);
    stream.Send(FinishMessage());
    const grpc::Status status = stream.Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    ExpectBatchSet(stream.sets());
  }

  RunningServer running_;
  const SetCaller caller_{running_.address()};
  const v1::Tensor keys_ = WideKeys(kKeys, kColumns, 7);
};

TEST_F(StreamKeysTest, TheStreamedSetIsThatOfTheBatchForEveryChunkSize) {
  for (const std::int64_t rows : {1, 7, 64, 500}) {
    SCOPED_TRACE(rows);
    ExpectBatchSet(StreamAll(caller_, OpenMessage("", kColumns), keys_, rows));
  }
}

TEST_F(StreamKeysTest, OpenedTellsNameOffsetsAndTheLargestChunk) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("", kColumns, 3));
  const v1::OpenedKeys* const opened = stream.Opened();
  ASSERT_NE(opened, nullptr);
  EXPECT_THAT(opened->name(), testing::StartsWith("universalSets/"));
  EXPECT_THAT(opened->next_offset(), ElementsAre(0, 0, 0));
  EXPECT_EQ(opened->chunk_bytes_max(), 1 << 20);
}

TEST_F(StreamKeysTest, AllHeadsMayComeInOneChunk) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("both", kColumns, 2));
  // Heads of 250 keys each.
  v1::StreamKeysRequest message = ChunkMessage(keys_, 0, kKeys);
  v1::Tensor* const keys = message.mutable_chunk()->mutable_keys();
  message.mutable_chunk()->clear_head();
  keys->clear_shape();
  for (const std::int64_t extent : {std::int64_t{2}, kKeys / 2, kColumns}) {
    keys->add_shape(extent);
  }
  stream.Send(message);
  stream.Send(FinishMessage());
  const grpc::Status status = stream.Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::FindUniversalSetRequest request;
  *request.mutable_keys()->mutable_dense() = *keys;
  request.set_epsilon(0.1);
  v1::FindUniversalSetResponse batch;
  ASSERT_TRUE(caller_.Find(request, &batch).ok());
  ASSERT_EQ(stream.sets().size(), 2u);
  for (int head = 0; head < 2; ++head) {
    EXPECT_THAT(stream.sets()[static_cast<std::size_t>(head)].indices(),
                ElementsAreArray(batch.sets(head).indices()));
  }
  EXPECT_THAT(stream.acked(), ElementsAre(250, 250));
}

TEST_F(StreamKeysTest, ASnapshotCountsTheChunksBeforeItAndTheStreamGoesOn) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("keys", kColumns));
  stream.Send(SnapshotMessage());
  EXPECT_EQ(stream.ReadSet().indices_size(), 0);
  stream.SendKeys(keys_, 0, 200, 50);
  stream.Send(SnapshotMessage());
  EXPECT_EQ(stream.ReadSet().keys(), 200);
  FinishFrom(stream, 200);
}

TEST_F(StreamKeysTest, AFinishedSetIsReadOnlyAndStays) {
  const auto sets =
      StreamAll(caller_, OpenMessage("keys", kColumns), keys_, 100);
  ExpectBatchSet(sets);
  EXPECT_EQ(Info("keys").state(), v1::UniversalSetInfo::STATE_FINISHED);
  EXPECT_THAT(Info("keys").next_offset(), ElementsAre(kKeys));
  std::vector<v1::UniversalSet> parts;
  v1::ReadUniversalSetRequest request;
  request.set_name("universalSets/keys");
  ASSERT_TRUE(caller_.Read(request, &parts).ok());
  EXPECT_EQ(Joined(parts).front().SerializeAsString(),
            sets[0].SerializeAsString());

  StreamedKeys again(caller_);
  again.Send(ResumeMessage("keys"));
  const grpc::Status refused = again.Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(SetCaller::ReasonOf(refused), "SET_FINISHED");
  StreamedKeys other(caller_);
  other.Send(OpenMessage("keys", kColumns));
  EXPECT_EQ(other.Finish().error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(StreamKeysTest, AcknowledgedKeysSurviveABrokenConnection) {
  BreakInTheMiddle("keys");
  const v1::UniversalSetInfo info = InfoOnceSuspended("keys");
  EXPECT_EQ(info.state(), v1::UniversalSetInfo::STATE_SUSPENDED);
  EXPECT_THAT(info.next_offset(), ElementsAre(kKeys / 2));

  StreamedKeys stream(caller_);
  stream.Send(ResumeMessage("keys"));
  const v1::OpenedKeys* const opened = stream.Opened();
  ASSERT_NE(opened, nullptr);
  EXPECT_THAT(opened->next_offset(), ElementsAre(kKeys / 2));
  FinishFrom(stream, kKeys / 2);
}

TEST_F(StreamKeysTest, AHalfClosedStreamLeavesTheSessionAndOk) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("keys", kColumns));
  stream.SendKeys(keys_, 0, 100, 50);
  stream.HalfClose();
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_THAT(stream.acked(), ElementsAre(100));
  EXPECT_EQ(Info("keys").state(), v1::UniversalSetInfo::STATE_SUSPENDED);
}

TEST_F(StreamKeysTest, WhoResumesTakesASilentStreamOver) {
  StreamedKeys first(caller_);
  first.Send(OpenMessage("keys", kColumns));
  first.SendKeys(keys_, 0, 100, 100);
  ASSERT_TRUE(first.WaitForAck(100));
  const SetCaller elsewhere(running_.address());
  StreamedKeys second(elsewhere);
  second.Send(ResumeMessage("keys"));
  ASSERT_NE(second.Opened(), nullptr);
  const grpc::Status status = first.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(SetCaller::ReasonOf(status), "TAKEN_OVER");
  FinishFrom(second, 100);
}

TEST_F(StreamKeysTest, DeletingEndsTheStreamAndReleasesTheMemory) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("keys", kColumns));
  ASSERT_NE(stream.Opened(), nullptr);
  const Caller info(running_.address());
  EXPECT_GT(info.MemoryReserved(), 0);
  EXPECT_TRUE(caller_.Delete("universalSets/keys").ok());
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  v1::ServerInfo left;
  do {
    grpc::ClientContext context;
    ASSERT_TRUE(info.GetServerInfo(&context, &left).ok());
  } while ((left.set_memory_reserved_bytes() > 0 ||
            left.memory_reserved_bytes() > 0) &&
           std::chrono::steady_clock::now() < end);
  EXPECT_EQ(left.set_memory_reserved_bytes(), 0);
  EXPECT_EQ(left.memory_reserved_bytes(), 0);
}

TEST_F(StreamKeysTest, ASuspendedSessionExpires) {
  StreamedKeys stream(caller_);
  v1::StreamKeysRequest open = OpenMessage("keys", kColumns);
  open.mutable_open()->mutable_ttl()->set_nanos(20'000'000);
  stream.Send(open);
  ASSERT_NE(stream.Opened(), nullptr);
  // Not while the stream is attached.
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(Info("keys").state(), v1::UniversalSetInfo::STATE_RECEIVING);
  stream.HalfClose();
  EXPECT_TRUE(stream.Finish().ok());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  v1::UniversalSetInfo info;
  while (caller_.Get("universalSets/keys", &info).ok() &&
         std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(caller_.Get("universalSets/keys", &info).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(StreamKeysTest, ASilentStreamIsEnded) {
  server::ServerConfig config = TestConfig();
  config.stream_idle = absl::Milliseconds(50);
  RunningServer impatient(config);
  const SetCaller caller(impatient.address());
  StreamedKeys stream(caller);
  stream.Send(OpenMessage("keys", kColumns));
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(SetCaller::ReasonOf(status), "STREAM_IDLE");
  StreamedKeys mute(caller);
  EXPECT_EQ(SetCaller::ReasonOf(mute.Finish()), "STREAM_IDLE");
}

TEST_F(StreamKeysTest, StreamsHaveABoundThatLeavesOtherCallsAlone) {
  server::ServerConfig config = TestConfig();
  config.limits.streams_max = 2;
  RunningServer narrow(config);
  const SetCaller caller(narrow.address());
  StreamedKeys one(caller);
  StreamedKeys two(caller);
  one.Send(OpenMessage("one", kColumns));
  two.Send(OpenMessage("two", kColumns));
  ASSERT_NE(one.Opened(), nullptr);
  ASSERT_NE(two.Opened(), nullptr);
  StreamedKeys three(caller);
  three.Send(OpenMessage("three", kColumns));
  const grpc::Status status = three.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(SetCaller::ReasonOf(status), "QUEUE_FULL");
  v1::FindUniversalSetResponse response;
  EXPECT_TRUE(caller.Find(UniversalSetRequest(50, 4), &response).ok());
}

TEST_F(StreamKeysTest, ManyIdleStreamsDoNotHoldUpOtherCalls) {
  constexpr int kStreams = 100;
  server::ServerConfig config = TestConfig();
  // Reserved, not used: the machine of the test may be small.
  config.memory_budget = std::int64_t{1} << 40;
  config.set_memory = std::int64_t{1} << 40;
  RunningServer roomy(config);
  const SetCaller caller(roomy.address());
  std::vector<std::unique_ptr<StreamedKeys>> streams;
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(std::make_unique<StreamedKeys>(caller));
    streams.back()->Send(OpenMessage("", kColumns));
    ASSERT_NE(streams.back()->Opened(), nullptr) << i;
  }
  for (int i = 0; i < 20; ++i) {
    v1::FindUniversalSetResponse response;
    EXPECT_TRUE(caller.Find(UniversalSetRequest(50, 4), &response).ok());
  }
  // Each of them is still alive.
  for (const auto& stream : streams) {
    stream->SendKeys(keys_, 0, 10, 10);
    stream->HalfClose();
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_THAT(stream->acked(), ElementsAre(10));
  }
}

TEST_F(StreamKeysTest, ADrainEndsASilentStreamSoon) {
  StreamedKeys stream(caller_);
  stream.Send(OpenMessage("keys", kColumns));
  stream.SendKeys(keys_, 0, 100, 100);
  ASSERT_TRUE(stream.WaitForAck(100));
  std::thread drain([this] {
    running_.server().Drain([](absl::Duration time) {
      std::this_thread::sleep_for(absl::ToChronoMilliseconds(time));
      return false;
    });
  });
  const grpc::Status status = stream.Finish();
  drain.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(SetCaller::ReasonOf(status), "DRAINING");
}

TEST_F(StreamKeysTest, ACheckpointGoesOnOnAnotherServerAfterAKill) {
  std::vector<v1::StateChunk> state;
  {
    ServerProcess doomed({"--workers=2", "--log-level=error"});
    ASSERT_TRUE(doomed.WaitUntilServing());
    const SetCaller caller(doomed.address());
    StreamedKeys stream(caller);
    stream.Send(OpenMessage("keys", kColumns));
    stream.SendKeys(keys_, 0, 200, 30);
    stream.Send(CheckpointMessage());
    state = stream.ReadState();
    doomed.Signal(SIGKILL);
    EXPECT_FALSE(stream.Finish().ok());
  }
  ASSERT_FALSE(state.empty());
  StreamedKeys stream(caller_);
  v1::StreamKeysRequest open;
  open.mutable_open()->set_import_state(true);
  open.mutable_open()->set_set_id("keys");
  stream.Send(open);
  for (const v1::StateChunk& chunk : state) stream.Send(StateMessage(chunk));
  const v1::OpenedKeys* const opened = stream.Opened();
  ASSERT_NE(opened, nullptr);
  EXPECT_THAT(opened->next_offset(), ElementsAre(200));
  FinishFrom(stream, 200);
}

struct BadMessage {
  const char* name;
  std::function<void(v1::StreamKeysRequest*)> mutate;
  const char* reason;
  const char* text;
};

std::vector<BadMessage> BadPlaces() {
  const auto keys = [](v1::StreamKeysRequest* message) {
    return message->mutable_chunk()->mutable_keys();
  };
  return {
      {"repeated offset", [](auto* m) { m->mutable_chunk()->set_offset(60); },
       "OFFSET_MISMATCH", "chunk.offset is 60; head 0 goes on at 100"},
      {"skipped offset", [](auto* m) { m->mutable_chunk()->set_offset(101); },
       "OFFSET_MISMATCH", "goes on at 100"},
      {"wrong width",
       [=](auto* m) {
         keys(m)->set_shape(0, 20 * kColumns / 4);
         keys(m)->set_shape(1, 4);
       },
       "WRONG_SHAPE", "the keys of this session have 8 columns"},
      {"stops in the middle of a key",
       [=](auto* m) { keys(m)->mutable_data()->pop_back(); }, "WRONG_SIZE",
       "chunk.keys.data has"},
  };
}

std::vector<BadMessage> BadContents() {
  const auto keys = [](v1::StreamKeysRequest* message) {
    return message->mutable_chunk()->mutable_keys();
  };
  return {
      {"another dtype",
       [=](auto* m) {
         keys(m)->set_dtype(v1::DTYPE_FLOAT32);
         keys(m)->mutable_data()->resize(20 * kColumns * 4);
       },
       "WRONG_DTYPE", "is FLOAT32; open.dtype is FLOAT64"},
      {"NaN in row 113",
       [=](auto* m) {
         keys(m)->mutable_data()->replace(13 * kColumns * 8, 8, 8, '\xFF');
       },
       "NOT_FINITE", "row 113 of head 0"},
      {"head outside", [](auto* m) { m->mutable_chunk()->set_head(1); },
       "FIELD_OUT_OF_RANGE", "chunk.head is 1"},
      {"negative head", [](auto* m) { m->mutable_chunk()->set_head(-1); },
       "FIELD_OUT_OF_RANGE", "chunk.head is -1"},
      {"wrong checksum", [](auto* m) { m->mutable_chunk()->set_crc32c(17); },
       "CHECKSUM_MISMATCH", "chunk.crc32c is 17"},
      {"no keys", [](auto* m) { m->mutable_chunk()->clear_keys(); },
       "FIELD_REQUIRED", "chunk.keys is required"},
      {"no rows",
       [=](auto* m) {
         keys(m)->set_shape(0, 0);
         keys(m)->clear_data();
       },
       "FIELD_REQUIRED", "chunk.keys.data"},
      {"two heads for one",
       [=](auto* m) {
         m->mutable_chunk()->clear_head();
         keys(m)->clear_shape();
         for (const std::int64_t extent : {2, 10, 8})
           keys(m)->add_shape(extent);
       },
       "WRONG_SHAPE", "has 2 heads"},
      {"more than 1 MiB",
       [=](auto* m) {
         keys(m)->set_shape(0, (1 << 17) / kColumns + 1);
         keys(m)->mutable_data()->resize((1 << 20) + 8 * kColumns);
       },
       "LIMIT_EXCEEDED", "chunk_bytes_max"},
  };
}

std::vector<BadMessage> OutOfOrder() {
  return {
      {"open again", [](auto* m) { *m = OpenMessage("again", kColumns); },
       "MESSAGE_OUT_OF_ORDER", "open came after opened"},
      {"state out of order",
       [](auto* m) { m->mutable_state()->set_last(true); },
       "MESSAGE_OUT_OF_ORDER", "state came after opened"},
      {"empty message", [](auto* m) { m->Clear(); }, "FIELD_REQUIRED",
       "message is required"},
  };
}

std::vector<BadMessage> BadMessages() {
  std::vector<BadMessage> all;
  for (auto some : {BadPlaces(), BadContents(), OutOfOrder()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST_F(StreamKeysTest, ABadMessageEndsTheStreamInTheStateBeforeIt) {
  int number = 0;
  for (const BadMessage& bad : BadMessages()) {
    SCOPED_TRACE(bad.name);
    const std::string id = "bad-" + std::to_string(number++);
    StreamedKeys stream(caller_);
    stream.Send(OpenMessage(id, kColumns));
    stream.SendKeys(keys_, 0, 100, 40);
    v1::StreamKeysRequest message = ChunkMessage(keys_, 100, 20);
    bad.mutate(&message);
    // The client goes silent: the status comes all the same.
    stream.Send(message);
    const grpc::Status status = stream.Finish();
    EXPECT_EQ(SetCaller::ReasonOf(status), bad.reason)
        << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(bad.text));
    EXPECT_THAT(stream.acked(), ElementsAre(100));
    const v1::UniversalSetInfo info = InfoOnceSuspended(id);
    EXPECT_EQ(info.state(), v1::UniversalSetInfo::STATE_SUSPENDED);
    EXPECT_THAT(info.next_offset(), ElementsAre(100));
    std::vector<v1::StateChunk> state;
    EXPECT_TRUE(caller_.Export("universalSets/" + id, &state).ok());
    EXPECT_FALSE(state.empty());
  }
  // The last one goes on as if nothing had been.
  StreamedKeys stream(caller_);
  stream.Send(ResumeMessage("bad-0"));
  ASSERT_NE(stream.Opened(), nullptr);
  FinishFrom(stream, 100);
}

TEST_F(StreamKeysTest, ANaNFarIntoAShardIsToldByItsGlobalRow) {
  StreamedKeys stream(caller_);
  v1::StreamKeysRequest open = OpenMessage("shard", kColumns);
  open.mutable_open()->set_first_index(6'999'900);
  stream.Send(open);
  stream.SendKeys(keys_, 0, 100, 100);
  v1::StreamKeysRequest message = ChunkMessage(keys_, 100, 20);
  message.mutable_chunk()->mutable_keys()->mutable_data()->replace(
      3 * kColumns * 8, 8, 8, '\xFF');
  message.mutable_chunk()->set_crc32c(
      server::Crc32c(message.chunk().keys().data()));
  stream.Send(message);
  const grpc::Status status = stream.Finish();
  EXPECT_EQ(SetCaller::ReasonOf(status), "NOT_FINITE");
  EXPECT_THAT(status.error_message(), HasSubstr("row 7000003 of head 0"));
}

std::vector<BadMessage> BadOpenings() {
  using Open = v1::OpenKeys;
  const auto change = [](const std::function<void(Open*)>& mutate) {
    return [mutate](v1::StreamKeysRequest* m) { mutate(m->mutable_open()); };
  };
  return {
      {"no open", [](auto* m) { m->mutable_finish(); }, "MESSAGE_OUT_OF_ORDER",
       "finish came first"},
      {"no columns", change([](Open* o) { o->clear_columns(); }),
       "FIELD_REQUIRED", "open.columns is required"},
      {"too many columns", change([](Open* o) { o->set_columns(8193); }),
       "LIMIT_EXCEEDED", "open.columns is 8193"},
      {"no heads", change([](Open* o) { o->set_heads(-1); }),
       "FIELD_OUT_OF_RANGE", "open.heads is -1"},
      {"too many heads", change([](Open* o) { o->set_heads(5000); }),
       "LIMIT_EXCEEDED", "open.heads"},
      {"no dtype", change([](Open* o) { o->clear_dtype(); }), "FIELD_REQUIRED",
       "open.dtype"},
      {"INT64", change([](Open* o) { o->set_dtype(v1::DTYPE_INT64); }),
       "WRONG_DTYPE", "open.dtype"},
      {"no epsilon", change([](Open* o) { o->clear_epsilon(); }),
       "FIELD_REQUIRED", "open.epsilon"},
      {"epsilon NaN", change([](Open* o) {
         o->set_epsilon(std::numeric_limits<double>::quiet_NaN());
       }),
       "FIELD_OUT_OF_RANGE", "open.epsilon is nan"},
      {"softmax", change([](Open* o) {
         o->mutable_function()->mutable_softmax()->set_mode(
             v1::SOFTMAX_MODE_HEURISTIC);
       }),
       "FIELD_OUT_OF_RANGE", "open.function.softmax"},
      {"power 100", change([](Open* o) {
         o->mutable_function()->mutable_power()->set_p(100.0);
       }),
       "FIELD_OUT_OF_RANGE", "open.function.power.p is 100"},
      {"negative first_index", change([](Open* o) { o->set_first_index(-1); }),
       "FIELD_OUT_OF_RANGE", "open.first_index"},
      {"ttl of days",
       change([](Open* o) { o->mutable_ttl()->set_seconds(1 << 20); }),
       "FIELD_OUT_OF_RANGE", "open.ttl"},
      {"id", change([](Open* o) { o->set_set_id("No"); }), "FIELD_OUT_OF_RANGE",
       "open.set_id"},
      {"resume and import", change([](Open* o) {
         o->set_resume(true);
         o->set_import_state(true);
       }),
       "CONFLICTING_FIELDS", "open.import_state"},
  };
}

TEST_F(StreamKeysTest, ABadOpeningIsRefusedAndNothingIsKept) {
  for (const BadMessage& bad : BadOpenings()) {
    SCOPED_TRACE(bad.name);
    StreamedKeys stream(caller_);
    v1::StreamKeysRequest message = OpenMessage("keys", kColumns);
    bad.mutate(&message);
    stream.Send(message);
    const grpc::Status status = stream.Finish();
    EXPECT_EQ(SetCaller::ReasonOf(status), bad.reason)
        << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(bad.text));
  }
  StreamedKeys nobody(caller_);
  nobody.Send(ResumeMessage("nobody"));
  EXPECT_EQ(nobody.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  v1::ListUniversalSetsResponse list;
  ASSERT_TRUE(caller_.List({}, &list).ok());
  EXPECT_EQ(list.sets_size(), 0);
}

}  // namespace
}  // namespace steelyard::test
