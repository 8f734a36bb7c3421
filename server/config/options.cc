#include "server/config/options.h"

#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kKiB = std::int64_t{1} << 10;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kTiB = std::int64_t{1} << 40;

constexpr std::pair<const char*, std::int64_t> kByteUnits[] = {
    {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}};

absl::Status Must(const std::string& rule) {
  return absl::InvalidArgumentError("must be " + rule);
}

bool ParseBytes(const std::string& text, std::int64_t* bytes) {
  std::int64_t unit = 1;
  absl::string_view digits = text;
  for (const auto& [name, size] : kByteUnits) {
    if (absl::ConsumeSuffix(&digits, name)) {
      unit = size;
      break;
    }
  }
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(digits, &count) || count < 0 ||
      count > std::numeric_limits<std::int64_t>::max() / unit) {
    return false;
  }
  *bytes = count * unit;
  return true;
}

std::string WriteBytes(std::int64_t bytes) {
  for (const auto& [name, size] : kByteUnits) {
    if (bytes != 0 && bytes % size == 0) {
      return absl::StrCat(bytes / size, name);
    }
  }
  return absl::StrCat(bytes);
}

// Where a setting lives in a ServerConfig.
template <typename T>
using Place = T& (*)(ServerConfig&);

template <typename T>
T ValueAt(Place<T> place, const ServerConfig& config) {
  return place(const_cast<ServerConfig&>(config));  // only read
}

template <typename T>
struct Range {
  T min;
  T max;
};

template <typename T>
Option IntegerOption(const std::string& name, Place<T> place, Range<T> range,
                     const std::string& unit, const std::string& help) {
  const std::string words =
      absl::StrCat(range.min, " to ", range.max, " ", unit);
  return {.name = name,
          .range = words,
          .help = help,
          .read = [=](const std::string& text,
                      ServerConfig* config) -> absl::Status {
            T value = 0;
            if (!absl::SimpleAtoi(text, &value) || value < range.min ||
                value > range.max) {
              return Must(words);
            }
            place(*config) = value;
            return absl::OkStatus();
          },
          .write =
              [=](const ServerConfig& config) {
                return absl::StrCat(ValueAt(place, config));
              }};
}

Option BytesOption(const std::string& name, Place<std::int64_t> place,
                   Range<std::int64_t> range, const std::string& help) {
  const std::string words =
      absl::StrCat(WriteBytes(range.min), " to ", WriteBytes(range.max),
                   " bytes (KiB, MiB, GiB are understood)");
  return {.name = name,
          .range = words,
          .help = help,
          .read = [=](const std::string& text,
                      ServerConfig* config) -> absl::Status {
            std::int64_t value = 0;
            if (!ParseBytes(text, &value) || value < range.min ||
                value > range.max) {
              return Must(words);
            }
            place(*config) = value;
            return absl::OkStatus();
          },
          .write =
              [=](const ServerConfig& config) {
                return WriteBytes(ValueAt(place, config));
              }};
}

Option DurationOption(const std::string& name, Place<absl::Duration> place,
                      absl::Duration max, const std::string& help) {
  const std::string words = absl::StrCat("0s to ", absl::FormatDuration(max),
                                         " (such as 250ms, 5s, 1m30s)");
  return {.name = name,
          .range = words,
          .help = help,
          .read = [=](const std::string& text,
                      ServerConfig* config) -> absl::Status {
            absl::Duration value;
            if (!absl::ParseDuration(text, &value) ||
                value < absl::ZeroDuration() || value > max) {
              return Must(words);
            }
            place(*config) = value;
            return absl::OkStatus();
          },
          .write =
              [=](const ServerConfig& config) {
                return absl::FormatDuration(ValueAt(place, config));
              }};
}

// The port is behind the last colon; an IPv6 host stands in brackets.
absl::Status ReadListen(const std::string& text, ServerConfig* config) {
  const absl::Status wrong = Must("HOST:PORT, PORT 0 to 65535");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return wrong;
  const std::string host = text.substr(0, colon);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  if (!bracketed && host.find(':') != std::string::npos) return wrong;
  std::int32_t port = -1;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return wrong;
  }
  config->listen = text;
  return absl::OkStatus();
}

