#include "server/convert/timing.h"

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

TEST(TimingTest, SecondsAndNanosAddUp) {
  google::protobuf::Duration proto;
  ToProto(std::chrono::nanoseconds(12'345'678'901), &proto);
  EXPECT_EQ(proto.seconds(), 12);
  EXPECT_EQ(proto.nanos(), 345'678'901);
}

}  // namespace
}  // namespace steelyard::server
