// A stream of keys that breaks, over and over.
#include "client/src/key_session.h"

#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_key_sessions.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeKeySessions;
using test::FakeReply;
using test::FakeServer;
using test::Refusal;
using testing::ElementsAre;
using namespace std::chrono_literals;

constexpr int kUnavailable = 14;

class KeySessionTest : public testing::Test {
 protected:
  // n keys of one double each, 0, 1, 2, ...
  static std::vector<double> Keys(std::size_t n) {
    std::vector<double> keys(n);
    std::iota(keys.begin(), keys.end(), 0.0);
    return keys;
  }
  static std::string BytesOf(const std::vector<double>& keys) {
    return {reinterpret_cast<const char*>(keys.data()), keys.size() * 8};
  }

  static KeyStreamOptions Options(const std::string& id) {
    return {.set_id = id,
            .columns = 1,
            .type = ScalarType::kFloat64,
            .epsilon = 0.5};
  }

  Client Connect(FakeKeySessions* sessions) {
    server_.emplace(test::FakeHandlers{
        .read_universal_set =
            [](const FakeCall&, const auto&, const auto& write) {
              v1::UniversalSet set;
              set.set_keys(77);
              write(set);
              return FakeReply{};
            },
        .get_universal_set =
            [sessions = *sessions](const FakeCall&, const auto& request,
                                   v1::UniversalSetInfo* info) {
              const auto session = sessions.session(request.name().substr(14));
              info->set_state(v1::UniversalSetInfo::STATE_SUSPENDED);
              info->set_heads(session.open.heads());
              info->set_columns(session.open.columns());
              info->set_epsilon(session.open.epsilon());
              for (const std::int64_t next : session.next) {
                info->add_next_offset(next);
              }
              return FakeReply{};
            },
        .stream_keys =
            [sessions = *sessions](const FakeCall& call,
                                   const auto& stream) mutable {
              return sessions(call, stream);
            }});
    return *Client::Create(server_->address(), {.retry = {.attempts_max = 4,
                                                          .first_delay = 1ms,
                                                          .delay_max = 10ms,
                                                          .jitter = 0.0}});
  }

  std::optional<FakeServer> server_;
};

TEST_F(KeySessionTest, KeysArriveInChunksAndInOrder) {
  FakeKeySessions sessions({}, 40);  // Five keys a chunk.
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(stream->name(), "universalSets/a");
  const auto keys = Keys(23);
  ASSERT_TRUE(stream->Add({keys, {23, 1}}).ok());
  EXPECT_THAT(stream->next_offset(), ElementsAre(23));
  ASSERT_TRUE(stream->Flush().ok());
  EXPECT_THAT(stream->acknowledged(), ElementsAre(23));
  const auto snapshot = stream->Snapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_EQ(snapshot->heads[0].keys, 23);
  EXPECT_THAT(snapshot->heads[0].indices, ElementsAre(0, 1));
  const auto state = stream->Checkpoint();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(*state, BytesOf(keys));
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].keys, 23);
  EXPECT_EQ(sessions.session("a").keys[0], BytesOf(keys));
  EXPECT_TRUE(sessions.session("a").finished);
  EXPECT_EQ(stream->reconnects(), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(stream->Add({keys, {23, 1}})));
}

TEST_F(KeySessionTest, ABrokenConnectionIsMendedFromTheLastAcknowledgedKey) {
  const FakeReply gone{.code = kUnavailable, .message = "broken"};
  FakeKeySessions sessions(
      {{.chunks = 0, .reply = gone},  // Nobody there at first.
       {.chunks = 3, .reply = gone},  // Breaks after three chunks,
       {.chunks = 2, .ack = false, .reply = gone},  // acknowledged or not,
       {.chunks = 1, .ack = false, .reply = gone, .keeps = false},  // kept or
       {.chunks = 0, .reply = gone}},                               // not.
      40);
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto keys = Keys(100);
  for (int first = 0; first < 100; first += 10) {
    ASSERT_TRUE(stream
                    ->Add({std::vector<double>(keys.begin() + first,
                                               keys.begin() + first + 10),
                           {10, 1}})
                    .ok());
  }
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].keys, 100);
  EXPECT_EQ(sessions.session("a").keys[0], BytesOf(keys));
  EXPECT_EQ(stream->reconnects(), 3);
}

