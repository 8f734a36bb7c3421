#include "client/src/set_parts.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

v1::UniversalSet Part(std::int64_t head, std::vector<std::int64_t> keys,
                      bool more) {
  v1::UniversalSet part;
  part.set_head(head);
  for (const std::int64_t key : keys) {
    part.add_indices(key);
    part.add_sensitivities(0.5);
    part.add_upper_bounds(true);
    part.add_undecided(key);
    part.add_new_direction(key);
  }
  part.set_more_follows(more);
  return part;
}

TEST(SetPartsTest, PartsOfAHeadAreJoined) {
  SetParts parts;
  v1::UniversalSet first = Part(0, {1, 2}, true);
  first.set_rank(7);
  ASSERT_TRUE(parts.Add(first).ok());
  EXPECT_EQ(parts.complete(), 0U);
  ASSERT_TRUE(parts.Add(Part(0, {5}, false)).ok());
  EXPECT_EQ(parts.complete(), 1U);
  ASSERT_TRUE(parts.Add(Part(1, {}, false)).ok());
  const auto sets = parts.Finish();
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_EQ(sets->heads.size(), 2U);
  EXPECT_EQ(sets->heads[0].rank, 7);
  EXPECT_THAT(sets->heads[0].indices, testing::ElementsAre(1, 2, 5));
  EXPECT_EQ(sets->heads[0].sensitivities.size(), 3U);
  EXPECT_EQ(sets->heads[0].upper_bounds.size(), 3U);
  EXPECT_THAT(sets->heads[0].undecided, testing::ElementsAre(1, 2, 5));
  EXPECT_THAT(sets->heads[0].new_direction, testing::ElementsAre(1, 2, 5));
}

TEST(SetPartsTest, WhatDoesNotJoinBreaksTheContract) {
  SetParts other_head;
  ASSERT_TRUE(other_head.Add(Part(0, {1}, true)).ok());
  EXPECT_TRUE(absl::IsInternal(other_head.Add(Part(1, {2}, false))));

  SetParts breaks_off;
  ASSERT_TRUE(breaks_off.Add(Part(0, {1}, true)).ok());
  EXPECT_TRUE(absl::IsInternal(breaks_off.Finish().status()));

  SetParts uneven;
  v1::UniversalSet part = Part(0, {1, 2}, false);
  part.mutable_sensitivities()->RemoveLast();
  ASSERT_TRUE(uneven.Add(part).ok());
  EXPECT_TRUE(absl::IsInternal(uneven.Finish().status()));
}

TEST(SetPartsTest, AReadThatBreaksIsBegunAnew) {
  test::FakeServer server(
      {.read_universal_set = [](const test::FakeCall& call, const auto& request,
                                const auto& write) {
        EXPECT_EQ(request.name(), "universalSets/a");
        EXPECT_EQ(request.heads_size(), 1);
        write(Part(3, {1}, true));
        if (call.number == 1) return test::Refusal(14, "broken");
        write(Part(3, {2}, false));
        return test::FakeReply{};
      }});
  const auto client = Client::Create(
      server.address(), {.retry = {.first_delay = Seconds(0.001)}});
  const auto sets = client->ReadUniversalSet("a", {3});
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_THAT(sets->heads[0].indices, testing::ElementsAre(1, 2));
}

}  // namespace
}  // namespace steelyard::client
