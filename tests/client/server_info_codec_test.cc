#include "client/src/server_info_codec.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/support/filled_message.h"

namespace steelyard::client {
namespace {

std::string Describe(const ServerInfo& info) {
  std::ostringstream out;
  out << info.version << " " << info.workers << " " << info.cpu_target << " "
      << info.blas << " " << info.request_bytes_max << " "
      << info.chunk_bytes_max << " " << info.memory_budget_bytes << " "
      << info.memory_reserved_bytes << " " << info.columns_max << " "
      << info.heads_max << " " << info.right_hand_sides_max << " "
      << info.exponent_max << " " << info.set_memory_bytes << " "
      << info.set_memory_reserved_bytes << " " << info.streams_max << " "
      << info.stores_matrices << " " << info.matrix_memory_bytes << " "
      << info.factor_memory_bytes << " " << info.factor_memory_reserved_bytes;
  return out.str();
}

TEST(ServerInfoCodecTest, EveryFieldIsRead) {
  v1::ServerInfo wire;
  test::FillEveryField(&wire);
  EXPECT_THAT(
      test::UnreadFields(wire,
                         [](const google::protobuf::Message& message) {
                           return Describe(FromProto(
                               dynamic_cast<const v1::ServerInfo&>(message)));
                         }),
      testing::IsEmpty());
  // FillEveryField sets the field of number n to n.
  EXPECT_EQ(Describe(FromProto(wire)),
            "text 1 2 text 3 text 4 5 6 7 8 9 10 11 12 13 14 15 "
            "1 17 20 21");
}

TEST(ServerInfoCodecTest, ServingStatusesHaveTheNumbersOfTheHealthProtocol) {
  EXPECT_EQ(ServingStatusFromNumber(0), ServingStatus::kUnknown);
  EXPECT_EQ(ServingStatusFromNumber(1), ServingStatus::kServing);
  EXPECT_EQ(ServingStatusFromNumber(2), ServingStatus::kNotServing);
  EXPECT_EQ(ServingStatusFromNumber(99), ServingStatus::kUnknown);
}

}  // namespace
}  // namespace steelyard::client
