#include "server/transport/steelyard_server.h"

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/config/command_line.h"
#include "server/factors/factor_cache.h"
#include "server/factors/solve_groups.h"
#include "server/handlers/handlers.h"
#include "server/health/health_service.h"
#include "server/observability/log.h"
#include "server/storage/matrix_store.h"
#include "server/transport/services.h"
#include "steelyard/workers.h"

namespace steelyard::server {
namespace {

// Threads beyond those that wait with an admitted request: each answers or
// refuses at once.
constexpr int kThreadsForRefusals = 512;

// HTTP/2 streams of one connection.
constexpr int kStreamsPerConnection = 1000;

// A peer that is silent for so long is asked, and gone when it does not answer.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

// After an interrupt, before gRPC cancels what is still there: time to send the
// best answers so far.
constexpr absl::Duration kLastAnswers = absl::Seconds(2);

// How often a drain looks whether it is over.
constexpr absl::Duration kDrainLook = absl::Milliseconds(20);

// Reflection is switched on for the process, by a call that must not race with
// itself.
void EnableReflection() {
  static std::once_flag once;
  std::call_once(
      once, [] { grpc::reflection::InitProtoReflectionServerBuilderPlugin(); });
}

std::vector<std::string> NamesOf(const std::vector<NamedService>& services) {
  std::vector<std::string> names;
  for (const NamedService& named : services) names.push_back(named.name);
  return names;
}

// gRPC's own messages, as lines of our log. Before the server serves they only
// repeat, at length, why it cannot: Start says that in one line.
void ForwardGrpcLog(gpr_log_func_args* message) {
  if (message->severity != GPR_LOG_SEVERITY_ERROR) return;
  Log({.level = LogLevel::kWarning,
       .event = "grpc",
       .fields = {{"message", message->message}}});
}

void DropGrpcLog(gpr_log_func_args*) {}

void ApplyLimits(const ServerConfig& config, int workers,
                 grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("steelyard");
  quota.Resize(static_cast<std::size_t>(config.transport_memory));
  quota.SetMaxThreads(static_cast<int>(config.queue_length) + 2 * workers +
                      static_cast<int>(config.limits.streams_max) +
                      HealthService::kWatchesMax + kThreadsForRefusals);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(
      static_cast<int>(config.limits.request_bytes_max));
  builder->SetMaxSendMessageSize(-1);  // max_response_bytes bounds each answer
  builder->SetDefaultCompressionAlgorithm(GRPC_COMPRESS_NONE);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                              kStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              kKeepaliveTimeoutMs);
  // A second server on the port must fail, not take every other connection.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// Null where no matrices are kept.
absl::StatusOr<std::unique_ptr<MatrixStore>> OpenStore(
    const ServerConfig& config) {
  if (config.matrix_directory.empty()) return nullptr;
  auto store =
      MatrixStore::Open({.directory = config.matrix_directory,
                         .matrix_memory = config.matrix_memory,
                         .upload_ttl = absl::ToChronoSeconds(config.upload_ttl),
                         .uploads_max = config.uploads_max});
  if (store.ok()) return store;
  return absl::Status(store.status().code(),
                      absl::StrCat("--matrix-directory: ",
                                   std::string(store.status().message())));
}

// `store` must outlive it.
MatrixLookup LookupIn(MatrixStore* store) {
  if (store == nullptr) return {};
  return [store](const std::string& id) { return store->Open(id); };
}

}  // namespace

// In the order of construction; gRPC goes first when all goes.
struct SteelyardServer::Parts {
  // `store`: null where no matrices are kept.
  Parts(const ServerConfig& resolved, std::unique_ptr<MatrixStore> store)
      : config(resolved),
        matrices(std::move(store)),
        workers(static_cast<int>(resolved.workers)),
        factors(resolved.factor_memory),
        solve_groups(factors, workers.count()),
        gate(workers, {.memory_budget = resolved.memory_budget,
                       .queue_length = resolved.queue_length}),
        registry(resolved.set_memory),
        slots(resolved.limits.streams_max),
        set_parts{.limits = resolved.limits,
                  .workers = workers.count(),
                  .gate = gate,
                  .registry = registry,
                  .slots = slots,
                  .matrices = LookupIn(matrices.get()),
                  .stream_idle = resolved.stream_idle},
        solve_parts{
            .limits = resolved.limits,
            .workers = workers.count(),
            .gate = gate,
            .matrices = set_parts.matrices,
            .groups = resolved.factor_memory > 0 ? &solve_groups : nullptr},
        predict_parts{.limits = resolved.limits,
                      .workers = workers.count(),
                      .gate = gate,
                      .slots = slots,
                      .matrices = set_parts.matrices},
        upload_parts{.limits = resolved.limits,
                     .gate = gate,
                     .slots = slots,
                     .store = matrices.get(),
                     .stream_idle = resolved.stream_idle},
        handlers{.get_server_info = {workers.count(),
                                     resolved.limits,
                                     gate.memory(),
                                     registry.memory(),
                                     factors.memory(),
                                     {.stores_matrices = matrices != nullptr,
                                      .matrix_memory = resolved.matrix_memory}},
                 .find_universal_set = FindUniversalSetHandler(set_parts),
                 .stream_find_universal_set =
                     StreamFindUniversalSetHandler(set_parts),
                 .stream_keys = StreamKeysHandler(set_parts),
                 .export_state = ExportStateHandler(set_parts),
                 .merge_states = MergeStatesHandler(set_parts),
                 .get_universal_set = GetUniversalSetHandler(registry),
                 .read_universal_set = ReadUniversalSetHandler(set_parts),
                 .list_universal_sets = ListUniversalSetsHandler(registry),
                 .delete_universal_set = DeleteUniversalSetHandler(registry),
                 .attend = AttendHandler(set_parts),
                 .stream_attend = StreamAttendHandler(set_parts),
                 .query_heavy = QueryHeavyHandler(set_parts),
                 .stream_query_heavy = StreamQueryHeavyHandler(set_parts),
                 .solve = SolveHandler(solve_parts),
                 .stream_solve = StreamSolveHandler(solve_parts),
                 .predict = PredictHandler(predict_parts),
                 .upload_matrix = UploadMatrixHandler(upload_parts),
                 .get_upload_status = GetUploadStatusHandler(matrices.get()),
                 .get_matrix = GetMatrixHandler(matrices.get()),
                 .list_matrices = ListMatricesHandler(matrices.get()),
                 .delete_matrix = DeleteMatrixHandler(matrices.get(), factors)},
        services(MakeServices(handlers, resolved.limits)),
        health(NamesOf(services)) {}

