// Everything an operator can set.
//
// One table (options.h) drives flags, environment, file, --help and
// --print-config; a new setting is one member here and one line there.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "server/limits/limits.h"

namespace steelyard::server {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct ServerConfig {
  // HOST:PORT. Port 0: any free one.
  std::string listen = "127.0.0.1:50551";

  // Written once the server serves: the port and a newline. Empty: not written.
  std::string port_file;

  // Threads that compute. 0: DefaultWorkers().
  std::int64_t workers = 0;

  // Bytes that gRPC may hold in messages on their way in and out.
  std::int64_t transport_memory = std::int64_t{4} << 30;

  // Bytes that admitted requests together may reserve. 0:
  // DefaultMemoryBudget().
  std::int64_t memory_budget = 0;

  // Bytes that stored universal sets together may hold, beside memory_budget.
  // 0: DefaultSetMemory().
  std::int64_t set_memory = 0;

  // Bytes that factors of stored matrices together may hold, beside
  // memory_budget. 0: none is kept, and solves share nothing.
  std::int64_t factor_memory = std::int64_t{1} << 30;

  // Where matrices are stored. Empty: nowhere, uploads are refused.
  std::string matrix_directory;

  // Bytes of stored matrices that are kept in memory, beside memory_budget;
  // what does not fit is mapped from its file. 0: DefaultMatrixMemory().
  std::int64_t matrix_memory = 0;

  // After its last byte an unfinished upload is kept for so long.
  absl::Duration upload_ttl = absl::Hours(24);

  // Uploads that are not finished, sent just now or left. 0: any number.
  std::int64_t uploads_max = 256;

  // A stream of keys, states or a matrix ends when no message has come for so
  // long.
  absl::Duration stream_idle = absl::Minutes(5);

  // Admitted requests that wait for a worker.
  std::int64_t queue_length = 256;

  // From SIGTERM to the refusal of new requests: load balancers look away.
  absl::Duration drain_delay = absl::ZeroDuration();

  // From then on requests may finish by themselves for so long.
  absl::Duration drain_timeout = absl::Seconds(30);

  LogLevel log_level = LogLevel::kInfo;

  // request_bytes_max, columns_max, heads_max, right_hand_sides_max,
  // exponent_max, streams_max have flags.
  Limits limits;
};

}  // namespace steelyard::server
