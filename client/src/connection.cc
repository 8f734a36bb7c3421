#include "connection.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "options_check.h"
#include "retry.h"
#include "steelyard/v1/matrix_service.grpc.pb.h"
#include "steelyard/v1/regression_service.grpc.pb.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::client {
namespace {

// What an answer may have beyond response_bytes_max (the fields around its
// numbers), and what a streamed message may have whatever the caller chose.
constexpr std::int64_t kAnswerSlackBytes = std::int64_t{4} << 20;

// A server that comes back is noticed within seconds; gRPC itself would wait up
// to two minutes.
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 5000;

// The messages of grpc.health.v1 have the wire format of these two: field 1 a
// string; field 1 an enum. Debian ships no generated code for them.
using HealthRequest = google::protobuf::StringValue;
using HealthResponse = google::protobuf::Int32Value;
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

// 32 hexadecimal digits: two ids are the same with probability 2^-128.
std::string RandomRequestId() {
  thread_local std::mt19937_64 engine{[] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }()};
  return absl::StrCat(absl::Hex(engine(), absl::kZeroPad16),
                      absl::Hex(engine(), absl::kZeroPad16));
}

grpc::ChannelArguments ArgumentsFor(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(static_cast<int>(options.request_bytes_max));
  arguments.SetMaxReceiveMessageSize(static_cast<int>(std::min(
      options.response_bytes_max + kAnswerSlackBytes, kMessageBytesMax)));
  // Retries are ours: gRPC's know nothing of RetryInfo.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // A connection of its own: the large messages of another client of this
  // process are not in the way.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> ToGrpc(
    const Credentials& credentials, grpc::ChannelArguments* arguments) {
  const auto* tls = std::get_if<TlsCredentials>(&credentials);
  if (tls == nullptr) return grpc::InsecureChannelCredentials();
  if (!tls->server_name.empty()) {
    arguments->SetSslTargetNameOverride(tls->server_name);
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = tls->root_certificates;
  options.pem_private_key = tls->private_key;
  options.pem_cert_chain = tls->certificate_chain;
  return grpc::SslCredentials(options);
}

// What every attempt carries.
void Prepare(const std::string& request_id, const Deadline& deadline,
             grpc::ClientContext* context) {
  context->AddMetadata("x-request-id", request_id);
  const Seconds left = deadline.left();
  if (std::isinf(left.count())) return;
  context->set_deadline(
      std::chrono::system_clock::now() +
      std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return StatusFromWire(static_cast<int>(status.error_code()),
                        status.error_message(), status.error_details());
}

// One stream of gRPC; owns neither context nor caller.
template <typename Request, typename Response>
class Exchange : public MessageStream<Request, Response> {
 public:
  using Stream = grpc::ClientReaderWriter<Request, Response>;

  Exchange(grpc::ClientContext* context, std::unique_ptr<Stream> stream)
      : context_(context), stream_(std::move(stream)) {}

  bool Write(const Request& request) override {
    return stream_->Write(request);
  }
  void WritesDone() override { stream_->WritesDone(); }
  bool Read(Response* response) override { return stream_->Read(response); }
  absl::Status Finish() override { return FromGrpc(stream_->Finish()); }
  void Cancel() override { context_->TryCancel(); }

 private:
  grpc::ClientContext* const context_;
  const std::unique_ptr<Stream> stream_;
};

grpc::Status CallHealthCheck(
    grpc::TemplatedGenericStub<HealthRequest, HealthResponse>* stub,
    grpc::ClientContext* context, const HealthRequest& request,
    HealthResponse* response) {
  grpc::CompletionQueue queue;
  const auto reader =
      stub->PrepareUnaryCall(context, kHealthCheck, request, &queue);
  reader->StartCall();
  grpc::Status status;
  reader->Finish(response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  return status;
}

}  // namespace

struct Connection::Stubs {
  explicit Stubs(std::shared_ptr<grpc::ChannelInterface> channel)
      : universal_set(channel),
        regression(channel),
        matrix(channel),
        server(channel),
        health(std::move(channel)) {}

  v1::UniversalSetService::Stub universal_set;
  v1::RegressionService::Stub regression;
  v1::MatrixService::Stub matrix;
  v1::ServerService::Stub server;
  grpc::TemplatedGenericStub<HealthRequest, HealthResponse> health;
};

Connection::Connection(std::shared_ptr<grpc::ChannelInterface> channel,
                       const ClientOptions& options)
    : options_(options), stubs_(std::make_unique<Stubs>(std::move(channel))) {}

Connection::~Connection() = default;

absl::StatusOr<std::shared_ptr<const Connection>> Connection::Open(
    const std::string& address, const ClientOptions& options) {
  if (address.empty()) {
    return LocalError(absl::StatusCode::kInvalidArgument,
                      "address is empty; it must be HOST:PORT",
                      {.reason = "FIELD_REQUIRED", .field = "address"});
  }
  absl::Status status = Validate(options);
  if (!status.ok()) return status;
  if (const auto* tls = std::get_if<TlsCredentials>(&options.credentials)) {
    status = Validate(*tls);
    if (!status.ok()) return status;
  }
  grpc::ChannelArguments arguments = ArgumentsFor(options);
  const auto credentials = ToGrpc(options.credentials, &arguments);
  return Over(grpc::CreateCustomChannel(address, credentials, arguments),
              options);
}

absl::StatusOr<std::shared_ptr<const Connection>> Connection::Over(
    std::shared_ptr<grpc::ChannelInterface> channel,
    const ClientOptions& options) {
  absl::Status status = Validate(options);
  if (!status.ok()) return status;
  if (channel == nullptr) {
    return LocalError(absl::StatusCode::kInvalidArgument, "channel is null",
                      {.reason = "FIELD_REQUIRED", .field = "channel"});
  }
  return std::shared_ptr<const Connection>(
      new Connection(std::move(channel), options));
}

absl::StatusOr<CallOptions> Connection::Checked(
    const CallOptions& call, Seconds default_deadline) const {
  CallOptions checked = call;
  checked.deadline = call.deadline.value_or(default_deadline);
  if (checked.request_id.empty()) checked.request_id = RandomRequestId();
  for (absl::Status status : {ValidateDeadline("deadline", *checked.deadline),
                              ValidateRequestId(checked.request_id)}) {
    if (!status.ok()) return status;
  }
  if (call.stop.stop_requested()) {
    return absl::CancelledError("stopped by the caller before it began");
  }
  return checked;
}

absl::Status Connection::Run(const CallOptions& call, Seconds default_deadline,
                             std::size_t request_bytes,
                             const Attempt& attempt) const {
  const absl::StatusOr<CallOptions> checked = Checked(call, default_deadline);
  CallRecord record;
  record.request_id = checked.ok() ? checked->request_id : call.request_id;
  absl::Status outcome = checked.status();
  if (outcome.ok()) {
    outcome = ValidateRequestBytes(request_bytes, options_.request_bytes_max);
  }
  if (outcome.ok()) {
    const Deadline deadline(*checked->deadline);
    outcome =
        RunWithRetries(options_.retry, deadline, call.stop, [&](int number) {
          record.attempts = number;
          grpc::ClientContext context;
          Prepare(record.request_id, deadline, &context);
          const std::stop_callback cancel(call.stop,
                                          [&] { context.TryCancel(); });
          return attempt(&context, number);
        });
  }
  AttachRecord(record, &outcome);
  return outcome;
}

absl::Status Connection::FindUniversalSet(
    const v1::FindUniversalSetRequest& request, const CallOptions& call,
    v1::FindUniversalSetResponse* response) const {
  return Run(call, options_.deadlines.find_universal_set,
             request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(stubs_->universal_set.FindUniversalSet(
                   context, request, response));
             });
}

absl::Status Connection::QueryHeavy(const v1::QueryHeavyRequest& request,
                                    const CallOptions& call,
                                    v1::QueryHeavyResponse* response) const {
  return Run(call, options_.deadlines.query_heavy, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(stubs_->universal_set.QueryHeavy(
                   context, request, response));
             });
}

