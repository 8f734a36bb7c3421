#include "tests/client/support/fake_server.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/method_handler.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "steelyard/v1/error_details.pb.h"
#include "steelyard/v1/matrix_service.grpc.pb.h"
#include "steelyard/v1/regression_service.grpc.pb.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::client::test {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

grpc::Status ToGrpc(const FakeReply& reply) {
  if (reply.code == 0) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(reply.code), reply.message,
                      reply.details);
}

FakeCall Describe(grpc::ServerContext* context, std::atomic<int>* calls) {
  FakeCall call;
  call.number = ++*calls;
  const auto id = context->client_metadata().find("x-request-id");
  if (id != context->client_metadata().end()) {
    call.request_id = std::string(id->second.data(), id->second.size());
  }
  call.deadline_left = context->deadline() - std::chrono::system_clock::now();
  call.cancelled = [context] { return context->IsCancelled(); };
  return call;
}

template <typename Handler, typename Request, typename Response>
grpc::Status Answer(const Handler& handler, const FakeCall& call,
                    const Request* request, Response* response) {
  if (!handler) return grpc::Status(grpc::UNIMPLEMENTED, "no handler");
  return ToGrpc(handler(call, *request, response));
}

template <typename Handler, typename Request, typename Message>
grpc::Status AnswerByStream(const Handler& handler, const FakeCall& call,
                            const Request* request,
                            grpc::ServerWriter<Message>* writer) {
  if (!handler) return grpc::Status(grpc::UNIMPLEMENTED, "no handler");
  return ToGrpc(handler(call, *request, [writer](const Message& message) {
    return writer->Write(message);
  }));
}

template <typename Handler, typename Request, typename Response>
grpc::Status AnswerReader(const Handler& handler, const FakeCall& call,
                          grpc::ServerReader<Request>* reader,
                          Response* response) {
  if (!handler) return grpc::Status(grpc::UNIMPLEMENTED, "no handler");
  return ToGrpc(handler(
      call, [reader](Request* request) { return reader->Read(request); },
      response));
}

template <typename Request, typename Response>
grpc::Status Talk(const FakeDuplexHandler<Request, Response>& handler,
                  const FakeCall& call,
                  grpc::ServerReaderWriter<Response, Request>* stream) {
  if (!handler) return grpc::Status(grpc::UNIMPLEMENTED, "no handler");
  return ToGrpc(handler(
      call,
      {.read = [stream](Request* request) { return stream->Read(request); },
       .write =
           [stream](const Response& response) {
             return stream->Write(response);
           }}));
}

std::shared_ptr<grpc::ServerCredentials> CredentialsFor(
    const std::optional<FakeTls>& tls) {
  if (!tls.has_value()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      tls->client_root.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls->client_root;
  options.pem_key_cert_pairs.push_back(
      {tls->private_key, tls->certificate_chain});
  return grpc::SslServerCredentials(options);
}

// grpc.health.v1.Health/Check. gRPC's own is built on its callback API, which
// TSan takes for a race. Its messages have the wire format of these two: field
// 1 a string; field 1 an enum.
class Health : public grpc::Service {
 public:
  using Request = google::protobuf::StringValue;
  using Response = google::protobuf::Int32Value;

  Health() {
    using Handler =
        grpc::internal::RpcMethodHandler<Health, Request, Response,
                                         google::protobuf::MessageLite,
                                         google::protobuf::MessageLite>;
    AddMethod(new grpc::internal::RpcServiceMethod(
        "/grpc.health.v1.Health/Check", grpc::internal::RpcMethod::NORMAL_RPC,
        new Handler(
            [](Health* health, grpc::ServerContext*, const Request* request,
               Response* response) {
              return health->Check(*request, response);
            },
            this)));
  }

  void Set(const std::string& service, bool serving) {
    const std::lock_guard lock(mutex_);
    serving_[service] = serving;
  }

 private:
  grpc::Status Check(const Request& request, Response* response) {
    const std::lock_guard lock(mutex_);
    const auto found = serving_.find(request.value());
    if (found == serving_.end()) {
      return grpc::Status(grpc::NOT_FOUND, "no such service");
    }
    response->set_value(found->second ? 1 : 2);
    return grpc::Status::OK;
  }

  std::mutex mutex_;
  std::map<std::string, bool> serving_{{"", true}};
};

}  // namespace

