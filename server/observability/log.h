// JSON lines on standard error, one an event. No payloads: shapes, times and
// statuses only.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "server/config/server_config.h"

namespace steelyard::server {

struct LogField {
  std::string name;
  std::variant<std::string, std::int64_t, double, bool> value;
};

struct LogEvent {
  LogLevel level = LogLevel::kInfo;
  std::string event;  // "call", "serving", "draining"
  std::vector<LogField> fields = {};
};

// Events below `level` are dropped from now on. The default is info.
void SetLogLevel(LogLevel level);

// Safe from any thread.
void Log(const LogEvent& event);

// {"time":"2026-01-31T12:00:00.000Z","level":"info","event":"serving",...}.
// Bytes that are not UTF-8 are replaced.
std::string FormatLogLine(absl::Time time, const LogEvent& event);

}  // namespace steelyard::server