constexpr std::pair<const char*, LogLevel> kLogLevels[] = {
    {"debug", LogLevel::kDebug},
    {"info", LogLevel::kInfo},
    {"warning", LogLevel::kWarning},
    {"error", LogLevel::kError}};

absl::Status ReadLogLevel(const std::string& text, ServerConfig* config) {
  for (const auto& [name, level] : kLogLevels) {
    if (text == name) {
      config->log_level = level;
      return absl::OkStatus();
    }
  }
  return Must("debug, info, warning or error");
}

std::string WriteLogLevel(const ServerConfig& config) {
  for (const auto& [name, level] : kLogLevels) {
    if (config.log_level == level) return name;
  }
  return "info";
}

std::vector<Option> PlacesAndThreads() {
  return {
      {.name = "listen",
       .range = "HOST:PORT, PORT 0 to 65535",
       .help = "Where to serve. Port 0 takes any free port; see --port-file.",
       .read = ReadListen,
       .write = [](const ServerConfig& config) { return config.listen; }},
      {.name = "port-file",
       .range = "a path; empty: none",
       .help = "Written once the server serves: its port and a newline.",
       .read =
           [](const std::string& text, ServerConfig* config) {
             config->port_file = text;
             return absl::OkStatus();
           },
       .write = [](const ServerConfig& config) { return config.port_file; }},
      IntegerOption<std::int64_t>(
          "workers", [](ServerConfig& c) -> std::int64_t& { return c.workers; },
          {0, 1024}, "threads",
          "Threads that compute. 0: the CPU quota of the cgroup, rounded up, "
          "or every processor."),
      {.name = "matrix-directory",
       .range = "a path; empty: none",
       .help = "Where uploaded matrices are stored, made if it is not there. "
               "One server a directory. Without it uploads are refused.",
       .read =
           [](const std::string& text, ServerConfig* config) {
             config->matrix_directory = text;
             return absl::OkStatus();
           },
       .write =
           [](const ServerConfig& config) { return config.matrix_directory; }},
      {.name = "log-level",
       .range = "debug, info, warning or error",
       .help = "JSON lines on standard error from this level up.",
       .read = ReadLogLevel,
       .write = WriteLogLevel},
  };
}

std::vector<Option> MemoryBudgets() {
  return {
      BytesOption(
          "memory-budget",
          [](ServerConfig& c) -> std::int64_t& { return c.memory_budget; },
          {0, 64 * kTiB},
          "Memory that all admitted requests together may reserve, without "
          "their own messages. 0: half of the cgroup's memory limit or of the "
          "machine's memory."),
      BytesOption(
          "set-memory",
          [](ServerConfig& c) -> std::int64_t& { return c.set_memory; },
          {0, 64 * kTiB},
          "Memory that all stored universal sets and sessions of streamed keys "
          "together may hold, beside --memory-budget. 0: an eighth of the "
          "cgroup's memory limit or of the machine's memory."),
      BytesOption(
          "factor-memory",
          [](ServerConfig& c) -> std::int64_t& { return c.factor_memory; },
          {0, 64 * kTiB},
          "Memory that kept factors of stored matrices together may hold, "
          "beside --memory-budget; the least recently used ones leave. A "
          "factor takes some 16 to 50 d^2 bytes. 0: off, every solve factors "
          "its matrix."),
      BytesOption(
          "matrix-memory",
          [](ServerConfig& c) -> std::int64_t& { return c.matrix_memory; },
          {0, 64 * kTiB},
          "Memory for stored matrices that are in use or were used last, "
          "beside --memory-budget; what does not fit is mapped from its file. "
          "0: an "
          "eighth of the cgroup's memory limit or of the machine's memory."),
  };
}