FakeReply Refusal(int code, const std::string& message,
                  std::optional<Seconds> retry_delay) {
  FakeReply reply{.code = code, .message = message};
  v1::RpcStatus status;
  status.set_code(code);
  status.set_message(message);
  if (retry_delay.has_value()) {
    v1::RetryInfo retry;
    const auto nanos = static_cast<std::int64_t>(retry_delay->count() * 1e9);
    retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<std::int32_t>(nanos % 1'000'000'000));
    google::protobuf::Any* any = status.add_details();
    any->set_type_url("type.googleapis.com/google.rpc.RetryInfo");
    any->set_value(retry.SerializeAsString());
  }
  reply.details = status.SerializeAsString();
  return reply;
}

class FakeServer::Services : public v1::UniversalSetService::Service,
                             public v1::RegressionService::Service,
                             public v1::MatrixService::Service,
                             public v1::ServerService::Service {
 public:
  explicit Services(FakeHandlers handlers) : handlers_(std::move(handlers)) {}

  grpc::Status FindUniversalSet(
      grpc::ServerContext* context, const v1::FindUniversalSetRequest* request,
      v1::FindUniversalSetResponse* response) override {
    return Answer(handlers_.find_universal_set, Describe(context, &calls_),
                  request, response);
  }
  grpc::Status QueryHeavy(grpc::ServerContext* context,
                          const v1::QueryHeavyRequest* request,
                          v1::QueryHeavyResponse* response) override {
    return Answer(handlers_.query_heavy, Describe(context, &calls_), request,
                  response);
  }
  grpc::Status Solve(grpc::ServerContext* context,
                     const v1::SolveRequest* request,
                     v1::SolveResponse* response) override {
    return Answer(handlers_.solve, Describe(context, &calls_), request,
                  response);
  }
  grpc::Status GetServerInfo(grpc::ServerContext* context,
                             const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* info) override {
    return Answer(handlers_.get_server_info, Describe(context, &calls_),
                  request, info);
  }
  grpc::Status StreamSolve(
      grpc::ServerContext* context, const v1::SolveRequest* request,
      grpc::ServerWriter<v1::SolveEvent>* writer) override {
    return AnswerByStream(handlers_.stream_solve, Describe(context, &calls_),
                          request, writer);
  }
  grpc::Status Predict(
      grpc::ServerContext* context, const v1::PredictRequest* request,
      grpc::ServerWriter<v1::PredictResponse>* writer) override {
    return AnswerByStream(handlers_.predict, Describe(context, &calls_),
                          request, writer);
  }
  grpc::Status StreamFindUniversalSet(
      grpc::ServerContext* context, const v1::FindUniversalSetRequest* request,
      grpc::ServerWriter<v1::FindUniversalSetEvent>* writer) override {
    return AnswerByStream(handlers_.stream_find_universal_set,
                          Describe(context, &calls_), request, writer);
  }
  grpc::Status ReadUniversalSet(
      grpc::ServerContext* context, const v1::ReadUniversalSetRequest* request,
      grpc::ServerWriter<v1::UniversalSet>* writer) override {
    return AnswerByStream(handlers_.read_universal_set,
                          Describe(context, &calls_), request, writer);
  }
  grpc::Status ExportState(
      grpc::ServerContext* context, const v1::ExportStateRequest* request,
      grpc::ServerWriter<v1::StateChunk>* writer) override {
    return AnswerByStream(handlers_.export_state, Describe(context, &calls_),
                          request, writer);
  }
  grpc::Status Attend(grpc::ServerContext* context,
                      const v1::AttendRequest* request,
                      v1::AttendResponse* response) override {
    return Answer(handlers_.attend, Describe(context, &calls_), request,
                  response);
  }
  grpc::Status GetUniversalSet(grpc::ServerContext* context,
                               const v1::GetUniversalSetRequest* request,
                               v1::UniversalSetInfo* info) override {
    return Answer(handlers_.get_universal_set, Describe(context, &calls_),
                  request, info);
  }
  grpc::Status ListUniversalSets(
      grpc::ServerContext* context, const v1::ListUniversalSetsRequest* request,
      v1::ListUniversalSetsResponse* response) override {
    return Answer(handlers_.list_universal_sets, Describe(context, &calls_),
                  request, response);
  }
  grpc::Status DeleteUniversalSet(grpc::ServerContext* context,
                                  const v1::DeleteUniversalSetRequest* request,
                                  google::protobuf::Empty* response) override {
    return Answer(handlers_.delete_universal_set, Describe(context, &calls_),
                  request, response);
  }
  grpc::Status StreamKeys(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::StreamKeysResponse, v1::StreamKeysRequest>*
          stream) override {
    return Talk(handlers_.stream_keys, Describe(context, &calls_), stream);
  }
  grpc::Status StreamQueryHeavy(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::StreamQueryHeavyResponse,
                               v1::StreamQueryHeavyRequest>* stream) override {
    return Talk(handlers_.stream_query_heavy, Describe(context, &calls_),
                stream);
  }
  grpc::Status StreamAttend(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::StreamAttendResponse,
                               v1::StreamAttendRequest>* stream) override {
    return Talk(handlers_.stream_attend, Describe(context, &calls_), stream);
  }
  grpc::Status MergeStates(grpc::ServerContext* context,
                           grpc::ServerReader<v1::MergeStatesRequest>* reader,
                           v1::MergeStatesResponse* response) override {
    return AnswerReader(handlers_.merge_states, Describe(context, &calls_),
                        reader, response);
  }
  grpc::Status UploadMatrix(grpc::ServerContext* context,
                            grpc::ServerReader<v1::UploadMatrixRequest>* reader,
                            v1::Matrix* matrix) override {
    return AnswerReader(handlers_.upload_matrix, Describe(context, &calls_),
                        reader, matrix);
  }
  grpc::Status GetUploadStatus(grpc::ServerContext* context,
                               const v1::GetUploadStatusRequest* request,
                               v1::UploadStatus* status) override {
    return Answer(handlers_.get_upload_status, Describe(context, &calls_),
                  request, status);
  }
  grpc::Status GetMatrix(grpc::ServerContext* context,
                         const v1::GetMatrixRequest* request,
                         v1::Matrix* matrix) override {
    return Answer(handlers_.get_matrix, Describe(context, &calls_), request,
                  matrix);
  }
  grpc::Status ListMatrices(grpc::ServerContext* context,
                            const v1::ListMatricesRequest* request,
                            v1::ListMatricesResponse* response) override {
    return Answer(handlers_.list_matrices, Describe(context, &calls_), request,
                  response);
  }
  grpc::Status DeleteMatrix(grpc::ServerContext* context,
                            const v1::DeleteMatrixRequest* request,
                            google::protobuf::Empty* response) override {
    return Answer(handlers_.delete_matrix, Describe(context, &calls_), request,
                  response);
  }

  Health health;
  std::unique_ptr<grpc::Server> server;
  int calls() const { return calls_; }

 private:
  const FakeHandlers handlers_;
  std::atomic<int> calls_{0};
};

FakeServer::FakeServer(FakeHandlers handlers, const std::optional<FakeTls>& tls)
    : services_(std::make_unique<Services>(std::move(handlers))) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", CredentialsFor(tls), &port);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.RegisterService(
      static_cast<v1::UniversalSetService::Service*>(services_.get()));
  builder.RegisterService(
      static_cast<v1::RegressionService::Service*>(services_.get()));
  builder.RegisterService(
      static_cast<v1::MatrixService::Service*>(services_.get()));
  builder.RegisterService(
      static_cast<v1::ServerService::Service*>(services_.get()));
  builder.RegisterService(&services_->health);
  services_->server = builder.BuildAndStart();
  if (services_->server == nullptr || port == 0) {
    std::fprintf(stderr, "the fake server did not start\n");
    std::abort();
  }
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeServer::~FakeServer() {
  services_->server->Shutdown(std::chrono::system_clock::now());
}

int FakeServer::calls() const { return services_->calls(); }

void FakeServer::SetServing(const std::string& service, bool serving) {
  services_->health.Set(service, serving);
}

}  // namespace steelyard::client::test