absl::Status Connection::Solve(const v1::SolveRequest& request,
                               const CallOptions& call,
                               v1::SolveResponse* response) const {
  return Run(
      call, options_.deadlines.solve, request.ByteSizeLong(),
      [&](grpc::ClientContext* context, int /*number*/) {
        return FromGrpc(stubs_->regression.Solve(context, request, response));
      });
}

template <typename Reader, typename Message>
absl::Status Connection::ReadAll(grpc::ClientContext* context, Reader* reader,
                                 const ResponseSink<Message>& consume) {
  absl::Status consumed;
  Message message;
  while (consumed.ok() && reader->Read(&message)) {
    consumed = consume(&message);
  }
  if (!consumed.ok()) context->TryCancel();
  absl::Status ended = FromGrpc(reader->Finish());
  return consumed.ok() ? ended : consumed;
}

absl::Status Connection::StreamSolve(
    const v1::SolveRequest& request, const CallOptions& call,
    const ConsumerOf<v1::SolveEvent>& consumer_of) const {
  return Run(call, options_.deadlines.stream_solve, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int number) {
               const auto reader =
                   stubs_->regression.StreamSolve(context, request);
               return ReadAll(context, reader.get(), consumer_of(number));
             });
}

absl::Status Connection::Predict(
    std::size_t request_bytes, const CallOptions& call,
    const std::function<absl::StatusOr<const v1::PredictRequest*>(int attempt)>&
        request_of,
    const ResponseSink<v1::PredictResponse>& consume) const {
  return Run(call, options_.deadlines.predict, request_bytes,
             [&](grpc::ClientContext* context, int number) {
               const auto request = request_of(number);
               if (!request.ok()) return request.status();
               if (*request == nullptr) return absl::OkStatus();
               const auto reader =
                   stubs_->regression.Predict(context, **request);
               return ReadAll(context, reader.get(), consume);
             });
}

