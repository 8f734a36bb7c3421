// One attachment of a stream of keys: one StreamKeys call, written to by one
// thread and read by another, for a third that waits.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connection.h"
#include "key_chunks.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

class KeyLink {
 public:
  // silence_max: how long a wait may last without a message of the server.
  KeyLink(std::unique_ptr<Connection::KeyMessages> messages,
          Seconds silence_max);
  // Cancels the call if it still goes on.
  ~KeyLink();
  KeyLink(const KeyLink&) = delete;
  KeyLink& operator=(const KeyLink&) = delete;

  // In order; returns at once.
  void Send(KeyRequest request);
  // No more requests.
  void SendNoMore();

  // The next response that is no acknowledgement.
  // ERRORS  how the call ended; Unavailable: silence; Internal: it ended with
  //   OK where an answer is owed.
  absl::StatusOr<v1::StreamKeysResponse> Next();

  struct Acknowledgement {
    std::int64_t number = 0;  // How many have come.
    std::vector<std::int64_t> next_offset;
  };
  // The last one; waits for one after number `seen`.
  // ERRORS  as Next.
  absl::StatusOr<Acknowledgement> WaitForAck(std::int64_t seen);
  // Without waiting.
  // ERRORS  how the call ended, if it has.
  absl::StatusOr<Acknowledgement> LastAck() const;
  // The last one, whatever became of the call.
  Acknowledgement last_ack() const;

  // Waits for the end of the call. ERRORS  how it ended.
  absl::Status WaitForEnd();

 private:
  void WriteAll();
  void ReadAll();
  // Under the lock: until `done`, the end of the call, or silence.
  template <typename Done>
  absl::Status Wait(std::unique_lock<std::mutex>* lock, const Done& done);
  absl::Status EndedEarly() const;  // Under the lock.

  const std::unique_ptr<Connection::KeyMessages> messages_;
  const Seconds silence_max_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<KeyRequest> outgoing_;
  bool no_more_ = false;    // Nothing is appended to outgoing_ any more.
  bool call_over_ = false;  // The reader has seen the end.
  bool writer_done_ = false;
  std::deque<v1::StreamKeysResponse> answers_;
  Acknowledgement ack_;
  std::optional<absl::Status> end_;
  std::chrono::steady_clock::time_point last_heard_;

  std::thread writer_;
  std::thread reader_;
};

}  // namespace steelyard::client
