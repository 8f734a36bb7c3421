// The universal set of keys that arrive in time: one pass, in memory that does
// not grow with their number, here and in the server.
//
//     auto stream = client.OpenKeyStream(
//         {.columns = 64, .type = ScalarType::kFloat32, .epsilon = 0.05});
//     if (!stream.ok()) return stream.status();
//     while (const auto block = NextKeys()) {
//       if (auto added = stream->Add(*block); !added.ok()) return added;
//     }
//     auto sets = stream->Finish();
//
// When the connection breaks, or the server says UNAVAILABLE, the stream
// attaches again and sends from the last acknowledged key on: chunks stay in a
// bounded buffer here until the server has acknowledged them. How often and
// after which pauses is ClientOptions::retry; attempts count from the last
// acknowledged progress. A server that was restarted does not know the stream:
// the call that notices ends with NOT_FOUND, and a checkpoint goes on.
//
// THREADS  A KeyStream belongs to one thread at a time. It sends and reads on
//   two threads of its own, so that Add returns while the network works.
// ERRORS   Those of the RPC StreamKeys, and InvalidArgument: keys of another
//   type or width than the stream's. After an error that is not InvalidArgument
//   of the client's own the stream is over; the server keeps what it
//   acknowledged, suspended, until its ttl is over: ResumeKeyStream.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/options.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/tensor_view.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::client {

class Connection;
class KeySession;

// How a stream is fed, whatever it computes.
struct KeyStreamFlow {
  // Chunks that are sent but not acknowledged, bytes, in [1 MiB, 2^40]. Add
  // waits while there are more. The server acknowledges at least every 8 MiB.
  std::int64_t buffer_bytes_max = std::int64_t{64} << 20;

  // Nothing heard from the server for so long while it owes an answer: the
  // connection counts as broken. > 0 or kNoDeadline.
  Seconds silence_max{300.0};
};

struct KeyStreamOptions {
  // [a-z][a-z0-9-]{0,62}. Empty: the client makes one up.
  std::string set_id = {};

  std::int64_t heads = 1;    // H
  std::int64_t columns = 0;  // d. Required.
  ScalarType type = ScalarType::kFloat32;

  // In (0, 1]. Required: without a threshold no pass has bounded memory.
  double epsilon = 0.0;
  ScoreFunction function = Power{2.0};  // Softmax is refused.
  std::optional<std::int64_t> top_m = std::nullopt;

  // Query i sees keys 0..i.
  bool causal = false;

  // Global index of the first key of this shard. >= 0.
  std::int64_t first_index = 0;

  // Kept this long after the last use. > 0, at most 24 h. Unset: 10 min.
  std::optional<Seconds> ttl = std::nullopt;

  KeyStreamFlow flow = {};
};

class KeyStream {
 public:
  KeyStream(KeyStream&&) noexcept;
  KeyStream& operator=(KeyStream&&) noexcept;
  // Ends the connection. Without Finish the server keeps the session,
  // suspended: what it has acknowledged is not lost.
  ~KeyStream();

  // "universalSets/{id}"
  const std::string& name() const;

  // Keys of each head handed to this stream or received by the server before:
  // where the next Add goes on.
  std::vector<std::int64_t> next_offset() const;
  // Keys of each head that the server has acknowledged.
  std::vector<std::int64_t> acknowledged() const;
  // How often the stream has attached again.
  int reconnects() const;

  // The next keys of every head: c x d (H = 1), or H x c x d, c >= 1, any size;
  // sent in chunks of at most what the server takes. Copied: the memory is free
  // once Add returns. Waits while the buffer is full.
  absl::Status Add(const TensorView& keys);
  // The next keys, c x d, of one head.
  absl::Status AddToHead(std::int64_t head, const TensorView& keys);

  // Waits until the server has acknowledged every key that was added.
  absl::Status Flush();

  // The sets as of the keys added so far.
  absl::StatusOr<UniversalSets> Snapshot();

  // The state as of the keys added so far: what ImportKeyStream and MergeStates
  // read, on any server.
  absl::StatusOr<std::string> Checkpoint();

  // The final sets. The set stays on the server, read-only, until its ttl is
  // over; the stream is over.
  absl::StatusOr<UniversalSets> Finish();

 private:
  friend class Client;
  explicit KeyStream(std::unique_ptr<KeySession> session);

  std::unique_ptr<KeySession> session_;
};

}  // namespace steelyard::client