absl::Status Connection::StreamFindUniversalSet(
    const v1::FindUniversalSetRequest& request, const CallOptions& call,
    const ConsumerOf<v1::FindUniversalSetEvent>& consumer_of) const {
  return Run(
      call, options_.deadlines.stream_find_universal_set,
      request.ByteSizeLong(), [&](grpc::ClientContext* context, int number) {
        const auto reader =
            stubs_->universal_set.StreamFindUniversalSet(context, request);
        return ReadAll(context, reader.get(), consumer_of(number));
      });
}

absl::Status Connection::ReadUniversalSet(
    const v1::ReadUniversalSetRequest& request, const CallOptions& call,
    const ConsumerOf<v1::UniversalSet>& consumer_of) const {
  return Run(call, options_.deadlines.read_universal_set,
             request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int number) {
               const auto reader =
                   stubs_->universal_set.ReadUniversalSet(context, request);
               return ReadAll(context, reader.get(), consumer_of(number));
             });
}

absl::Status Connection::ExportState(
    const v1::ExportStateRequest& request, const CallOptions& call,
    const ConsumerOf<v1::StateChunk>& consumer_of) const {
  return Run(call, options_.deadlines.export_state, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int number) {
               const auto reader =
                   stubs_->universal_set.ExportState(context, request);
               return ReadAll(context, reader.get(), consumer_of(number));
             });
}

template <typename Writer, typename Request>
absl::Status Connection::WriteAll(grpc::ClientContext* context, Writer* writer,
                                  const RequestSource<Request>& next) {
  Request request;
  absl::StatusOr<bool> given = next(&request);
  while (given.ok() && *given && writer->Write(request)) {
    given = next(&request);
  }
  if (!given.ok()) context->TryCancel();
  writer->WritesDone();
  absl::Status ended = FromGrpc(writer->Finish());
  return given.ok() ? ended : given.status();
}

absl::Status Connection::MergeStates(
    const std::function<RequestSource<v1::MergeStatesRequest>(int attempt)>&
        source_of,
    const CallOptions& call, v1::MergeStatesResponse* response) const {
  return Run(call, options_.deadlines.merge_states, 0,
             [&](grpc::ClientContext* context, int number) {
               const auto writer =
                   stubs_->universal_set.MergeStates(context, response);
               return WriteAll(context, writer.get(), source_of(number));
             });
}

absl::Status Connection::StreamQueryHeavy(
    std::size_t first_bytes, const CallOptions& call,
    const HeavyConversation& converse) const {
  return Run(call, options_.deadlines.stream_query_heavy, first_bytes,
             [&](grpc::ClientContext* context, int number) {
               Exchange stream(context,
                               stubs_->universal_set.StreamQueryHeavy(context));
               return converse(&stream, number);
             });
}

absl::Status Connection::StreamAttend(
    std::size_t first_bytes, const CallOptions& call,
    const AttendConversation& converse) const {
  return Run(call, options_.deadlines.stream_attend, first_bytes,
             [&](grpc::ClientContext* context, int number) {
               Exchange stream(context,
                               stubs_->universal_set.StreamAttend(context));
               return converse(&stream, number);
             });
}

// Owns the context of its call, which the base borrows.
class Connection::KeyExchange : public KeyMessages {
 public:
  KeyExchange(v1::UniversalSetService::Stub* stub, const CallOptions& call,
              const Deadline& deadline) {
    Prepare(call.request_id, deadline, &context_);
    stream_.emplace(&context_, stub->StreamKeys(&context_));
    cancel_.emplace(call.stop, [this] { context_.TryCancel(); });
  }

  bool Write(const v1::StreamKeysRequest& request) override {
    return stream_->Write(request);
  }
  void WritesDone() override { stream_->WritesDone(); }
  bool Read(v1::StreamKeysResponse* response) override {
    return stream_->Read(response);
  }
  absl::Status Finish() override { return stream_->Finish(); }
  void Cancel() override { stream_->Cancel(); }

 private:
  grpc::ClientContext context_;
  std::optional<Exchange<v1::StreamKeysRequest, v1::StreamKeysResponse>>
      stream_;
  std::optional<std::stop_callback<std::function<void()>>> cancel_;
};

