// What every RPC does around its handler: context, errors, log line.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/request/request_context.h"

namespace steelyard::server {

// Of a call that has just arrived; sends x-request-id back.
RequestContext::Call Describe(const char* method, grpc::ServerContext* context);

// Runs a handler. std::bad_alloc ends here as RESOURCE_EXHAUSTED and any other
// exception as INTERNAL (our bug): gRPC would say UNKNOWN. Writes the line of
// the log.
grpc::Status Finish(RequestContext& context,
                    absl::FunctionRef<absl::Status()> handle);

// From here on a message is worth a walk over the heap, some milliseconds.
inline constexpr std::size_t kLargeMessageBytes = std::size_t{16} << 20;

// Unused pages of the heap go back to the system.
void ReturnFreeMemory();

// A message to be read into. A large one gives its memory back to the system
// when it goes: it came in thousands of small pieces, which the heap would
// keep.
template <typename Request>
std::shared_ptr<Request> NewRequest() {
  return std::shared_ptr<Request>(new Request, [](Request* message) {
    const bool large = message->ByteSizeLong() >= kLargeMessageBytes;
    delete message;
    if (large) ReturnFreeMemory();
  });
}

// The request of a call as an object that may outlive the call: abandoned work
// goes on reading it. gRPC makes the message for this one call and hands out a
// const pointer to it; nobody looks at it after the handler.
template <typename Request>
std::shared_ptr<const Request> TakeRequest(const Request* request) {
  const std::shared_ptr<Request> taken = NewRequest<Request>();
  taken->Swap(const_cast<Request*>(request));
  return taken;
}

template <typename Handler, typename Request, typename Response>
grpc::Status UnaryCall(const char* method, grpc::ServerContext* server_context,
                       const Request* request, Response* response,
                       const Handler& handler) {
  RequestContext context(Describe(method, server_context));
  return Finish(context, [&] {
    return handler.Handle(context, TakeRequest(request), response);
  });
}

// `write` returns false when the stream is broken.
template <typename Handler, typename Request, typename Writer>
grpc::Status ServerStreamCall(const char* method,
                              grpc::ServerContext* server_context,
                              const Request* request, Writer* writer,
                              const Handler& handler) {
  RequestContext context(Describe(method, server_context));
  return Finish(context, [&] {
    return handler.Handle(
        context, TakeRequest(request),
        [writer](const auto& event) { return writer->Write(event); });
  });
}

}  // namespace steelyard::server
