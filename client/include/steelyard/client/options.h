// How to reach a server, how long to wait, when to try again.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

namespace steelyard::client {

// Every duration of the interface. Takes std::chrono literals: 250ms, 30s.
using Seconds = std::chrono::duration<double>;

// A deadline that never passes.
inline constexpr Seconds kNoDeadline{std::numeric_limits<double>::infinity()};

// Plain text, for a server on the same host.
struct InsecureCredentials {};

// Encrypted; the server must prove who it is. PEM text, not file names.
struct TlsCredentials {
  // Certificates that are trusted to sign the server's. Empty: gRPC's own list.
  std::string root_certificates = {};

  // What the client proves itself with (mutual TLS). Both or neither.
  std::string private_key = {};
  std::string certificate_chain = {};

  // The name that the server's certificate must carry, where it is not the
  // host of the address. Empty: that host.
  std::string server_name = {};
};

using Credentials = std::variant<InsecureCredentials, TlsCredentials>;

// When a failed attempt is made again: only after UNAVAILABLE, or where the
// server sent RetryInfo. Never after any other error. A repeated call does no
// harm: most change nothing in the server, and those that keep a set by a name
// find it there (AlreadyExists) when an answer was lost on its way.
//
// The wait before attempt k + 1 (k = 1, 2, ...) is
//
//     max(min(first_delay * multiplier^(k-1), delay_max), retry_delay)
//         * (1 + jitter * u),   u uniform in [0, 1):
//
// never shorter than the server asked for, and spread, so that clients who were
// refused together do not come back together. A wait that would pass the
// deadline of the call is not begun: the call ends with the last error.
struct RetryPolicy {
  // All attempts, the first included. >= 1; 1: never try again.
  int attempts_max = 6;
  // >= 0.
  Seconds first_delay{0.1};
  // >= first_delay. Does not bound what the server asks for.
  Seconds delay_max{5.0};
  // Dimensionless, >= 1.
  double multiplier = 2.0;
  // Dimensionless, in [0, 1].
  double jitter = 0.5;
};

// How long a call may take in all - waiting for a connection and in the
// server's queue, every attempt and the pauses between them - where its
// CallOptions do not say. > 0 or kNoDeadline.
struct DefaultDeadlines {
  Seconds find_universal_set{60.0};
  Seconds stream_find_universal_set{3600.0};
  Seconds query_heavy{60.0};
  Seconds stream_query_heavy{3600.0};
  Seconds attend{60.0};
  Seconds stream_attend{3600.0};
  // Get, List, Delete.
  Seconds set_registry{10.0};
  Seconds read_universal_set{600.0};
  Seconds export_state{3600.0};
  Seconds merge_states{3600.0};
  // Of a whole KeyStream, from its opening to its end.
  Seconds stream_keys = kNoDeadline;
  // Of the whole upload, the checksum and every resumption included.
  Seconds upload_matrix{3600.0};
  // Get, List, Delete, GetUploadStatus.
  Seconds matrix_registry{10.0};
  Seconds solve{300.0};
  Seconds stream_solve{3600.0};
  // Both kinds.
  Seconds predict{3600.0};
  Seconds get_server_info{5.0};
  Seconds check{5.0};
};

struct ClientOptions {
  Credentials credentials = InsecureCredentials{};
  DefaultDeadlines deadlines = {};
  RetryPolicy retry = {};

  // Largest request, bytes, in [1, 2^31 - 1]; a larger one is refused before it
  // is sent. The server has its own limit (ServerInfo::request_bytes_max).
  std::int64_t request_bytes_max = std::int64_t{256} << 20;

  // Largest answer of one message, bytes, in [1, 2^31 - 1]. The server is told,
  // and refuses before it starts work whose answer would be larger.
  // Streamed calls have no such limit.
  std::int64_t response_bytes_max = std::int64_t{256} << 20;
};

// Of one call.
struct CallOptions {
  // Of the whole call, from its start, as DefaultDeadlines. Unset: the default.
  std::optional<Seconds> deadline = std::nullopt;

  // Requesting a stop on its source, from any thread, ends the call at once
  // with CANCELLED, also while it waits to try again; the server stops too.
  std::stop_token stop = {};

  // Sent as x-request-id, the same with every attempt, and written to the
  // server's log. 1 to 128 printable ASCII characters without blanks. Empty:
  // 32 random hexadecimal digits.
  std::string request_id = {};
};

}  // namespace steelyard::client
