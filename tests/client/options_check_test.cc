#include "client/src/options_check.h"

#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {
namespace {

std::string WrongField(const ClientOptions& options) {
  const absl::Status status = Validate(options);
  if (status.ok()) return "";
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  return DetailOf(status)->field;
}

TEST(OptionsCheckTest, EveryDeadlineMustBePositive) {
  EXPECT_EQ(WrongField({}), "");
  const std::pair<const char*, Seconds DefaultDeadlines::*> rows[] = {
      {"deadlines.find_universal_set", &DefaultDeadlines::find_universal_set},
      {"deadlines.stream_find_universal_set",
       &DefaultDeadlines::stream_find_universal_set},
      {"deadlines.query_heavy", &DefaultDeadlines::query_heavy},
      {"deadlines.stream_query_heavy", &DefaultDeadlines::stream_query_heavy},
      {"deadlines.attend", &DefaultDeadlines::attend},
      {"deadlines.stream_attend", &DefaultDeadlines::stream_attend},
      {"deadlines.set_registry", &DefaultDeadlines::set_registry},
      {"deadlines.read_universal_set", &DefaultDeadlines::read_universal_set},
      {"deadlines.export_state", &DefaultDeadlines::export_state},
      {"deadlines.merge_states", &DefaultDeadlines::merge_states},
      {"deadlines.stream_keys", &DefaultDeadlines::stream_keys},
      {"deadlines.solve", &DefaultDeadlines::solve},
      {"deadlines.stream_solve", &DefaultDeadlines::stream_solve},
      {"deadlines.predict", &DefaultDeadlines::predict},
      {"deadlines.get_server_info", &DefaultDeadlines::get_server_info},
      {"deadlines.check", &DefaultDeadlines::check},
  };
  for (const auto& [field, member] : rows) {
    ClientOptions options;
    options.deadlines.*member = Seconds(0.0);
    EXPECT_EQ(WrongField(options), field);
  }
}

TEST(OptionsCheckTest, LimitsAndIds) {
  EXPECT_EQ(WrongField({.request_bytes_max = 0}), "request_bytes_max");
  EXPECT_EQ(WrongField({.response_bytes_max = kMessageBytesMax + 1}),
            "response_bytes_max");
  EXPECT_EQ(WrongField({.retry = {.attempts_max = 0}}), "retry.attempts_max");
  EXPECT_TRUE(ValidateRequestId("abc").ok());
  EXPECT_FALSE(ValidateRequestId("a b").ok());
  EXPECT_FALSE(ValidateRequestId(std::string(129, 'x')).ok());
  EXPECT_TRUE(ValidateRequestBytes(5, 5).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ValidateRequestBytes(6, 5)));
  EXPECT_FALSE(Validate(TlsCredentials{.private_key = "file.pem"}).ok());
}

}  // namespace
}  // namespace steelyard::client
