#include "server/sets/key_session.h"

#include <atomic>
#include <cmath>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/random.h"
#include "steelyard/status.h"
#include "steelyard/workers.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;

constexpr Index kColumns = 4;
constexpr Index kRows = 60;

std::unique_ptr<KeySession> NewSession(Index heads, Index first_index = 0) {
  KeySession::Origin origin{.name = "universalSets/keys",
                            .description = {.heads = heads,
                                            .columns = kColumns,
                                            .epsilon = 0.2,
                                            .top_m = {},
                                            .function = Power{2.0},
                                            .causal = false},
                            .storage = StorageType::kFloat64,
                            .bytes_reserved = 1e9,
                            .workers = 2};
  std::vector<OnePassUniversalSet> passes;
  for (Index head = 0; head < heads; ++head) {
    auto pass = OnePassUniversalSet::Create(
        PassOptions(origin.description, origin.storage, first_index));
    EXPECT_TRUE(pass.ok()) << pass.status();
    passes.push_back(*std::move(pass));
  }
  return std::make_unique<KeySession>(std::move(origin), std::move(passes));
}

class KeySessionTest : public testing::Test {
 protected:
  KeySessionTest() {
    for (Index i = 0; i < 4 * kRows * kColumns; ++i) {
      numbers_.push_back(random_.Normal(static_cast<std::uint64_t>(i)));
    }
  }

  AnyMatrixView Keys(Index first, Index rows) const {
    return MatrixView<double>(numbers_.data() + first * kColumns, rows,
                              kColumns);
  }

  absl::Status Add(KeySession& session, const SessionSeat& seat,
                   std::optional<Index> head,
                   const std::vector<AnyMatrixView>& keys) const {
    return session.Add(seat, {.head = head, .keys = keys}, context_);
  }

  const RandomStream random_{.seed = {5}};
  const Workers workers_{2};
  const ComputeContext context_{.workers = workers_};
  std::vector<double> numbers_;
};

TEST_F(KeySessionTest, StatesFollowTheSeatAndTheFinish) {
  const auto session = NewSession(1);
  EXPECT_EQ(session->state(), SetState::kSuspended);
  auto seat = session->Attach([] {});
  ASSERT_TRUE(seat.ok());
  EXPECT_EQ(session->state(), SetState::kReceiving);
  ASSERT_TRUE(Add(*session, **seat, 0, {Keys(0, kRows)}).ok());
  EXPECT_THAT(session->keys(), ElementsAre(kRows));
  EXPECT_GT(session->bytes(), 0.0);
  (*seat)->Leave();
  EXPECT_EQ(session->state(), SetState::kSuspended);
  EXPECT_FALSE(Add(*session, **seat, 0, {Keys(0, kRows)}).ok());
  EXPECT_THAT(session->keys(), ElementsAre(kRows));

  seat = session->Attach([] {});
  ASSERT_TRUE(seat.ok());
  const auto sets = session->Finish(**seat, context_);
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(session->state(), SetState::kFinished);
  EXPECT_EQ(DetailOf(session->Attach([] {}).status())->reason, "SET_FINISHED");
  EXPECT_EQ(session->Sets(context_)->front().indices, sets->front().indices);
  const auto heads = session->Queryable(context_);
  ASSERT_TRUE(heads.ok()) << heads.status();
  EXPECT_EQ(heads->front().set().indices, sets->front().indices);
}