  const ServerConfig config;
  const std::unique_ptr<MatrixStore> matrices;
  const Workers workers;
  // Work that was abandoned uses them to the gate's end.
  FactorCache factors;
  SolveGroups solve_groups;
  Gate gate;
  SetRegistry registry;
  StreamSlots slots;
  const UniversalSetParts set_parts;
  const SolveParts solve_parts;
  const PredictParts predict_parts;
  const UploadParts upload_parts;
  const Handlers handlers;
  const std::vector<NamedService> services;
  HealthService health;
  int port = 0;
  bool drained = false;
  std::unique_ptr<grpc::Server> grpc;

  std::atomic<bool> shut_down{false};
  std::thread shutdown;

  ~Parts() {
    if (shutdown.joinable()) shutdown.join();
  }

  // Ends every call by `deadline`; sets shut_down.
  void BeginShutdown(absl::Time deadline) {
    health.EndWatches();
    shutdown = std::thread([this, deadline] {
      grpc->Shutdown(absl::ToChronoTime(deadline));
      shut_down = true;
    });
  }
};

absl::StatusOr<std::unique_ptr<SteelyardServer>> SteelyardServer::Start(
    const ServerConfig& config) {
  SetLogLevel(config.log_level);
  EnableReflection();
  const ServerConfig resolved = Resolved(config);
  auto store = OpenStore(resolved);
  if (!store.ok()) return store.status();
  auto parts = std::make_unique<Parts>(resolved, *std::move(store));
  if (!IsLoopback(config.listen)) {
    Log({.level = LogLevel::kWarning,
         .event = "no_tls",
         .fields = {{"listen", config.listen},
                    {"message",
                     "anyone who can reach this address can use the server and "
                     "read what others send: there is no TLS; put a proxy in "
                     "front or listen on 127.0.0.1"}}});
  }
  grpc::ServerBuilder builder;
  ApplyLimits(parts->config, parts->workers.count(), &builder);
  builder.AddListeningPort(config.listen, grpc::InsecureServerCredentials(),
                           &parts->port);
  for (const NamedService& named : parts->services) {
    builder.RegisterService(named.service.get());
  }
  builder.RegisterService(&parts->health);
  gpr_set_log_function(DropGrpcLog);
  parts->grpc = builder.BuildAndStart();
  gpr_set_log_function(ForwardGrpcLog);
  if (parts->grpc == nullptr || parts->port <= 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", config.listen,
                     "; the port is taken or not permitted, or this machine "
                     "has no such address"));
  }
  parts->health.SetServing(true);
  return std::unique_ptr<SteelyardServer>(
      new SteelyardServer(std::move(parts)));
}

SteelyardServer::SteelyardServer(std::unique_ptr<Parts> parts)
    : parts_(std::move(parts)) {}

SteelyardServer::~SteelyardServer() {
  (void)Drain([](absl::Duration) { return true; });
}

int SteelyardServer::port() const { return parts_->port; }

Gate& SteelyardServer::gate() { return parts_->gate; }

int SteelyardServer::workers() const { return parts_->workers.count(); }

bool SteelyardServer::Drain(const Patience& patience) {
  if (parts_->drained) return true;
  parts_->drained = true;
  parts_->health.SetServing(false);
  bool hurried = patience(parts_->config.drain_delay);
  parts_->gate.StopAdmitting();

  // gRPC cancels what is left some time after the interrupt.
  const absl::Time end = absl::Now() + parts_->config.drain_timeout;
  parts_->BeginShutdown(end + kLastAnswers);
  while (!hurried && !parts_->shut_down && absl::Now() < end) {
    hurried = patience(kDrainLook);
  }
  parts_->gate.Interrupt();
  const absl::Time last = absl::Now() + kLastAnswers;
  while (!parts_->shut_down && absl::Now() < last) absl::SleepFor(kDrainLook);
  return parts_->shut_down;
}

bool IsLoopback(const std::string& listen) {
  return absl::StartsWith(listen, "127.") ||
         absl::StartsWith(listen, "[::1]:") ||
         absl::StartsWith(listen, "localhost:");
}

}  // namespace steelyard::server
