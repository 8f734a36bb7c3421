// 512 MB of float32 keys through StreamKeys over loopback, to the final set,
// against a bare gRPC client stream of the same messages and the same pass in
// this process. Their sum is what a server without overlap would take.
#include <grpcpp/grpcpp.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "echo.grpc.pb.h"
#include "server/transport/steelyard_server.h"
#include "steelyard/matrix.h"
#include "steelyard/one_pass.h"
#include "steelyard/random.h"
#include "steelyard/v1/universal_set_service.grpc.pb.h"
#include "tests/benchmarks/paired.h"

namespace steelyard::benchmarks {
namespace {

constexpr Index kBytes = Index{512} << 20;
constexpr Index kChunkBytes = Index{1} << 20;
constexpr double kEpsilon = 0.01;
constexpr int kRounds = 5;
const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());

class BareSink final : public EchoService::Service {
  grpc::Status SwallowAll(grpc::ServerContext*,
                          grpc::ServerReader<EchoMessage>* reader,
                          EchoMessage*) override {
    EchoMessage message;
    while (reader->Read(&message)) {
    }
    return grpc::Status::OK;
  }
};

std::shared_ptr<grpc::Channel> ChannelTo(int port) {
  return grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                             grpc::InsecureChannelCredentials());
}

// A bare server and ours, side by side on loopback.
struct Servers {
  BareSink sink_service;
  std::unique_ptr<grpc::Server> sink;
  std::unique_ptr<server::SteelyardServer> ours;
  std::unique_ptr<EchoService::Stub> sink_stub;
  std::unique_ptr<v1::UniversalSetService::Stub> set_stub;

  Servers() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&sink_service);
    sink = builder.BuildAndStart();
    sink_stub = EchoService::NewStub(ChannelTo(port));
    server::ServerConfig config;
    config.listen = "127.0.0.1:0";
    config.log_level = server::LogLevel::kError;
    ours = std::move(*server::SteelyardServer::Start(config));
    set_stub = v1::UniversalSetService::NewStub(ChannelTo(ours->port()));
  }
};

// One message over and over, with the numbers of a 64 MiB matrix in turn: what
// the client does besides sending is the same for both streams.
struct Keys {
  explicit Keys(Index columns) : numbers(kBytes / 8 / 4 / columns, columns) {
    const RandomStream random{Seed{3}, 0};
    for (Index i = 0; i < numbers.size(); ++i) {
      // Some keys are so long that they reach epsilon.
      const float length = (i / columns) % 4099 == 7 ? 400.0f : 1.0f;
      numbers.data()[i] =
          length *
          static_cast<float>(random.Normal(static_cast<std::uint64_t>(i)));
    }
  }

  Index chunk_rows() const { return kChunkBytes / 4 / numbers.cols(); }
  Index rows() const { return kBytes / 4 / numbers.cols(); }
  const float* Rows(Index first) const {
    return numbers.row(first % numbers.rows());
  }

  Matrix<float> numbers;
};

void BareStream(const Servers& servers, const Keys& keys) {
  grpc::ClientContext context;
  EchoMessage response;
  const auto writer = servers.sink_stub->SwallowAll(&context, &response);
  EchoMessage message;
  for (Index row = 0; row < keys.rows(); row += keys.chunk_rows()) {
    message.set_payload(keys.Rows(row), kChunkBytes);
    if (!writer->Write(message)) std::abort();
  }
  writer->WritesDone();
  if (!writer->Finish().ok()) std::abort();
}

Index OverTheWire(const Servers& servers, const Keys& keys) {
  grpc::ClientContext context;
  const auto stream = servers.set_stub->StreamKeys(&context);
  Index members = -1;
  std::thread reader([&] {
    v1::StreamKeysResponse response;
    while (stream->Read(&response)) {
      if (response.has_set()) members = response.set().indices_size();
    }
  });
  v1::StreamKeysRequest request;
  v1::OpenKeys* const open = request.mutable_open();
  open->set_columns(keys.numbers.cols());
  open->set_dtype(v1::DTYPE_FLOAT32);
  open->set_epsilon(kEpsilon);
  open->mutable_ttl()->set_nanos(1);
  stream->Write(request);
  for (Index row = 0; row < keys.rows(); row += keys.chunk_rows()) {
    v1::KeyChunk* const chunk = request.mutable_chunk();
    chunk->set_head(0);
    chunk->set_offset(row);
    v1::Tensor* const tensor = chunk->mutable_keys();
    tensor->set_dtype(v1::DTYPE_FLOAT32);
    tensor->clear_shape();
    tensor->add_shape(keys.chunk_rows());
    tensor->add_shape(keys.numbers.cols());
    tensor->set_data(keys.Rows(row), kChunkBytes);
    if (!stream->Write(request)) break;
  }
  request.mutable_finish();
  stream->Write(request);
  stream->WritesDone();
  reader.join();
  if (!stream->Finish().ok()) std::abort();
  return members;
}

Index InProcess(const Keys& keys, const Workers& workers) {
  auto pass = OnePassUniversalSet::Create({.columns = keys.numbers.cols(),
                                           .storage = StorageType::kFloat32,
                                           .epsilon = kEpsilon});
  if (!pass.ok()) std::abort();
  for (Index row = 0; row < keys.rows(); row += keys.chunk_rows()) {
    const MatrixView<float> block(keys.Rows(row), keys.chunk_rows(),
                                  keys.numbers.cols());
    if (!pass->Add(block, {.workers = workers}).ok()) std::abort();
  }
  const auto set = pass->Snapshot({.workers = workers});
  if (!set.ok()) std::abort();
  return static_cast<Index>(set->indices.size());
}

void StreamAgainstTransferAndPass(benchmark::State& state) {
  const Keys keys(state.range(0));
  const Servers servers;
  const Workers workers(kWorkers);
  Index streamed = 0;
  Index in_process = 0;
  for (auto iteration : state) {
    const std::vector<double> seconds =
        MedianSeconds({[&] { streamed = OverTheWire(servers, keys); },
                       [&] { BareStream(servers, keys); },
                       [&] { in_process = InProcess(keys, workers); }},
                      kRounds);
    Report(state, "ours_s", seconds[0]);
    Report(state, "bare_stream_s", seconds[1]);
    Report(state, "in_process_pass_s", seconds[2]);
    Report(state, "ours_over_sum", seconds[0] / (seconds[1] + seconds[2]));
    Report(state, "gb_per_second",
           static_cast<double>(kBytes) / 1e9 / seconds[0]);
    Report(state, "members", static_cast<double>(streamed));
    Report(state, "members_in_process", static_cast<double>(in_process));
  }
}
BENCHMARK(StreamAgainstTransferAndPass)
    ->Arg(64)
    ->Arg(128)
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