TEST_F(KeySessionTest, TheNextStreamTakesTheSeat) {
  const auto session = NewSession(1);
  std::atomic<int> woken{0};
  auto first = session->Attach([&] { ++woken; });
  auto second = session->Attach([] {});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(DetailOf((*first)->status())->reason, "TAKEN_OVER");
  EXPECT_TRUE((*second)->status().ok());
  EXPECT_EQ(Add(*session, **first, 0, {Keys(0, 1)}).code(),
            absl::StatusCode::kAborted);
  EXPECT_FALSE(session->Finish(**first, context_).ok());
  EXPECT_TRUE(Add(*session, **second, 0, {Keys(0, 1)}).ok());
  // The first one's end is not the second one's.
  *first = nullptr;
  EXPECT_EQ(session->state(), SetState::kReceiving);
  session->Deleted();
  EXPECT_EQ((*second)->status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(session->Attach([] {}).ok());
}

TEST_F(KeySessionTest, AChunkForAllHeadsIsTakenWholeOrNotAtAll) {
  const auto session = NewSession(3);
  auto seat = session->Attach([] {});
  ASSERT_TRUE(seat.ok());
  ASSERT_TRUE(
      Add(*session, **seat, {}, {Keys(0, 5), Keys(5, 5), Keys(10, 5)}).ok());
  numbers_[(4 + 20) * kColumns + 1] = std::nan("");  // row 4 of the third
  const absl::Status bad =
      Add(*session, **seat, {}, {Keys(0, 10), Keys(10, 10), Keys(20, 10)});
  EXPECT_EQ(DetailOf(bad)->reason, "NOT_FINITE");
  EXPECT_EQ(DetailOf(bad)->metadata.at("index"),
            std::to_string((20 + 4) * kColumns + 1));
  EXPECT_THAT(session->keys(), ElementsAre(5, 5, 5));
  EXPECT_FALSE(session->broken());
  ASSERT_TRUE(Add(*session, **seat, 1, {Keys(0, 7)}).ok());
  EXPECT_THAT(session->keys(), ElementsAre(5, 12, 5));

  StopSource stop;
  stop.RequestStop(StopReason::kCancelled);
  const std::vector<AnyMatrixView> heads = {Keys(0, 5), Keys(5, 5),
                                            Keys(10, 5)};
  EXPECT_EQ(session
                ->Add(**seat, {.head = {}, .keys = heads},
                      {.workers = workers_, .stop = stop.token()})
                .code(),
            absl::StatusCode::kCancelled);
  EXPECT_THAT(session->keys(), ElementsAre(5, 12, 5));
}

TEST_F(KeySessionTest, AnExportedStateGoesOnAndMerges) {
  const auto session = NewSession(1, /*first_index=*/1000);
  EXPECT_EQ(session->index_base(0), 1000);
  auto seat = session->Attach([] {});
  ASSERT_TRUE(Add(*session, **seat, 0, {Keys(0, kRows)}).ok());
  auto states = session->Export(context_);
  ASSERT_TRUE(states.ok()) << states.status();
  auto pass = OnePassUniversalSet::Restore(
      PassOptions(session->description(), session->storage(), 1000),
      std::move(states->front()), context_);
  ASSERT_TRUE(pass.ok()) << pass.status();
  std::vector<OnePassUniversalSet> passes;
  passes.push_back(*std::move(pass));
  // The same keys twice.
  EXPECT_EQ(DetailOf(session->MergeInto(passes, context_))->reason,
            "RANGES_OVERLAP");
  const KeySession restored({.name = "universalSets/other",
                             .description = session->description(),
                             .storage = session->storage()},
                            std::move(passes));
  EXPECT_THAT(restored.keys(), ElementsAre(kRows));
  EXPECT_EQ(restored.index_base(0), 1000);
}

// Meant for the thread sanitizer: streams, readers and exports take turns.
TEST_F(KeySessionTest, ManyThreadsMayWorkOnIt) {
  const auto session = NewSession(2);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        auto seat = session->Attach([] {});
        ASSERT_TRUE(seat.ok());
        (void)session->Settle(context_);
        (void)Add(*session, **seat, {}, {Keys(0, 3), Keys(3, 3)});
      }
    });
  }
  threads.emplace_back([&] {
    for (int round = 0; round < 20; ++round) {
      EXPECT_TRUE(session->Sets(context_).ok());
      EXPECT_TRUE(session->Export(context_).ok());
      EXPECT_EQ(session->keys().size(), 2u);
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(session->keys()[0], session->keys()[1]);
  EXPECT_EQ(session->state(), SetState::kSuspended);
}

}  // namespace
}  // namespace steelyard::server
