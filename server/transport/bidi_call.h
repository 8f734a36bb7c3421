// RPCs with streams in both directions: reads that can wait a given time.
//
// gRPC's synchronous Read waits without end, and only a cancel ends it: a
// stream on which nothing comes could not be ended with a status of ours. This
// reads by the operations that the synchronous API is made of, on the call's
// own completion queue, so there is still one thread a call.
#pragma once

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <grpcpp/impl/codegen/call_op_set.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/method_handler.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/request/message_stream.h"
#include "server/transport/call.h"

namespace steelyard::server {

// Reads the messages of one call, one ahead of its reader.
template <typename Request>
class ReadAhead {
 public:
  explicit ReadAhead(grpc::internal::Call* call) : call_(call) {}
  // The call has been answered, which ends a read that still waits.
  ~ReadAhead() {
    if (pending_.has_value()) (void)Wait(gpr_inf_future(GPR_CLOCK_MONOTONIC));
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  absl::StatusOr<Arrival> Next(std::chrono::milliseconds patience,
                               std::shared_ptr<Request>* message) {
    if (ended_) return Arrival::kEnd;
    if (!pending_.has_value()) Begin();
    const gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_millis(patience.count(), GPR_TIMESPAN));
    const std::optional<bool> arrived = Wait(deadline);
    if (!arrived.has_value()) return Arrival::kNothing;
    if (!*arrived) {
      ended_ = true;
      return Arrival::kEnd;
    }
    *message = NewRequest<Request>();
    const grpc::Status parsed = grpc::SerializationTraits<Request>::Deserialize(
        &bytes_, message->get());
    if (!parsed.ok()) {
      return absl::InternalError(absl::StrCat("a message of the stream is no ",
                                              Request::descriptor()->name()));
    }
    Begin();
    return Arrival::kMessage;
  }

 private:
  using Operation = grpc::internal::CallOpSet<
      grpc::internal::CallOpRecvMessage<grpc::ByteBuffer>>;

  void Begin() {
    bytes_.Clear();
    pending_.emplace();
    pending_->RecvMessage(&bytes_);
    call_->PerformOps(&*pending_);
  }

  // Whether there was a message; unset: not yet.
  std::optional<bool> Wait(gpr_timespec deadline) {
    const grpc_event event = grpc_completion_queue_pluck(
        call_->cq()->cq(), pending_->core_cq_tag(), deadline, nullptr);
    if (event.type != GRPC_OP_COMPLETE) return std::nullopt;
    bool ok = event.success != 0;
    void* tag = &*pending_;
    (void)pending_->FinalizeResult(&tag, &ok);
    const bool message = ok && pending_->got_message;
    pending_.reset();
    return message;
  }

  grpc::internal::Call* const call_;
  grpc::ByteBuffer bytes_;
  std::optional<Operation> pending_;
  bool ended_ = false;
};

template <typename Request, typename Response>
class GrpcMessageStream final : public MessageStream<Request, Response> {
 public:
  GrpcMessageStream(ReadAhead<Request>* reads,
                    grpc::ServerReaderWriter<Response, Request>* writer)
      : reads_(*reads), writer_(*writer) {}

  absl::StatusOr<Arrival> Read(std::chrono::milliseconds patience,
                               std::shared_ptr<Request>* message) override {
    return reads_.Next(patience, message);
  }
  bool Write(const Response& response) override {
    return writer_.Write(response);
  }

 private:
  ReadAhead<Request>& reads_;
  grpc::ServerReaderWriter<Response, Request>& writer_;
};

// Takes the place of the generated handler of such an RPC
// (Service::MarkMethodStreamed). `Handler` has
//   Status Handle(RequestContext&, MessageStream<Request, Response>&) const.
template <typename Request, typename Response, typename Handler>
class BidiMethod final : public grpc::internal::MethodHandler {
 public:
  // Both must outlive the method.
  BidiMethod(const char* method, const Handler& handler)
      : method_(method), handler_(handler) {}

  void RunHandler(const HandlerParameter& parameter) final {
    // Its read may end after the answer only, so it goes last.
    ReadAhead<Request> reads(parameter.call);
    using Writer = grpc::ServerReaderWriter<Response, Request>;
    grpc::internal::TemplatedBidiStreamingHandler<Writer, false> call(
        [this, &reads](grpc::ServerContext* server_context, Writer* writer) {
          RequestContext context(Describe(method_, server_context));
          GrpcMessageStream<Request, Response> stream(&reads, writer);
          return Finish(context,
                        [&] { return handler_.Handle(context, stream); });
        });
    call.RunHandler(parameter);
  }

 private:
  const char* const method_;
  const Handler& handler_;
};

}  // namespace steelyard::server