TEST_F(KeySessionTest, ALostAnswerToFinishIsReadAgain) {
  FakeKeySessions sessions({{.chunks = 99,
                             .reply = Refusal(kUnavailable, "broken"),
                             .at_finish = true}});
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(stream->Add({Keys(5), {5, 1}}).ok());
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].keys, 77);  // Of ReadUniversalSet.
}

TEST_F(KeySessionTest, ALostAnswerToTheOpeningIsFoundAgain) {
  FakeKeySessions sessions(
      {{.reply = Refusal(kUnavailable, "broken"), .after_open = true}});
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(stream->Add({Keys(5), {5, 1}}).ok());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(KeySessionTest, ANameThatIsTakenIsNotTakenOver) {
  FakeKeySessions sessions(
      {{.chunks = 9}, {.reply = Refusal(kUnavailable, "busy")}});
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok());
  ASSERT_TRUE(stream->Add({Keys(5), {5, 1}}).ok());
  ASSERT_TRUE(stream->Finish().ok());
  // The first attempt fails, the second finds somebody else's set.
  const auto again = client.OpenKeyStream(Options("a"));
  EXPECT_TRUE(absl::IsAlreadyExists(again.status())) << again.status();
}

TEST_F(KeySessionTest, AResumedStreamGoesOnWhereTheServerStands) {
  FakeKeySessions sessions;
  const Client client = Connect(&sessions);
  const auto keys = Keys(12);
  {
    auto stream = client.OpenKeyStream(Options("a"));
    ASSERT_TRUE(stream.ok());
    ASSERT_TRUE(stream->Add({keys, {12, 1}}).ok());
    ASSERT_TRUE(stream->Flush().ok());
  }  // Gone without finishing.
  auto resumed = client.ResumeKeyStream("universalSets/a");
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_THAT(resumed->next_offset(), ElementsAre(12));
  ASSERT_TRUE(resumed->Add({keys, {12, 1}}).ok());
  EXPECT_EQ(resumed->Finish()->heads[0].keys, 24);
  EXPECT_TRUE(absl::IsNotFound(client.ResumeKeyStream("nobody").status()));
}

TEST_F(KeySessionTest, AnImportedStreamGoesOnWhereTheStateEnds) {
  FakeKeySessions sessions(
      {{.chunks = 0, .reply = Refusal(kUnavailable, "not yet")}});
  const Client client = Connect(&sessions);
  const std::string state = BytesOf(Keys(300000));  // Three chunks of state.
  auto stream = client.ImportKeyStream(state, {.ttl = 60s});
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_THAT(stream->next_offset(), ElementsAre(300000));
  EXPECT_THAT(stream->name(), testing::StartsWith("universalSets/stream-"));
  ASSERT_TRUE(stream->Add({Keys(5), {5, 1}}).ok());
  EXPECT_EQ(stream->Finish()->heads[0].keys, 300005);
  const auto session = sessions.session(stream->name().substr(14));
  EXPECT_EQ(session.open.ttl().seconds(), 60);
  EXPECT_EQ(session.open.dtype(), v1::DTYPE_UNSPECIFIED);
}

TEST_F(KeySessionTest, AnErrorThatRetryingDoesNotHelpEndsTheStream) {
  FakeKeySessions sessions({{.chunks = 1, .reply = Refusal(3, "NaN")}}, 40);
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok());
  absl::Status status = stream->Add({Keys(5), {5, 1}});
  if (status.ok()) status = stream->Finish().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(DetailOf(status)->attempts, 1);
  EXPECT_EQ(stream->Snapshot().status(), status);
  EXPECT_EQ(sessions.attachments(), 1);
}

