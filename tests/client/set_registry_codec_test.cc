#include "client/src/set_registry_codec.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

std::string Describe(const SetInfo& info) {
  std::ostringstream out;
  out << info.name << " " << static_cast<int>(info.state) << " " << info.heads
      << " " << info.columns << " " << info.epsilon << " " << info.causal << " "
      << info.size_bytes << " " << info.create_time.time_since_epoch().count()
      << " " << info.expire_time.time_since_epoch().count();
  for (const std::int64_t offset : info.next_offset) out << " " << offset;
  if (info.function.has_value()) {
    out << " function " << info.function->index();
    if (const auto* softmax = std::get_if<Softmax>(&*info.function)) {
      out << " " << static_cast<int>(softmax->mode) << " "
          << softmax->scale.value_or(-1);
    }
  }
  return out.str();
}

TEST(SetRegistryCodecTest, EveryFieldOfTheInfoIsRead) {
  v1::UniversalSetInfo info;
  test::FillEveryField(&info);
  EXPECT_THAT(test::UnreadFields(
                  info,
                  [](const google::protobuf::Message& message) {
                    return Describe(FromProto(
                        dynamic_cast<const v1::UniversalSetInfo&>(message)));
                  }),
              testing::IsEmpty());
}

TEST(SetRegistryCodecTest, StatesAndTimes) {
  v1::UniversalSetInfo wire;
  const std::pair<v1::UniversalSetInfo::State, SetState> rows[] = {
      {v1::UniversalSetInfo::STATE_UNSPECIFIED, SetState::kUnknown},
      {v1::UniversalSetInfo::STATE_RECEIVING, SetState::kReceiving},
      {v1::UniversalSetInfo::STATE_SUSPENDED, SetState::kSuspended},
      {v1::UniversalSetInfo::STATE_FINISHED, SetState::kFinished},
  };
  for (const auto& [number, state] : rows) {
    wire.set_state(number);
    EXPECT_EQ(FromProto(wire).state, state);
  }
  wire.mutable_create_time()->set_seconds(1700000000);
  EXPECT_EQ(std::chrono::system_clock::to_time_t(FromProto(wire).create_time),
            1700000000);
}

TEST(SetRegistryCodecTest, EveryFieldOfAnOpeningIsSet) {
  v1::OpenKeys open;
  ToProto({.set_id = "a",
           .heads = 2,
           .columns = 8,
           .type = ScalarType::kFloat16,
           .epsilon = 0.25,
           .function = Power{3.0},
           .top_m = 5,
           .causal = true,
           .first_index = 100,
           .ttl = Seconds(60.5)},
          &open);
  EXPECT_THAT(test::UnsetFields(open),
              testing::ElementsAre("OpenKeys.resume", "OpenKeys.import_state"));
  EXPECT_EQ(open.set_id(), "a");
  EXPECT_EQ(open.heads(), 2);
  EXPECT_EQ(open.columns(), 8);
  EXPECT_EQ(open.dtype(), v1::DTYPE_FLOAT16);
  EXPECT_EQ(open.epsilon(), 0.25);
  EXPECT_EQ(open.top_m(), 5);
  EXPECT_EQ(open.first_index(), 100);
  EXPECT_EQ(open.ttl().seconds(), 60);
}

TEST(SetRegistryCodecTest, EveryFieldOfAMergeIsSet) {
  v1::MergeOpen open;
  ToProto("sum", {.names = {"a", "universalSets/b"}}, Seconds(5.5), &open);
  EXPECT_THAT(test::UnsetFields(open), testing::IsEmpty());
  EXPECT_THAT(open.names(),
              testing::ElementsAre("universalSets/a", "universalSets/b"));
  EXPECT_EQ(SetId("universalSets/b"), "b");
  EXPECT_EQ(SetId("b"), "b");
}

}  // namespace
}  // namespace steelyard::client
