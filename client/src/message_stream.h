// A call whose messages go both ways, without gRPC in sight.
#pragma once

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace steelyard::client {

// One thread may write while another reads; Cancel comes from any.
template <typename Request, typename Response>
class MessageStream {
 public:
  virtual ~MessageStream() = default;

  // False once the call is over.
  virtual bool Write(const Request& request) = 0;
  virtual void WritesDone() = 0;
  // False after the last message.
  virtual bool Read(Response* response) = 0;
  // How the call ended. Once, after the last Read, when nothing writes.
  virtual absl::Status Finish() = 0;
  virtual void Cancel() = 0;
};

// Gives the next request; false: there is no more.
template <typename Request>
using RequestSource = std::function<absl::StatusOr<bool>(Request*)>;

// Takes a response; an error ends the call with it.
template <typename Response>
using ResponseSink = std::function<absl::Status(Response*)>;

// Writes on a thread of its own what `next` gives, while this one reads. An
// error of `next` or `consume` cancels the call and is its status.
template <typename Request, typename Response>
absl::Status Converse(MessageStream<Request, Response>* stream,
                      const RequestSource<Request>& next,
                      const ResponseSink<Response>& consume) {
  absl::Status produced;
  std::jthread writer([&] {
    for (bool more = true; more;) {
      Request request;
      const absl::StatusOr<bool> given = next(&request);
      if (!given.ok()) {
        produced = given.status();
        stream->Cancel();
        return;
      }
      more = *given && stream->Write(request);
    }
    stream->WritesDone();
  });
  absl::Status consumed;
  Response response;
  while (consumed.ok() && stream->Read(&response)) {
    consumed = consume(&response);
  }
  if (!consumed.ok()) stream->Cancel();
  writer.join();
  absl::Status ended = stream->Finish();
  if (!consumed.ok()) return consumed;
  return produced.ok() ? ended : produced;
}

}  // namespace steelyard::client