TEST_F(KeySessionTest, ItGivesUpWhereNothingEverWorks) {
  const FakeReply gone = Refusal(kUnavailable, "broken");
  FakeKeySessions sessions({{.chunks = 0, .reply = gone},
                            {.chunks = 0, .reply = gone},
                            {.chunks = 0, .reply = gone},
                            {.chunks = 0, .reply = gone}});
  const Client client = Connect(&sessions);
  const auto stream = client.OpenKeyStream(Options("a"));
  EXPECT_TRUE(absl::IsUnavailable(stream.status()));
  EXPECT_EQ(DetailOf(stream.status())->attempts, 4);
}

TEST_F(KeySessionTest, WrongKeysAreRefusedAndTheStreamGoesOn) {
  FakeKeySessions sessions;
  const Client client = Connect(&sessions);
  auto stream = client.OpenKeyStream(Options("a"));
  ASSERT_TRUE(stream.ok());
  const auto keys = Keys(6);
  const std::vector<float> narrow(6);
  const auto reason = [&](const TensorView& view) {
    const absl::Status status = stream->Add(view);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return DetailOf(status)->reason;
  };
  EXPECT_EQ(reason({narrow, {6, 1}}), "WRONG_DTYPE");
  EXPECT_EQ(reason({keys, {3, 2}}), "WRONG_SHAPE");
  EXPECT_EQ(reason({keys, {2, 3, 1}}), "WRONG_SHAPE");
  EXPECT_EQ(reason({keys, {6}}), "WRONG_SHAPE");
  EXPECT_EQ(reason({keys, {0, 1}}), "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(reason({keys, {7, 1}}), "WRONG_SIZE");
  EXPECT_TRUE(absl::IsInvalidArgument(stream->AddToHead(1, {keys, {6, 1}})));
  EXPECT_TRUE(stream->AddToHead(0, {keys, {6, 1}}).ok());
  EXPECT_EQ(stream->Finish()->heads[0].keys, 6);
}

TEST_F(KeySessionTest, HeadsOfDifferentLength) {
  FakeKeySessions sessions(
      {{.chunks = 2, .ack = false, .reply = Refusal(kUnavailable, "broken")}});
  const Client client = Connect(&sessions);
  KeyStreamOptions options = Options("a");
  options.heads = 2;
  auto stream = client.OpenKeyStream(options);
  ASSERT_TRUE(stream.ok());
  const auto keys = Keys(6);
  ASSERT_TRUE(stream->Add({keys, {2, 3, 1}}).ok());
  ASSERT_TRUE(stream->AddToHead(1, {keys, {6, 1}}).ok());
  EXPECT_THAT(stream->next_offset(), ElementsAre(3, 9));
  EXPECT_TRUE(absl::IsFailedPrecondition(stream->Add({keys, {2, 3, 1}})));
  ASSERT_TRUE(stream->AddToHead(0, {keys, {6, 1}}).ok());
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].keys, 9);
  EXPECT_EQ(sets->heads[1].keys, 9);
  EXPECT_EQ(sessions.session("a").keys[1],
            BytesOf({3, 4, 5, 0, 1, 2, 3, 4, 5}));
}

TEST_F(KeySessionTest, AStopEndsAWait) {
  // Never acknowledges, and does not answer the finish.
  FakeServer server(
      {.stream_keys = [](const FakeCall& call, const auto& stream) {
        v1::StreamKeysResponse opened;
        opened.mutable_opened()->add_next_offset(0);
        opened.mutable_opened()->set_chunk_bytes_max(1000);
        stream.write(opened);
        v1::StreamKeysRequest request;
        while (stream.read(&request) && !call.cancelled()) {
        }
        return FakeReply{};
      }});
  const auto client = Client::Create(server.address());
  std::stop_source source;
  auto stream =
      client->OpenKeyStream(Options("a"), {.stop = source.get_token()});
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(stream->Add({Keys(5), {5, 1}}).ok());
  std::jthread stopper([&source] {
    std::this_thread::sleep_for(20ms);
    source.request_stop();
  });
  EXPECT_TRUE(absl::IsCancelled(stream->Finish().status()));
}

