// KeyStream over connections that break, to a server that is real: the set is
// that of the batch whatever byte was the last.
#include <signal.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/support_server/cutting_proxy.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/server_process.h"
#include "tests/support_server/spread_keys.h"

namespace steelyard::test {
namespace {

using client::Client;
using client::KeyStream;
using client::UniversalSet;
using client::UniversalSets;
using ::testing::HasSubstr;

constexpr std::int64_t kKeys = 24'000;
constexpr std::int64_t kColumns = 32;  // 3 MB: three chunks at least.
constexpr std::int64_t kBlock = 1'000;
constexpr double kEpsilon = 0.1;
constexpr auto kUp = Cut::Way::kToServer;
constexpr auto kDown = Cut::Way::kToClient;

Client ClientOf(const std::string& address) {
  client::ClientOptions options;
  options.retry.first_delay = client::Seconds(0.01);
  auto made = Client::Create(address, options);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

int PortOf(const std::string& address) {
  return std::stoi(address.substr(address.rfind(':') + 1));
}

UniversalSet BatchSet(const std::string& address, const RowMajorFloats& keys,
                      bool causal = false) {
  const auto sets = ClientOf(address).FindUniversalSet(
      keys, {.epsilon = kEpsilon, .causal = causal});
  EXPECT_TRUE(sets.ok()) << sets.status();
  return sets.ok() ? sets->heads[0] : UniversalSet{};
}

client::KeyStreamOptions Options(bool causal = false) {
  return {.columns = kColumns, .epsilon = kEpsilon, .causal = causal};
}

absl::Status AddRows(const RowMajorFloats& keys, std::int64_t first,
                     std::int64_t last, KeyStream* stream) {
  for (std::int64_t row = first; row < last; row += kBlock) {
    absl::Status added = stream->Add(keys.middleRows(row, kBlock));
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

class KeyStreamReconnectsTest : public testing::Test {
 protected:
  const RowMajorFloats keys_ = SpreadKeys(kKeys, kColumns, 5);
};

TEST_F(KeyStreamReconnectsTest, CutsAnywhereLeaveTheSetOfTheBatch) {
  const RunningServer server;
  const UniversalSet batch = BatchSet(server.address(), keys_);
  ASSERT_GT(batch.indices.size(), 5u);
  ASSERT_LT(batch.indices.size(), 24u);
  const std::deque<Cut> rows[] = {
      {{kUp, 60}},         // In the greeting of HTTP/2.
      {{kUp, 300}},        // After `open`, most likely.
      {{kUp, 1'000'000}},  // Inside a chunk.
      {{kUp, 3'072'000}},  // Inside the last chunk, or a request after it.
      {{kDown, 40}},
      {{kDown, 200}},
      {{kDown, 300}},
      {{kDown, 500}},
      {{kUp, 700'000}, {kUp, 900'000}, {kDown, 250}, {kUp, 1'500'000}},
  };
  for (const std::deque<Cut>& cuts : rows) {
    SCOPED_TRACE(cuts.front().bytes);
    CuttingProxy proxy(PortOf(server.address()), cuts);
    const Client client = ClientOf(proxy.address());
    auto stream = client.OpenKeyStream(Options());
    ASSERT_TRUE(stream.ok()) << stream.status();
    const absl::Status added = AddRows(keys_, 0, kKeys, &*stream);
    ASSERT_TRUE(added.ok()) << added;
    const auto sets = stream->Finish();
    ASSERT_TRUE(sets.ok()) << sets.status();
    EXPECT_EQ(sets->heads[0].keys, kKeys);
    EXPECT_EQ(sets->heads[0].indices, batch.indices);
    EXPECT_GE(proxy.cuts_made(), 1);
    EXPECT_EQ(proxy.connections(), proxy.cuts_made() + 1);
  }
}

// Among these bytes are `opened`, acknowledgements, the set and the status.
TEST_F(KeyStreamReconnectsTest, AnswersThatWereLostAreAskedForAgain) {
  const RunningServer server;
  const std::int64_t n = 2 * kBlock;
  const UniversalSet batch = BatchSet(server.address(), keys_.topRows(n));
  int cuts_made = 0;
  for (std::int64_t bytes = 60; bytes <= 1'100; bytes += 40) {
    SCOPED_TRACE(bytes);
    CuttingProxy proxy(PortOf(server.address()), {{kDown, bytes}});
    auto stream = ClientOf(proxy.address()).OpenKeyStream(Options());
    ASSERT_TRUE(stream.ok()) << stream.status();
    ASSERT_TRUE(AddRows(keys_, 0, n, &*stream).ok());
    const auto sets = stream->Finish();
    ASSERT_TRUE(sets.ok()) << sets.status();
    EXPECT_EQ(sets->heads[0].indices, batch.indices);
    cuts_made += proxy.cuts_made();
  }
  EXPECT_GE(cuts_made, 10);
}

TEST_F(KeyStreamReconnectsTest, SnapshotsAndCheckpointsSurviveCuts) {
  const RunningServer server;
  const UniversalSet batch = BatchSet(server.address(), keys_, true);
  CuttingProxy proxy(PortOf(server.address()));
  const Client client = ClientOf(proxy.address());
  auto stream = client.OpenKeyStream(Options(true));
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(AddRows(keys_, 0, kKeys / 2, &*stream).ok());
  proxy.CutNow();
  const auto half = stream->Snapshot();
  ASSERT_TRUE(half.ok()) << half.status();
  EXPECT_EQ(half->heads[0].keys, kKeys / 2);
  proxy.CutNow();
  const auto state = stream->Checkpoint();
  ASSERT_TRUE(state.ok()) << state.status();
  proxy.CutNow();
  ASSERT_TRUE(AddRows(keys_, kKeys / 2, kKeys, &*stream).ok());
  ASSERT_TRUE(stream->Flush().ok());
  EXPECT_EQ(stream->acknowledged(), std::vector<std::int64_t>{kKeys});
  EXPECT_GE(stream->reconnects(), 3);
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].indices, batch.indices);

  auto imported = client.ImportKeyStream(*state, {});
  ASSERT_TRUE(imported.ok()) << imported.status();
  ASSERT_EQ(imported->next_offset(), std::vector<std::int64_t>{kKeys / 2});
  ASSERT_TRUE(AddRows(keys_, kKeys / 2, kKeys, &*imported).ok());
  const auto again = imported->Finish();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->heads[0].indices, batch.indices);
}

TEST_F(KeyStreamReconnectsTest, HeadsOfDifferentLengthsSurviveCuts) {
  const RunningServer server;
  const std::int64_t lengths[] = {kKeys, 6'000};
  CuttingProxy proxy(PortOf(server.address()),
                     {{kUp, 800'000}, {kUp, 1'300'000}, {kDown, 300}});
  client::KeyStreamOptions options = Options();
  options.heads = 2;
  auto stream = ClientOf(proxy.address()).OpenKeyStream(options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  for (std::int64_t row = 0; row < kKeys; row += kBlock) {
    for (const std::int64_t head : {0, 1}) {
      if (row >= lengths[head]) continue;
      const absl::Status added =
          stream->AddToHead(head, keys_.middleRows(row, kBlock));
      ASSERT_TRUE(added.ok()) << added;
    }
  }
  const auto sets = stream->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_EQ(sets->heads.size(), 2u);
  EXPECT_EQ(sets->heads[0].indices, BatchSet(server.address(), keys_).indices);
  EXPECT_EQ(sets->heads[1].indices,
            BatchSet(server.address(), keys_.topRows(lengths[1])).indices);
  EXPECT_GE(proxy.cuts_made(), 2);
}

TEST_F(KeyStreamReconnectsTest, AKilledServerIsToldAndACheckpointGoesOn) {
  ServerProcess first({"--workers=1"});
  ASSERT_TRUE(first.WaitUntilServing()) << first.Output();
  CuttingProxy proxy(first.port());  // One port for both servers.
  const Client client = ClientOf(proxy.address());
  auto stream = client.OpenKeyStream(Options());
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE(AddRows(keys_, 0, kKeys / 2, &*stream).ok());
  const auto state = stream->Checkpoint();
  ASSERT_TRUE(state.ok()) << state.status();
  first.Signal(SIGKILL);
  first.WaitForExit();
  ServerProcess second({"--workers=1"});
  ASSERT_TRUE(second.WaitUntilServing()) << second.Output();
  proxy.PointTo(second.port());

  absl::Status lost;
  for (int round = 0; round < 100 && lost.ok(); ++round) {
    lost = AddRows(keys_, kKeys / 2, kKeys / 2 + kBlock, &*stream);
    if (lost.ok()) lost = stream->Flush();
  }
  EXPECT_EQ(lost.code(), absl::StatusCode::kNotFound) << lost;
  EXPECT_THAT(std::string(lost.message()), HasSubstr(stream->name()));
  EXPECT_EQ(stream->Finish().status(), lost);  // It is over, and says why.

  auto imported = client.ImportKeyStream(*state, {});
  ASSERT_TRUE(imported.ok()) << imported.status();
  ASSERT_EQ(imported->next_offset(), std::vector<std::int64_t>{kKeys / 2});
  ASSERT_TRUE(AddRows(keys_, kKeys / 2, kKeys, &*imported).ok());
  const auto sets = imported->Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->heads[0].indices, BatchSet(second.address(), keys_).indices);
}

TEST_F(KeyStreamReconnectsTest, AServerThatStaysAwayIsUnavailable) {
  client::ClientOptions options;
  options.retry = {.attempts_max = 3, .first_delay = client::Seconds(0.01)};
  auto server = std::make_unique<RunningServer>();
  CuttingProxy proxy(PortOf(server->address()));
  const auto client = Client::Create(proxy.address(), options);
  ASSERT_TRUE(client.ok()) << client.status();
  auto stream = client->OpenKeyStream(Options());
  ASSERT_TRUE(stream.ok()) << stream.status();
  server.reset();
  absl::Status lost = stream->Add(keys_.topRows(kBlock));
  if (lost.ok()) lost = stream->Flush();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
}

}  // namespace
}  // namespace steelyard::test
