#include "tests/support_server/caller.h"

#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/sync_stream.h>
#include <stdlib.h>

#include <chrono>
#include <thread>

#include "steelyard/v1/regression_service.grpc.pb.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::test {
namespace {

// The messages of grpc.health.v1 have the wire format of these two: field 1 a
// string; field 1 an enum.
using HealthRequest = google::protobuf::StringValue;
using HealthResponse = google::protobuf::Int32Value;

// An idle channel looks at its socket every 5 s unless told otherwise before
// gRPC starts; a server that drains waits for that look.
[[maybe_unused]] const int backup_poll_is_set =
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "50", 0);

std::shared_ptr<grpc::Channel> OwnConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments);
  // Of some thousand first connections one failed; calls that follow must not
  // depend on it. Where there is no server, the calls will say so.
  (void)channel->WaitForConnected(std::chrono::system_clock::now() +
                                  std::chrono::seconds(10));
  return channel;
}

// Of a ServerReflectionResponse: field 6 holds field 1, repeated, holds the
// name as field 1.
void AppendServiceNames(const grpc::ByteBuffer& answer,
                        std::vector<std::string>* names) {
  grpc::Slice slice;
  if (!answer.DumpToSingleSlice(&slice).ok()) return;
  google::protobuf::UnknownFieldSet response;
  if (!response.ParseFromArray(slice.begin(), static_cast<int>(slice.size()))) {
    return;
  }
  for (int i = 0; i < response.field_count(); ++i) {
    google::protobuf::UnknownFieldSet list;
    if (response.field(i).number() != 6 ||
        !list.ParseFromString(response.field(i).length_delimited())) {
      continue;
    }
    for (int j = 0; j < list.field_count(); ++j) {
      google::protobuf::UnknownFieldSet service;
      if (service.ParseFromString(list.field(j).length_delimited()) &&
          service.field_count() > 0) {
        names->push_back(service.field(0).length_delimited());
      }
    }
  }
}

// Until `on_message` returns false: then the call is cancelled.
template <typename Message>
grpc::Status ReadAll(grpc::ClientReader<Message>& reader,
                     grpc::ClientContext* context,
                     const std::function<bool(const Message&)>& on_message) {
  Message message;
  while (reader.Read(&message)) {
    if (on_message(message)) continue;
    context->TryCancel();
    break;
  }
  return reader.Finish();
}

}  // namespace

struct Caller::Stubs {
  explicit Stubs(const std::string& address)
      : channel(OwnConnection(address)),
        server(channel),
        universal_set(channel),
        regression(channel) {}

  std::shared_ptr<grpc::Channel> channel;
  v1::ServerService::Stub server;
  v1::UniversalSetService::Stub universal_set;
  v1::RegressionService::Stub regression;
};

Caller::Caller(const std::string& address)
    : stubs_(std::make_unique<Stubs>(address)) {}

Caller::~Caller() = default;

grpc::Status Caller::GetServerInfo(grpc::ClientContext* context,
                                   v1::ServerInfo* response) const {
  return stubs_->server.GetServerInfo(context, {}, response);
}

grpc::Status Caller::FindUniversalSet(
    grpc::ClientContext* context, const v1::FindUniversalSetRequest& request,
    v1::FindUniversalSetResponse* response) const {
  return stubs_->universal_set.FindUniversalSet(context, request, response);
}

grpc::Status Caller::QueryHeavy(grpc::ClientContext* context,
                                const v1::QueryHeavyRequest& request,
                                v1::QueryHeavyResponse* response) const {
  return stubs_->universal_set.QueryHeavy(context, request, response);
}

grpc::Status Caller::Solve(grpc::ClientContext* context,
                           const v1::SolveRequest& request,
                           v1::SolveResponse* response) const {
  return stubs_->regression.Solve(context, request, response);
}

grpc::Status Caller::StreamSolve(
    grpc::ClientContext* context, const v1::SolveRequest& request,
    const std::function<bool(const v1::SolveEvent&)>& on_event) const {
  return ReadAll(*stubs_->regression.StreamSolve(context, request), context,
                 on_event);
}

grpc::Status Caller::Predict(
    grpc::ClientContext* context, const v1::PredictRequest& request,
    const std::function<bool(const v1::PredictResponse&)>& on_rows) const {
  return ReadAll(*stubs_->regression.Predict(context, request), context,
                 on_rows);
}

grpc::Status Caller::CheckHealth(grpc::ClientContext* context,
                                 const std::string& service,
                                 int* serving) const {
  HealthRequest request;
  request.set_value(service);
  HealthResponse response;
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC,
                                         stubs_->channel);
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<HealthRequest, HealthResponse>(
          stubs_->channel.get(), method, context, request, &response);
  *serving = response.value();
  return status;
}

grpc::Status Caller::WatchHealth(
    grpc::ClientContext* context, const std::string& service,
    const std::function<bool(int)>& on_status) const {
  HealthRequest request;
  request.set_value(service);
  const grpc::internal::RpcMethod method(
      "/grpc.health.v1.Health/Watch",
      grpc::internal::RpcMethod::SERVER_STREAMING, stubs_->channel);
  const std::unique_ptr<grpc::ClientReader<HealthResponse>> reader(
      grpc::internal::ClientReaderFactory<HealthResponse>::Create(
          stubs_->channel.get(), method, context, request));
  HealthResponse response;
  while (reader->Read(&response)) {
    if (!on_status(response.value())) {
      context->TryCancel();
      break;
    }
  }
  return reader->Finish();
}

grpc::Status Caller::ListServices(grpc::ClientContext* context,
                                  std::vector<std::string>* names) const {
  // ServerReflectionRequest.list_services: field 7, "*".
  const std::string wanted = "\x3a\x01*";
  grpc::Slice slice(wanted);
  const grpc::ByteBuffer request(&slice, 1);
  const grpc::internal::RpcMethod method(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::internal::RpcMethod::BIDI_STREAMING, stubs_->channel);
  const std::unique_ptr<
      grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>>
      stream(grpc::internal::ClientReaderWriterFactory<
             grpc::ByteBuffer, grpc::ByteBuffer>::Create(stubs_->channel.get(),
                                                         method, context));
  stream->Write(request);
  stream->WritesDone();
  grpc::ByteBuffer answer;
  if (stream->Read(&answer)) AppendServiceNames(answer, names);
  return stream->Finish();
}

std::int64_t Caller::MemoryReserved() const {
  grpc::ClientContext context;
  v1::ServerInfo info;
  return GetServerInfo(&context, &info).ok() ? info.memory_reserved_bytes()
                                             : -1;
}

std::int64_t Caller::MemoryReservedAtLast() const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::int64_t bytes = MemoryReserved();
  while (bytes != 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    bytes = MemoryReserved();
  }
  return bytes;
}

}  // namespace steelyard::test