TEST_F(KeySessionTest, SilenceCountsAsABrokenConnection) {
  // The first attachment says nothing; the others answer.
  FakeKeySessions sessions;
  std::atomic<int> calls{0};
  FakeServer server({.stream_keys = [&](const FakeCall& call,
                                        const auto& stream) -> FakeReply {
    if (++calls == 1) {
      while (!call.cancelled()) std::this_thread::sleep_for(1ms);
      return {};
    }
    return sessions(call, stream);
  }});
  const auto client =
      Client::Create(server.address(), {.retry = {.first_delay = 1ms}});
  KeyStreamOptions options = Options("a");
  options.flow.silence_max = 50ms;
  const auto stream = client->OpenKeyStream(options);
  EXPECT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(calls, 2);
}

TEST_F(KeySessionTest, TheDeadlineIsOfTheWholeStream) {
  FakeServer server({.stream_keys = [](const FakeCall& call, const auto&) {
    EXPECT_LT(call.deadline_left, Seconds(1.0));
    while (!call.cancelled()) std::this_thread::sleep_for(1ms);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const auto stream = client->OpenKeyStream(Options("a"), {.deadline = 50ms});
  EXPECT_TRUE(absl::IsDeadlineExceeded(stream.status())) << stream.status();
}

TEST_F(KeySessionTest, OptionsOutOfRangeAreNamed) {
  FakeKeySessions sessions;
  const Client client = Connect(&sessions);
  KeyStreamOptions options = Options("a");
  options.flow.buffer_bytes_max = 5;
  EXPECT_EQ(DetailOf(client.OpenKeyStream(options).status())->field,
            "flow.buffer_bytes_max");
  options = Options("a");
  options.flow.silence_max = 0s;
  EXPECT_EQ(DetailOf(client.OpenKeyStream(options).status())->field,
            "flow.silence_max");
  EXPECT_EQ(sessions.attachments(), 0);
}

// The buffer is the bound on what Add takes beyond what the server has.
TEST_F(KeySessionTest, AddWaitsForRoom) {
  std::atomic<bool> reads{false};
  FakeKeySessions sessions;
  FakeServer server({.stream_keys = [&](const FakeCall& call,
                                        const auto& stream) -> FakeReply {
    const auto slow_read = [&](v1::StreamKeysRequest* request) {
      if (!stream.read(request)) return false;
      while (request->has_chunk() && !reads && !call.cancelled()) {
        std::this_thread::sleep_for(1ms);
      }
      return true;
    };
    return sessions(call, {slow_read, stream.write});
  }});
  const auto client = Client::Create(server.address());
  KeyStreamOptions options = Options("a");
  options.flow.buffer_bytes_max = 1 << 20;
  auto stream = client->OpenKeyStream(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto keys = Keys(1 << 17);  // 1 MiB.
  ASSERT_TRUE(stream->Add({keys, {1 << 17, 1}}).ok());
  EXPECT_THAT(stream->acknowledged(), ElementsAre(0));
  std::jthread opener([&reads] {
    std::this_thread::sleep_for(20ms);
    reads = true;
  });
  ASSERT_TRUE(stream->Add({keys, {1 << 17, 1}}).ok());
  EXPECT_TRUE(reads);  // Not before.
  EXPECT_GE(stream->acknowledged()[0], 1 << 17);
  EXPECT_EQ(stream->Finish()->heads[0].keys, 1 << 18);
}

}  // namespace
}  // namespace steelyard::client
