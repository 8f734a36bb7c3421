#include "server/convert/response_size.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

TEST(ResponseSizeTest, UnsetMeansWhatDefaultClientsAccept) {
  EXPECT_EQ(*MaxResponseBytes(std::nullopt, Limits()), 4'000'000);
}

TEST(ResponseSizeTest, RangeEndsWithTheLargestMessage) {
  EXPECT_EQ(*MaxResponseBytes(1, Limits()), 1);
  EXPECT_EQ(*MaxResponseBytes(kMessageBytesHardMax, Limits()),
            kMessageBytesHardMax);
  for (const std::int64_t wrong :
       {std::int64_t{0}, std::int64_t{-1}, kMessageBytesHardMax + 1}) {
    const auto bytes = MaxResponseBytes(wrong, Limits());
    EXPECT_EQ(DetailOf(bytes.status())->reason, "FIELD_OUT_OF_RANGE");
  }
}

TEST(ResponseSizeTest, WhatFitsExactlyPasses) {
  EXPECT_TRUE(CheckFits(1000.0, 1000, "").ok());
  const absl::Status status = CheckFits(1001.0, 1000, "Do this instead.");
  EXPECT_EQ(DetailOf(status)->reason, "RESPONSE_TOO_LARGE");
  EXPECT_EQ(DetailOf(status)->metadata.at("value"), "1001");
  EXPECT_EQ(DetailOf(status)->metadata.at("max"), "1000");
  EXPECT_EQ(status.message(),
            "the answer has at least 1001 bytes; max_response_bytes is 1000. "
            "Do this instead.");
}

TEST(ResponseSizeTest, MemoryOfAnAnswerIsBoundedByWhatTheCallerTakes) {
  EXPECT_EQ(AnswerMemory(10.0, 2.0, 1000), 30.0);
  EXPECT_EQ(AnswerMemory(1e9, 2.0, 1000), 3000.0);
}

}  // namespace
}  // namespace steelyard::server
