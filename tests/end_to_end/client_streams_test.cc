// The streamed calls of the client library against a server that is real, over
// connections that hold and over some that do not.
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/support_server/cutting_proxy.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/spread_keys.h"

namespace steelyard::test {
namespace {

using client::Client;
using ::testing::HasSubstr;

constexpr std::int64_t kKeys = 3'000;
constexpr std::int64_t kColumns = 32;
constexpr std::int64_t kQueries = 24'000;  // 3 MB: three blocks.
constexpr double kEpsilon = 0.05;
constexpr auto kUp = Cut::Way::kToServer;
constexpr auto kDown = Cut::Way::kToClient;

class ClientStreamsTest : public testing::Test {
 protected:
  static Client ClientOf(const std::string& address) {
    client::ClientOptions options;
    options.retry.first_delay = client::Seconds(0.01);
    auto made = Client::Create(address, options);
    EXPECT_TRUE(made.ok()) << made.status();
    return *std::move(made);
  }
  int port() const {
    const std::string address = server_.address();
    return std::stoi(address.substr(address.rfind(':') + 1));
  }

  const RunningServer server_;
  const Client client_ = ClientOf(server_.address());
  const RowMajorFloats keys_ = SpreadKeys(kKeys, kColumns, 1);
  const RowMajorFloats values_ = SpreadKeys(kKeys, 8, 2);
  const RowMajorFloats queries_ = SpreadKeys(kQueries, kColumns, 3);
};

// Every call of a row is answered once and alike.
void ExpectSameRows(const client::HeavyScores& streamed,
                    const client::HeavyScores& whole) {
  ASSERT_EQ(streamed.rows.size(), whole.rows.size());
  for (std::size_t r = 0; r < whole.rows.size(); ++r) {
    ASSERT_EQ(streamed.rows[r].indices, whole.rows[r].indices) << r;
    ASSERT_EQ(streamed.rows[r].scores, whole.rows[r].scores) << r;
    ASSERT_EQ(streamed.rows[r].captured_mass, whole.rows[r].captured_mass);
  }
}

TEST_F(ClientStreamsTest, StreamFindUniversalSetIsFindUniversalSet) {
  const auto whole = client_.FindUniversalSet(keys_, {.epsilon = kEpsilon});
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_FALSE(whole->heads[0].indices.empty());
  const std::deque<Cut> rows[] = {
      {}, {{kUp, 100'000}}, {{kDown, 200}}, {{kUp, 50}, {kDown, 300}}};
  for (const std::deque<Cut>& cuts : rows) {
    CuttingProxy proxy(port(), cuts);
    const auto streamed =
        ClientOf(proxy.address())
            .StreamFindUniversalSet(keys_, {.epsilon = kEpsilon}, {});
    ASSERT_TRUE(streamed.ok()) << streamed.status();
    EXPECT_EQ(streamed->heads[0].indices, whole->heads[0].indices);
    EXPECT_EQ(streamed->heads[0].sensitivities, whole->heads[0].sensitivities);
    EXPECT_EQ(proxy.cuts_made(), static_cast<int>(cuts.size()));
  }
}

TEST_F(ClientStreamsTest, ProgressIsToldAndNeverGoesBack) {
  const RowMajorFloats many = SpreadKeys(120'000, 64, 4);
  double last = 0.0;
  int told = 0;
  const auto sets = client_.StreamFindUniversalSet(
      many, {.epsilon = kEpsilon}, [&](const client::Progress& progress) {
        ++told;
        if (!progress.fraction.has_value()) return;
        EXPECT_GE(*progress.fraction, last);
        EXPECT_LE(*progress.fraction, 1.0);
        last = *progress.fraction;
      });
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_GT(told, 0);
}

TEST_F(ClientStreamsTest, AKeptSetAnswersAsTheKeysDo) {
  const auto kept = client_.FindUniversalSet(
      keys_, {.epsilon = kEpsilon, .keep = {.set_id = "kept"}});
  ASSERT_TRUE(kept.ok()) << kept.status();
  const client::HeavyOptions options{.epsilon = kEpsilon};
  const auto few = queries_.topRows(200);
  const auto keys = client_.QueryHeavy(keys_, few, options);
  const auto set = client_.QueryHeavy(client::KeptSet("kept"), few, options);
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_TRUE(set.ok()) << set.status();
  for (std::size_t r = 0; r < keys->rows.size(); ++r) {
    EXPECT_EQ(set->rows[r].indices, keys->rows[r].indices);
  }
  const auto below = client_.QueryHeavy(client::KeptSet("kept"), few,
                                        {.epsilon = kEpsilon / 1000});
  ASSERT_FALSE(below.ok());
  EXPECT_EQ(client::DetailOf(below.status())->reason, "EPSILON_BELOW_SET");
}

TEST_F(ClientStreamsTest, StreamQueryHeavyGoesOnWhereTheConnectionBroke) {
  const client::HeavyOptions options{.epsilon = kEpsilon};
  const auto whole = client_.QueryHeavy(keys_, queries_, options);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_TRUE(client_
                  .FindUniversalSet(
                      keys_, {.epsilon = kEpsilon, .keep = {.set_id = "asked"}})
                  .ok());
  const std::deque<Cut> rows[] = {
      {},
      {{kUp, 300'000}},    // In the keys.
      {{kUp, 2'000'000}},  // In a block.
      {{kDown, 500}, {kDown, 100'000}, {kUp, 1'800'000}},
  };
  for (const std::deque<Cut>& cuts : rows) {
    CuttingProxy proxy(port(), cuts);
    const Client client = ClientOf(proxy.address());
    const auto streamed = client.StreamQueryHeavy(keys_, queries_, options);
    ASSERT_TRUE(streamed.ok()) << streamed.status();
    ExpectSameRows(*streamed, *whole);
    EXPECT_EQ(proxy.cuts_made(), static_cast<int>(cuts.size()));
    const auto of_set =
        client.StreamQueryHeavy(client::KeptSet("asked"), queries_, options);
    ASSERT_TRUE(of_set.ok()) << of_set.status();
    EXPECT_EQ(of_set->rows.size(), whole->rows.size());
  }
}

TEST_F(ClientStreamsTest, StreamAttendGoesOnWhereTheConnectionBroke) {
  const client::AttendInputs inputs{
      .keys = keys_, .values = values_, .queries = queries_};
  for (const bool causal : {false, true}) {
    client::AttendOptions options{.epsilon = kEpsilon, .sinks = 3};
    options.local = client::Window{5};
    options.causal = causal;
    if (causal) {  // There are more queries than keys.
      for (std::int64_t i = 0; i < kQueries; ++i) {
        options.positions.push_back(i % kKeys);
      }
    } else {
      options.positions.assign(kQueries, kKeys / 2);
    }
    const auto whole = client_.Attend(inputs, options);
    ASSERT_TRUE(whole.ok()) << whole.status();
    const std::deque<Cut> rows[] = {
        {},
        {{kUp, 300'000}},
        {{kDown, 400'000}, {kUp, 1'900'000}},
    };
    for (const std::deque<Cut>& cuts : rows) {
      CuttingProxy proxy(port(), cuts);
      const auto streamed =
          ClientOf(proxy.address()).StreamAttend(inputs, options);
      ASSERT_TRUE(streamed.ok()) << streamed.status();
      EXPECT_EQ(streamed->output, whole->output);
      EXPECT_EQ(streamed->attended, whole->attended);
      EXPECT_EQ(streamed->captured_mass, whole->captured_mass);
      EXPECT_EQ(proxy.cuts_made(), static_cast<int>(cuts.size()));
    }
  }
}

TEST_F(ClientStreamsTest, BlocksOfTheCallerAreAnsweredInOrderAndOnce) {
  CuttingProxy proxy(port(), {{kUp, 600'000}, {kDown, 60'000}});
  std::vector<std::int64_t> numbers;
  std::size_t rows = 0;
  const absl::Status status =
      ClientOf(proxy.address())
          .StreamQueryHeavy(
              keys_,
              [&](std::int64_t number) -> std::optional<client::QueryBlock> {
                if (number >= 12) return std::nullopt;
                return client::QueryBlock{
                    client::TensorView(queries_).Rows(2'000 * number, 2'000)};
              },
              {.epsilon = kEpsilon},
              [&](std::int64_t number, client::HeavyScores scores) {
                numbers.push_back(number);
                rows += scores.rows.size();
              });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(numbers,
              testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  EXPECT_EQ(rows, 24'000u);
  EXPECT_EQ(proxy.cuts_made(), 2);
}

TEST_F(ClientStreamsTest, ARefusedBlockNamesItsRowAndEndsTheCall) {
  RowMajorFloats broken = queries_.topRows(9'000);
  broken(8'500, 3) = std::numeric_limits<float>::quiet_NaN();
  const auto scores =
      client_.StreamQueryHeavy(keys_, broken, {.epsilon = kEpsilon});
  ASSERT_FALSE(scores.ok());
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(scores.status().message()),
              HasSubstr("nan; every number must be finite; this is row 8500"));
  EXPECT_EQ(client::DetailOf(scores.status())->reason, "NOT_FINITE");
}

}  // namespace
}  // namespace steelyard::test