std::unique_ptr<Connection::KeyMessages> Connection::StreamKeys(
    const CallOptions& call, const Deadline& deadline) const {
  return std::make_unique<KeyExchange>(&stubs_->universal_set, call, deadline);
}

absl::Status Connection::Attend(const v1::AttendRequest& request,
                                const CallOptions& call,
                                v1::AttendResponse* response) const {
  return Run(call, options_.deadlines.attend, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(
                   stubs_->universal_set.Attend(context, request, response));
             });
}

absl::Status Connection::GetUniversalSet(
    const v1::GetUniversalSetRequest& request, const CallOptions& call,
    v1::UniversalSetInfo* info) const {
  return Run(call, options_.deadlines.set_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(stubs_->universal_set.GetUniversalSet(
                   context, request, info));
             });
}

absl::Status Connection::ListUniversalSets(
    const v1::ListUniversalSetsRequest& request, const CallOptions& call,
    v1::ListUniversalSetsResponse* response) const {
  return Run(call, options_.deadlines.set_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(stubs_->universal_set.ListUniversalSets(
                   context, request, response));
             });
}

absl::Status Connection::DeleteUniversalSet(
    const v1::DeleteUniversalSetRequest& request,
    const CallOptions& call) const {
  google::protobuf::Empty nothing;
  return Run(call, options_.deadlines.set_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(stubs_->universal_set.DeleteUniversalSet(
                   context, request, &nothing));
             });
}

absl::Status Connection::GetMatrix(const v1::GetMatrixRequest& request,
                                   const CallOptions& call,
                                   v1::Matrix* matrix) const {
  return Run(
      call, options_.deadlines.matrix_registry, request.ByteSizeLong(),
      [&](grpc::ClientContext* context, int /*number*/) {
        return FromGrpc(stubs_->matrix.GetMatrix(context, request, matrix));
      });
}

absl::Status Connection::ListMatrices(
    const v1::ListMatricesRequest& request, const CallOptions& call,
    v1::ListMatricesResponse* response) const {
  return Run(call, options_.deadlines.matrix_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(
                   stubs_->matrix.ListMatrices(context, request, response));
             });
}

absl::Status Connection::DeleteMatrix(const v1::DeleteMatrixRequest& request,
                                      const CallOptions& call) const {
  google::protobuf::Empty nothing;
  return Run(call, options_.deadlines.matrix_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(
                   stubs_->matrix.DeleteMatrix(context, request, &nothing));
             });
}

absl::Status Connection::GetUploadStatus(
    const v1::GetUploadStatusRequest& request, const CallOptions& call,
    v1::UploadStatus* status) const {
  return Run(call, options_.deadlines.matrix_registry, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int /*number*/) {
               return FromGrpc(
                   stubs_->matrix.GetUploadStatus(context, request, status));
             });
}

absl::Status Connection::TryGetUploadStatus(
    const v1::GetUploadStatusRequest& request, const CallOptions& call,
    const Deadline& deadline, v1::UploadStatus* status) const {
  grpc::ClientContext context;
  Prepare(call.request_id, deadline, &context);
  const std::stop_callback cancel(call.stop, [&] { context.TryCancel(); });
  return FromGrpc(stubs_->matrix.GetUploadStatus(&context, request, status));
}

absl::Status Connection::TryUploadMatrix(
    const RequestSource<v1::UploadMatrixRequest>& next, const CallOptions& call,
    const Deadline& deadline, v1::Matrix* matrix) const {
  grpc::ClientContext context;
  Prepare(call.request_id, deadline, &context);
  const std::stop_callback cancel(call.stop, [&] { context.TryCancel(); });
  const auto writer = stubs_->matrix.UploadMatrix(&context, matrix);
  return WriteAll(&context, writer.get(), next);
}

absl::Status Connection::GetServerInfo(const CallOptions& call,
                                       v1::ServerInfo* info) const {
  const v1::GetServerInfoRequest request;
  return Run(
      call, options_.deadlines.get_server_info, request.ByteSizeLong(),
      [&](grpc::ClientContext* context, int /*number*/) {
        return FromGrpc(stubs_->server.GetServerInfo(context, request, info));
      });
}

absl::Status Connection::Check(const std::string& service,
                               const CallOptions& call, int* number) const {
  HealthRequest request;
  request.set_value(service);
  HealthResponse response;
  const absl::Status status =
      Run(call, options_.deadlines.check, request.ByteSizeLong(),
          [&](grpc::ClientContext* context, int /*number*/) {
            return FromGrpc(
                CallHealthCheck(&stubs_->health, context, request, &response));
          });
  *number = response.value();
  return status;
}

}  // namespace steelyard::client
