// What the service adds to gRPC: an empty call (GetServerInfo) and a call with
// 16 MB of keys, against a bare echo of the same bytes on the same machine.
#include <grpcpp/grpcpp.h>

#include <cmath>
#include <string>
#include <thread>

#include "echo.grpc.pb.h"
#include "server/transport/steelyard_server.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"
#include "steelyard/universal_set.h"
#include "steelyard/v1/server_service.grpc.pb.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"
#include "tests/benchmarks/paired.h"

namespace steelyard::benchmarks {
namespace {

constexpr int kMessageBytesMax = 256 << 20;
const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

class BareEcho final : public EchoService::Service {
  grpc::Status Swallow(grpc::ServerContext*, const EchoMessage*,
                       EchoMessage*) override {
    return grpc::Status::OK;
  }
};

// A bare server and ours, side by side on loopback.
struct Servers {
  BareEcho echo_service;
  std::unique_ptr<grpc::Server> echo;
  std::unique_ptr<server::SteelyardServer> ours;
  std::unique_ptr<EchoService::Stub> echo_stub;
  std::unique_ptr<v1::ServerService::Stub> info_stub;
  std::unique_ptr<v1::UniversalSetService::Stub> set_stub;

  static std::shared_ptr<grpc::Channel> Channel(int port) {
    return grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                               grpc::InsecureChannelCredentials());
  }

  Servers() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&echo_service);
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    echo = builder.BuildAndStart();
    echo_stub = EchoService::NewStub(Channel(port));
    server::ServerConfig config;
    config.listen = "127.0.0.1:0";
    config.log_level = server::LogLevel::kError;
    ours = std::move(*server::SteelyardServer::Start(config));
    info_stub = v1::ServerService::NewStub(Channel(ours->port()));
    set_stub = v1::UniversalSetService::NewStub(Channel(ours->port()));
  }
};

Servers& BothServers() {
  static Servers servers;
  return servers;
}

void SwallowBytes(const EchoMessage& request) {
  grpc::ClientContext context;
  EchoMessage response;
  const grpc::Status status =
      BothServers().echo_stub->Swallow(&context, request, &response);
  if (!status.ok()) std::abort();
}

void EmptyCallAgainstEcho(benchmark::State& state) {
  constexpr int kCalls = 1000;
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           for (int call = 0; call < kCalls; ++call) {
             grpc::ClientContext context;
             v1::ServerInfo info;
             const grpc::Status status = BothServers().info_stub->GetServerInfo(
                 &context, v1::GetServerInfoRequest(), &info);
             if (!status.ok()) std::abort();
           }
         },
         [&] {
           const EchoMessage empty;
           for (int call = 0; call < kCalls; ++call) SwallowBytes(empty);
         }},
        5);
    Report(state, "ours_us", seconds[0] / kCalls * 1e6);
    Report(state, "echo_us", seconds[1] / kCalls * 1e6);
    Report(state, "ours_over_echo", seconds[0] / seconds[1]);
  }
}
BENCHMARK(EmptyCallAgainstEcho)->Iterations(1)->Unit(benchmark::kSecond);

// 32768 x 128 float32 keys; the bound is the bare transfer plus the same
// computation in this process.
void SixteenMegabytesAgainstEcho(benchmark::State& state) {
  constexpr Index kRows = 32768;
  constexpr Index kColumns = 128;
  const RandomStream random{Seed{3}, 0};
  Matrix<float> keys(kRows, kColumns);
  for (Index i = 0; i < keys.size(); ++i) {
    keys.data()[i] =
        static_cast<float>(random.Normal(static_cast<std::uint64_t>(i)));
  }
  v1::FindUniversalSetRequest request;
  request.set_epsilon(0.05);
  v1::Tensor* tensor = request.mutable_keys()->mutable_dense();
  tensor->set_dtype(v1::DTYPE_FLOAT32);
  tensor->add_shape(kRows);
  tensor->add_shape(kColumns);
  tensor->set_data(keys.data(), static_cast<std::size_t>(keys.size()) * 4);
  EchoMessage bytes;
  bytes.set_payload(tensor->data());
  const Workers workers(kWorkers);
  for (auto iteration : state) {
    const std::vector<double> seconds = MedianSeconds(
        {[&] {
           grpc::ClientContext context;
           v1::FindUniversalSetResponse response;
           const grpc::Status status = BothServers().set_stub->FindUniversalSet(
               &context, request, &response);
           if (!status.ok()) std::abort();
         },
         [&] { SwallowBytes(bytes); },
         [&] {
           (void)FindUniversalSet(keys.view(), {.epsilon = 0.05},
                                  ComputeContext{workers});
         }},
        7);
    Report(state, "ours_ms", seconds[0] * 1e3);
    Report(state, "echo_ms", seconds[1] * 1e3);
    Report(state, "compute_in_process_ms", seconds[2] * 1e3);
    Report(state, "ours_over_echo_plus_compute",
           seconds[0] / (seconds[1] + seconds[2]));
    Report(state, "ours_minus_compute_over_echo",
           (seconds[0] - seconds[2]) / seconds[1]);
  }
}
BENCHMARK(SixteenMegabytesAgainstEcho)
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
