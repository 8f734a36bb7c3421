#include "server/convert/set_resource.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/field_coverage.h"

namespace steelyard::server {
namespace {

google::protobuf::Duration DurationOf(std::int64_t seconds,
                                      std::int32_t nanos) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  duration.set_nanos(nanos);
  return duration;
}

TEST(SetResourceTest, NameAndTimeAreChecked) {
  const auto unset = SetRequestFromProto("", false, {}, "");
  ASSERT_TRUE(unset.ok());
  EXPECT_EQ(unset->id, std::nullopt);
  EXPECT_EQ(unset->ttl, absl::Minutes(10));

  const auto given =
      SetRequestFromProto("keys", true, DurationOf(86400, 0), "");
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->id, "keys");
  EXPECT_EQ(given->ttl, absl::Hours(24));
  EXPECT_TRUE(SetRequestFromProto("a", true, DurationOf(0, 1), "").ok());

  EXPECT_EQ(
      DetailOf(SetRequestFromProto("A", false, {}, "open.").status())->field,
      "open.set_id");
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  for (const auto& ttl :
       {DurationOf(0, 0), DurationOf(-1, 0), DurationOf(0, -5),
        DurationOf(1, -5), DurationOf(0, 1'000'000'000), DurationOf(86400, 1),
        DurationOf(kMax, 999'999'999), DurationOf(-kMax, -999'999'999)}) {
    const absl::Status status =
        SetRequestFromProto("keys", true, ttl, "open.").status();
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "open.ttl");
  }
}

TEST(SetResourceTest, EveryFieldOfTheInfoIsFilled) {
  const SetInfo info{
      .name = "universalSets/keys",
      .description = {.heads = 2,
                      .columns = 3,
                      .epsilon = 0.5,
                      .top_m = {},
                      .function = Power{1.5},
                      .causal = true},
      .state = SetState::kSuspended,
      .keys = {7, 8},
      .bytes = 99,
      .create_time = absl::FromUnixNanos(1'500'000'001),
      .expire_time = absl::FromUnixSeconds(9) + absl::Nanoseconds(5)};
  v1::UniversalSetInfo proto;
  ToProto(info, &proto);
  auto unset = test::UnsetFields(std::vector{proto});
  for (const char* other : {"power_sum", "softmax"}) {
    unset.erase(std::string("steelyard.v1.ScoreFunction.") + other);
  }
  std::erase_if(unset, [](const std::string& field) {
    return field.starts_with("steelyard.v1.PowerSum.") ||
           field.starts_with("steelyard.v1.PowerTerm.") ||
           field.starts_with("steelyard.v1.Softmax.");
  });
  EXPECT_THAT(unset, testing::IsEmpty());
  EXPECT_EQ(proto.name(), "universalSets/keys");
  EXPECT_EQ(proto.state(), v1::UniversalSetInfo::STATE_SUSPENDED);
  EXPECT_THAT(proto.next_offset(), testing::ElementsAre(7, 8));
  EXPECT_EQ(proto.function().power().p(), 1.5);
  EXPECT_EQ(proto.size_bytes(), 99);
  EXPECT_EQ(proto.create_time().seconds(), 1);
  EXPECT_EQ(proto.create_time().nanos(), 500'000'001);
  EXPECT_EQ(proto.expire_time().nanos(), 5);
}

TEST(SetResourceTest, ATokenLeadsToTheNextPageAndNoOtherTextDoes) {
  SetRegistry::Page page;
  page.sets.push_back({.name = "universalSets/keys-7"});
  page.more = true;
  v1::ListUniversalSetsResponse response;
  ToProto(page, &response);
  ASSERT_NE(response.next_page_token(), "");

  v1::ListUniversalSetsRequest request;
  EXPECT_EQ(PageRequestOf(request.page_size(), request.page_token())->size,
            100u);
  EXPECT_EQ(PageRequestOf(request.page_size(), request.page_token())->after,
            "");
  request.set_page_size(1000);
  request.set_page_token(response.next_page_token());
  const auto next = PageRequestOf(request.page_size(), request.page_token());
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->after, "keys-7");
  EXPECT_EQ(next->size, 1000u);

  const std::string token = response.next_page_token();
  for (const std::string& bad :
       {std::string("keys-7"), token + "0", token.substr(1), std::string("."),
        std::string("keys-7.00000000"), std::string(1 << 16, 'x')}) {
    request.set_page_token(bad);
    const absl::Status status =
        PageRequestOf(request.page_size(), request.page_token()).status();
    EXPECT_EQ(DetailOf(status)->field, "page_token") << bad;
  }
  request.clear_page_token();
  for (const int size : {-1, 1001}) {
    request.set_page_size(size);
    EXPECT_EQ(
        DetailOf(
            PageRequestOf(request.page_size(), request.page_token()).status())
            ->field,
        "page_size");
  }
  page.more = false;
  ToProto(page, &(response = {}));
  EXPECT_EQ(response.next_page_token(), "");
}

TEST(SetResourceTest, HeadsAscend) {
  v1::ReadUniversalSetRequest request;
  EXPECT_THAT(*HeadsFromProto(request, 3), testing::ElementsAre(0, 1, 2));
  request.add_heads(0);
  request.add_heads(2);
  EXPECT_THAT(*HeadsFromProto(request, 3), testing::ElementsAre(0, 2));
  EXPECT_EQ(DetailOf(HeadsFromProto(request, 2).status())->field, "heads[1]");
  request.add_heads(2);
  EXPECT_EQ(DetailOf(HeadsFromProto(request, 3).status())->field, "heads[2]");
  request.set_heads(0, -1);
  EXPECT_EQ(DetailOf(HeadsFromProto(request, 3).status())->field, "heads[0]");
}

}  // namespace
}  // namespace steelyard::server