std::vector<Option> StreamsAndQueue() {
  return {
      DurationOption(
          "upload-ttl",
          [](ServerConfig& c) -> absl::Duration& { return c.upload_ttl; },
          absl::Hours(24 * 365),
          "How long an unfinished upload of a matrix is kept after its last "
          "byte. 0s: until it is deleted."),
      IntegerOption<std::int64_t>(
          "uploads-max",
          [](ServerConfig& c) -> std::int64_t& { return c.uploads_max; },
          {0, 1048576}, "uploads",
          "Uploads of matrices that are not finished, sent just now or left; "
          "more are refused and told to retry. Each holds the disk's room for "
          "twice the bytes that came, 64 MiB ahead at most. 0: any number."),
      BytesOption(
          "transport-memory",
          [](ServerConfig& c) -> std::int64_t& { return c.transport_memory; },
          {kMiB, 64 * kTiB}, "Memory for messages on their way in and out."),
      BytesOption(
          "request-bytes-max",
          [](ServerConfig& c) -> std::int64_t& {
            return c.limits.request_bytes_max;
          },
          {kKiB, kMessageBytesHardMax}, "Largest request message."),
      IntegerOption<std::int64_t>(
          "queue-length",
          [](ServerConfig& c) -> std::int64_t& { return c.queue_length; },
          {0, 4096}, "requests",
          "Admitted requests that wait; more are refused and told to retry."),
      IntegerOption<std::int64_t>(
          "streams-max",
          [](ServerConfig& c) -> std::int64_t& { return c.limits.streams_max; },
          {1, 4096}, "streams",
          "Streams that receive keys, states or matrices, and predictions, at "
          "once; more are refused and told to retry. Each holds up to two "
          "threads and 9 MiB of messages; an upload of 64 MiB or more another "
          "thread and 4 MiB."),
      DurationOption(
          "stream-idle",
          [](ServerConfig& c) -> absl::Duration& { return c.stream_idle; },
          absl::Hours(24),
          "A stream of keys, states or a matrix to which no message has come "
          "for so long is ended; it can be resumed. 0s: never."),
      DurationOption(
          "drain-delay",
          [](ServerConfig& c) -> absl::Duration& { return c.drain_delay; },
          absl::Hours(1),
          "From SIGTERM, when health says NOT_SERVING, to the refusal of new "
          "requests."),
      DurationOption(
          "drain-timeout",
          [](ServerConfig& c) -> absl::Duration& { return c.drain_timeout; },
          absl::Hours(24),
          "How long requests may then go on; solves that are left return "
          "their best x so far."),
  };
}

std::vector<Option> RequestLimits() {
  return {
      IntegerOption<Index>(
          "columns-max",
          [](ServerConfig& c) -> Index& { return c.limits.columns_max; },
          {1, 65536}, "columns",
          "Largest d: columns of a matrix, length of a key."),
      IntegerOption<Index>(
          "heads-max",
          [](ServerConfig& c) -> Index& { return c.limits.heads_max; },
          {1, 1048576}, "heads", "Most heads of one batch."),
      IntegerOption<Index>(
          "right-hand-sides-max",
          [](ServerConfig& c) -> Index& {
            return c.limits.right_hand_sides_max;
          },
          {1, 1048576}, "right-hand sides",
          "Most right-hand sides of one solve."),
      IntegerOption<int>(
          "exponent-max",
          [](ServerConfig& c) -> int& { return c.limits.exponent_max; },
          {1, 64}, "(no unit)", "Largest exponent j of a power regression."),
  };
}

}  // namespace

const std::vector<Option>& Options() {
  static const auto* const options = [] {
    auto* all = new std::vector<Option>(PlacesAndThreads());
    for (std::vector<Option> more :
         {MemoryBudgets(), StreamsAndQueue(), RequestLimits()}) {
      all->insert(all->end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
    }
    return all;
  }();
  return *options;
}

std::string EnvironmentName(const Option& option) {
  return absl::StrCat("STEELYARD_", absl::AsciiStrToUpper(absl::StrReplaceAll(
                                        option.name, {{"-", "_"}})));
}

}  // namespace steelyard::server
