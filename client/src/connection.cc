#include "connection.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>
#include <stop_token>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "retry.h"
#include "steelyard/v1/regression_service.grpc.pb.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kMessageBytesMax = (std::int64_t{1} << 31) - 1;

// What an answer may have beyond response_bytes_max (the fields around its
// numbers), and what a streamed message may have whatever the caller chose.
constexpr std::int64_t kAnswerSlackBytes = std::int64_t{4} << 20;

// A server that comes back is noticed within seconds; gRPC itself would wait up
// to two minutes.
constexpr int kReconnectFirstMs = 100;
constexpr int kReconnectMaxMs = 5000;

constexpr std::size_t kRequestIdMax = 128;

// The messages of grpc.health.v1 have the wire format of these two: field 1 a
// string; field 1 an enum. Debian ships no generated code for them.
using HealthRequest = google::protobuf::StringValue;
using HealthResponse = google::protobuf::Int32Value;
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

absl::Status InvalidOption(const std::string& field,
                           const std::string& message) {
  return LocalError(absl::StatusCode::kInvalidArgument, message,
                    {.reason = "FIELD_OUT_OF_RANGE", .field = field});
}

absl::Status ValidateBytes(const std::string& field, std::int64_t bytes) {
  if (bytes >= 1 && bytes <= kMessageBytesMax) return absl::OkStatus();
  return InvalidOption(
      field, absl::StrCat(field, " is ", bytes, "; it must be in [1, ",
                          kMessageBytesMax, "]"));
}

absl::Status ValidateDeadline(const std::string& field, Seconds deadline) {
  if (deadline > Seconds(0.0)) return absl::OkStatus();
  return InvalidOption(field, absl::StrCat(field, " is ", deadline.count(),
                                           " s; it must be > 0 s"));
}

absl::Status Validate(const DefaultDeadlines& deadlines) {
  const std::array<std::pair<const char*, Seconds>, 6> all = {{
      {"deadlines.find_universal_set", deadlines.find_universal_set},
      {"deadlines.query_heavy", deadlines.query_heavy},
      {"deadlines.solve", deadlines.solve},
      {"deadlines.stream_solve", deadlines.stream_solve},
      {"deadlines.get_server_info", deadlines.get_server_info},
      {"deadlines.check", deadlines.check},
  }};
  for (const auto& [field, deadline] : all) {
    absl::Status status = ValidateDeadline(field, deadline);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Validate(const ClientOptions& options) {
  for (absl::Status status :
       {ValidateBytes("request_bytes_max", options.request_bytes_max),
        ValidateBytes("response_bytes_max", options.response_bytes_max),
        Validate(options.retry), Validate(options.deadlines)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ValidatePem(const std::string& field, const std::string& text) {
  if (text.empty() || text.find("-----BEGIN ") != std::string::npos) {
    return absl::OkStatus();
  }
  return InvalidOption(field,
                       absl::StrCat(field,
                                    " is not PEM text (it takes the "
                                    "contents of a file, not its name)"));
}

absl::Status Validate(const TlsCredentials& tls) {
  for (absl::Status status :
       {ValidatePem("credentials.root_certificates", tls.root_certificates),
        ValidatePem("credentials.private_key", tls.private_key),
        ValidatePem("credentials.certificate_chain", tls.certificate_chain)}) {
    if (!status.ok()) return status;
  }
  if (tls.private_key.empty() == tls.certificate_chain.empty()) {
    return absl::OkStatus();
  }
  const std::string missing = tls.private_key.empty()
                                  ? "credentials.private_key"
                                  : "credentials.certificate_chain";
  return LocalError(absl::StatusCode::kInvalidArgument,
                    absl::StrCat(missing,
                                 " is empty; private_key and "
                                 "certificate_chain go together"),
                    {.reason = "FIELD_REQUIRED", .field = missing});
}

// 1 to kRequestIdMax printable ASCII characters without blanks.
absl::Status ValidateRequestId(const std::string& id) {
  const bool printable = std::all_of(
      id.begin(), id.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (printable && id.size() <= kRequestIdMax) return absl::OkStatus();
  return InvalidOption(
      "request_id", absl::StrCat("request_id must be 1 to ", kRequestIdMax,
                                 " printable ASCII characters without blanks"));
}

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

void SetDeadline(Seconds left, grpc::ClientContext* context) {
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
        server(channel),
        health(std::move(channel)) {}

  v1::UniversalSetService::Stub universal_set;
  v1::RegressionService::Stub regression;
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

absl::Status Connection::Run(const CallOptions& call, Seconds default_deadline,
                             std::size_t request_bytes,
                             const Attempt& attempt) const {
  const Seconds budget = call.deadline.value_or(default_deadline);
  CallRecord record;
  record.request_id =
      call.request_id.empty() ? RandomRequestId() : call.request_id;
  absl::Status outcome = ValidateDeadline("deadline", budget);
  if (outcome.ok()) outcome = ValidateRequestId(record.request_id);
  if (outcome.ok() &&
      std::cmp_greater(request_bytes, options_.request_bytes_max)) {
    outcome = LocalError(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat("the request has ", request_bytes,
                     " bytes; request_bytes_max is ",
                     options_.request_bytes_max),
        {.reason = "LIMIT_EXCEEDED",
         .metadata = {{"limit", "request_bytes_max"},
                      {"value", absl::StrCat(request_bytes)},
                      {"max", absl::StrCat(options_.request_bytes_max)}}});
  }
  if (outcome.ok() && call.stop.stop_requested()) {
    outcome = absl::CancelledError("stopped by the caller before it began");
  }
  if (outcome.ok()) {
    const Deadline deadline(budget);
    outcome =
        RunWithRetries(options_.retry, deadline, call.stop, [&](int number) {
          record.attempts = number;
          grpc::ClientContext context;
          context.AddMetadata("x-request-id", record.request_id);
          SetDeadline(deadline.left(), &context);
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

absl::Status Connection::StreamSolve(
    const v1::SolveRequest& request, const CallOptions& call,
    const std::function<EventConsumer(int attempt)>& consumer_of) const {
  return Run(call, options_.deadlines.stream_solve, request.ByteSizeLong(),
             [&](grpc::ClientContext* context, int number) {
               const EventConsumer consume = consumer_of(number);
               const auto reader =
                   stubs_->regression.StreamSolve(context, request);
               absl::Status consumed;
               v1::SolveEvent event;
               while (consumed.ok() && reader->Read(&event)) {
                 consumed = consume(&event);
               }
               if (!consumed.ok()) context->TryCancel();
               absl::Status ended = FromGrpc(reader->Finish());
               return consumed.ok() ? ended : consumed;
             });
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
