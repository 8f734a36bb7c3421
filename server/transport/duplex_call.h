// RPCs whose client may go on sending while it is answered.
//
// METHOD  A thread of the call reads into an Inbox; the transport thread
//   answers. When the answer's status is decided while the client is silent,
//   the reader waits in gRPC: the status must go out first, which ends the
//   reading. grpc::ServerReaderWriter cannot do that (its Read would outlive
//   it), so the reader belongs to the method: it is joined after the status was
//   sent.
#pragma once

#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/sync_stream.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "server/request/inbox.h"
#include "server/transport/call.h"

namespace steelyard::server {

// Reads until the client is done, is gone, or nobody takes messages any more.
template <typename Request, typename Read>
void ReadInto(Inbox<Request>& inbox, const Read& read) {
  while (true) {
    std::shared_ptr<Request> message = inbox.Spare();
    if (!read(message.get()) || !inbox.Push(std::move(message))) break;
  }
  inbox.End();
}

// One method of a service. `Stock` is the handler that gRPC's generated code
// uses; it sends what Answer leaves to be sent, status included.
template <typename Request, typename Response>
class DuplexMethod : public grpc::internal::MethodHandler {
 public:
  using Body = grpc::internal::ServerReaderWriterBody<Response, Request>;
  using Stream = grpc::ServerReaderWriter<Response, Request>;
  // `write` is false when the stream is broken.
  using Answer = std::function<grpc::Status(
      grpc::ServerContext*, Inbox<Request>&,
      const std::function<bool(const Response&)>& write)>;

  DuplexMethod(std::int64_t inbox_bytes, Answer answer)
      : inbox_bytes_(inbox_bytes), answer_(std::move(answer)) {}

  void RunHandler(const HandlerParameter& parameter) final {
    auto* const context =
        static_cast<grpc::ServerContext*>(parameter.server_context);
    Body body(parameter.call, context);
    Inbox<Request> inbox(inbox_bytes_);
    std::thread reader;
    grpc::internal::BidiStreamingHandler<DuplexMethod, Request, Response> stock(
        [&](DuplexMethod*, grpc::ServerContext*, Stream*) {
          reader = std::thread([&] {
            ReadInto(inbox,
                     [&](Request* message) { return body.Read(message); });
          });
          grpc::Status status =
              answer_(context, inbox, [&](const Response& response) {
                return body.Write(response, grpc::WriteOptions());
              });
          inbox.Refuse();
          return status;
        },
        this);
    stock.RunHandler(parameter);
    // The status is sent: the call is over and Read has returned or does now.
    if (reader.joinable()) reader.join();
  }

 private:
  const std::int64_t inbox_bytes_;
  const Answer answer_;
};

// The same for one response after all requests.
template <typename Request, typename Response>
class InboxMethod : public grpc::internal::MethodHandler {
 public:
  using Body = grpc::internal::ServerReaderWriterBody<Response, Request>;
  using Answer = std::function<grpc::Status(
      grpc::ServerContext*, Inbox<Request>&, Response* response)>;

  InboxMethod(std::int64_t inbox_bytes, Answer answer)
      : inbox_bytes_(inbox_bytes), answer_(std::move(answer)) {}

  void RunHandler(const HandlerParameter& parameter) final {
    auto* const context =
        static_cast<grpc::ServerContext*>(parameter.server_context);
    Body body(parameter.call, context);
    Inbox<Request> inbox(inbox_bytes_);
    std::thread reader;
    grpc::internal::ClientStreamingHandler<InboxMethod, Request, Response>
        stock(
            [&](InboxMethod*, grpc::ServerContext*,
                grpc::ServerReader<Request>*, Response* response) {
              reader = std::thread([&] {
                ReadInto(inbox,
                         [&](Request* message) { return body.Read(message); });
              });
              grpc::Status status = answer_(context, inbox, response);
              inbox.Refuse();
              return status;
            },
            this);
    stock.RunHandler(parameter);
    if (reader.joinable()) reader.join();
  }

 private:
  const std::int64_t inbox_bytes_;
  const Answer answer_;
};

// What one RPC does around its handler, as UnaryCall of call.h.
template <typename Request, typename Response, typename Handler>
grpc::Status DuplexCall(const char* method, grpc::ServerContext* server_context,
                        Inbox<Request>& inbox,
                        const std::function<bool(const Response&)>& write,
                        const Handler& handler) {
  RequestContext context(Describe(method, server_context));
  return Finish(context, [&] { return handler.Handle(context, inbox, write); });
}

template <typename Request, typename Response, typename Handler>
grpc::Status InboxCall(const char* method, grpc::ServerContext* server_context,
                       Inbox<Request>& inbox, Response* response,
                       const Handler& handler) {
  RequestContext context(Describe(method, server_context));
  return Finish(context,
                [&] { return handler.Handle(context, inbox, response); });
}

}  // namespace steelyard::server
