// The calls that find, keep and read universal sets, each once, against a
// server that checks what arrives.
#include <mutex>
#include <vector>

#include "client/src/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::Refusal;
using testing::ElementsAre;
using namespace std::chrono_literals;

Client ClientOf(const FakeServer& server) {
  return *Client::Create(server.address(), {.retry = {.first_delay = 1ms}});
}

TEST(ClientUniversalSetsTest,
     StreamFindUniversalSetJoinsPartsOfTheLastAttempt) {
  FakeServer server(
      {.stream_find_universal_set = [](const FakeCall& call,
                                       const auto& request, const auto& write) {
        EXPECT_FALSE(request.has_max_response_bytes());
        v1::FindUniversalSetEvent event;
        event.mutable_progress()->set_fraction(0.5);
        write(event);
        event.mutable_set()->add_indices(call.number);
        event.mutable_set()->add_sensitivities(0.5);
        event.mutable_set()->set_more_follows(true);
        write(event);
        if (call.number == 1) return Refusal(14, "broken");
        event.mutable_set()->set_more_follows(false);
        write(event);
        return FakeReply{};
      }});
  const Eigen::MatrixXf keys = Eigen::MatrixXf::Ones(3, 2);
  std::vector<int> attempts;
  const auto sets = ClientOf(server).StreamFindUniversalSet(
      keys, {.epsilon = 0.5},
      [&](const Progress& progress) { attempts.push_back(progress.attempt); });
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_EQ(sets->heads.size(), 1U);
  EXPECT_THAT(sets->heads[0].indices, ElementsAre(2, 2));
  EXPECT_THAT(attempts, ElementsAre(1, 2));
}

TEST(ClientUniversalSetsTest, GetAndDelete) {
  FakeServer server({.get_universal_set =
                         [](const FakeCall&, const auto& request,
                            v1::UniversalSetInfo* info) {
                           info->set_name(request.name());
                           info->set_columns(64);
                           return FakeReply{};
                         },
                     .delete_universal_set =
                         [](const FakeCall&, const auto& request, auto*) {
                           return request.name() == "universalSets/a"
                                      ? FakeReply{}
                                      : FakeReply{.code = 5, .message = "none"};
                         }});
  const Client client = ClientOf(server);
  const auto info = client.GetUniversalSet("a");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "universalSets/a");
  EXPECT_EQ(info->columns, 64);
  EXPECT_TRUE(client.DeleteUniversalSet("universalSets/a").ok());
  EXPECT_TRUE(absl::IsNotFound(client.DeleteUniversalSet("b")));
}

TEST(ClientUniversalSetsTest, ListGathersEveryPage) {
  FakeServer server(
      {.list_universal_sets = [](const FakeCall&, const auto& request,
                                 v1::ListUniversalSetsResponse* response) {
        const std::string& token = request.page_token();
        response->add_sets()->set_name("set" + token);
        if (token.size() < 2) {
          response->set_next_page_token(token + "x");
        }
        return FakeReply{};
      }});
  const auto sets = ClientOf(server).ListUniversalSets();
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_EQ(sets->size(), 3U);
  EXPECT_EQ((*sets)[2].name, "setxx");
}

TEST(ClientUniversalSetsTest, ExportStateJoinsItsChunks) {
  FakeServer server({.export_state = [](const FakeCall& call, const auto&,
                                        const auto& write) {
    v1::StateChunk chunk;
    for (const std::string data : {"abc", "de"}) {
      chunk.set_data(data);
      chunk.set_crc32c(Crc32c(data));
      chunk.set_last(data == "de");
      write(chunk);
      chunk.set_offset(3);
      if (call.number == 1) return Refusal(14, "broken");
    }
    return FakeReply{};
  }});
  const auto state = ClientOf(server).ExportState("a");
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(*state, "abcde");
}

TEST(ClientUniversalSetsTest, MergeStatesSendsEveryShardWithEveryAttempt) {
  // Threads of the server write it. gRPC orders that before the client's end of
  // the call, but TSan does not see into gRPC.
  std::mutex mutex;
  std::vector<std::string> received;
  FakeServer server({.merge_states = [&](const FakeCall& call, const auto& read,
                                         v1::MergeStatesResponse* response) {
    const std::lock_guard lock(mutex);
    received.clear();
    v1::MergeStatesRequest request;
    EXPECT_TRUE(read(&request));
    EXPECT_EQ(request.open().set_id(), "sum");
    EXPECT_THAT(request.open().names(), ElementsAre("universalSets/here"));
    EXPECT_EQ(request.open().ttl().seconds(), 30);
    while (read(&request)) {
      const v1::ShardChunk& shard = request.shard();
      EXPECT_EQ(shard.chunk().crc32c(), Crc32c(shard.chunk().data()));
      received.resize(static_cast<std::size_t>(shard.shard()) + 1);
      received.back() += shard.chunk().data();
    }
    if (call.number == 1) return Refusal(14, "broken");
    response->mutable_info()->set_name("universalSets/sum");
    return FakeReply{};
  }});
  const std::string large(3 << 20, 'x');
  const auto info = ClientOf(server).MergeStates(
      {.names = {"here"}, .states = {large, "small"}},
      {.set_id = "sum", .ttl = 30s});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name, "universalSets/sum");
  const std::lock_guard lock(mutex);
  EXPECT_THAT(received, ElementsAre(large, "small"));
}

}  // namespace
}  // namespace steelyard::client
