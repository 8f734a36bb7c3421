// A stream of both directions, as its handler sees it: on one thread.
#pragma once

#include <chrono>
#include <memory>

#include "absl/status/statusor.h"

namespace steelyard::server {

enum class Arrival {
  kMessage,
  kEnd,      // the caller sends no more, or is gone
  kNothing,  // not yet
};

template <typename Request, typename Response>
class MessageStream {
 public:
  virtual ~MessageStream() = default;

  // Waits for the next message, at most so long. The message after it is read
  // meanwhile, and while the handler computes; not the one after that, so a
  // caller that sends faster than its messages are taken has to wait.
  //
  // ERRORS  Internal: bytes that are no such message.
  virtual absl::StatusOr<Arrival> Read(std::chrono::milliseconds patience,
                                       std::shared_ptr<Request>* message) = 0;

  // Waits while the caller is slow to read. False: the stream is broken.
  virtual bool Write(const Response& response) = 0;
};

}  // namespace steelyard::server
