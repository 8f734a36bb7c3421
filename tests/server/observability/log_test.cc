#include "server/observability/log.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const LogEvent kEvent{.level = LogLevel::kWarning,
                      .event = "call",
                      .fields = {{"request_id", "a\"b\n"},
                                 {"queue_ms", 1.5},
                                 {"port", std::int64_t{7}},
                                 {"hurried", true}}};

TEST(LogTest, ALineIsOneJsonObject) {
  const std::string line = FormatLogLine(absl::UnixEpoch(), kEvent);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(line, StartsWith("{\"time\":\"1970-01-01T00:00:00.000Z\","
                               "\"level\":\"warning\",\"event\":\"call\","));
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["request_id"], "a\"b\n");
  EXPECT_EQ(json["queue_ms"], 1.5);
  EXPECT_EQ(json["port"], 7);
  EXPECT_EQ(json["hurried"], true);
}

TEST(LogTest, BytesThatAreNoTextDoNotBreakTheLine) {
  const std::string line = FormatLogLine(
      absl::UnixEpoch(), {.event = "call", .fields = {{"id", "\xff\xfe"}}});
  EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}

TEST(LogTest, LevelsBelowTheChosenOneAreDropped) {
  testing::internal::CaptureStderr();
  SetLogLevel(LogLevel::kError);
  Log(kEvent);
  SetLogLevel(LogLevel::kWarning);
  Log(kEvent);
  SetLogLevel(LogLevel::kInfo);
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
  EXPECT_THAT(written, HasSubstr("\"event\":\"call\""));
}

}  // namespace
}  // namespace steelyard::server
