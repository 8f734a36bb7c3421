// 1 GB of float32 through UploadMatrix over loopback, checksum, fsync and
// answer included, against a bare gRPC client stream of the same chunks and
// `dd conv=fsync` of the same bytes in the same directory. Nothing that stores
// what it was sent can be faster than the slower of the two.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "echo.grpc.pb.h"
#include "server/transport/steelyard_server.h"
#include "steelyard/client/client.h"
#include "tests/benchmarks/paired.h"

namespace steelyard::benchmarks {
namespace {

constexpr std::int64_t kChunkBytes = std::int64_t{1} << 20;
constexpr std::int64_t kColumns = 256;
constexpr int kRounds = 5;

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

// A folder of the disk that this runs on: the one of temporary files may be in
// memory.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::current_path() /
              ("upload-benchmark-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_ / "matrices");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::filesystem::path path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A bare server and ours, side by side on loopback.
struct Servers {
  BareSink sink_service;
  std::unique_ptr<grpc::Server> sink;
  std::unique_ptr<server::SteelyardServer> ours;
  std::unique_ptr<EchoService::Stub> sink_stub;
  std::unique_ptr<client::Client> client;

  explicit Servers(const Folder& folder) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&sink_service);
    sink = builder.BuildAndStart();
    sink_stub = EchoService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                            grpc::InsecureChannelCredentials()));
    server::ServerConfig config;
    config.listen = "127.0.0.1:0";
    config.log_level = server::LogLevel::kError;
    config.matrix_directory = (folder.path() / "matrices").string();
    ours = std::move(*server::SteelyardServer::Start(config));
    client = std::make_unique<client::Client>(
        *client::Client::Create("127.0.0.1:" + std::to_string(ours->port())));
  }
};

std::vector<float> Numbers(std::int64_t bytes) {
  std::vector<float> numbers(static_cast<std::size_t>(bytes) / sizeof(float));
  std::uint32_t state = 1;
  for (float& number : numbers) {
    state = state * 1664525U + 1013904223U;
    number = static_cast<float>(state >> 8) * 0x1p-24F;
  }
  return numbers;
}

void Upload(const Servers& servers, const std::vector<float>& numbers) {
  const auto rows = static_cast<std::int64_t>(numbers.size()) / kColumns;
  const auto uploaded =
      servers.client->UploadMatrix("benchmark", {numbers, {rows, kColumns}});
  if (!uploaded.ok() || uploaded->resumed_at != 0) std::abort();
}

void BareStream(const Servers& servers, const std::vector<float>& numbers) {
  grpc::ClientContext context;
  EchoMessage response;
  const auto writer = servers.sink_stub->SwallowAll(&context, &response);
  const char* bytes = reinterpret_cast<const char*>(numbers.data());
  const std::size_t size = numbers.size() * sizeof(float);
  EchoMessage message;
  for (std::size_t at = 0; at < size; at += kChunkBytes) {
    message.set_payload(bytes + at, kChunkBytes);
    if (!writer->Write(message)) std::abort();
  }
  writer->WritesDone();
  if (!writer->Finish().ok()) std::abort();
}

void Run(const std::string& command) {
  if (std::system(command.c_str()) != 0) std::abort();
}

void UploadAgainstStreamAndDisk(benchmark::State& state) {
  const std::int64_t bytes = state.range(0) << 20;
  const std::vector<float> numbers = Numbers(bytes);
  const Folder folder;
  const Servers servers(folder);
  const std::string source = (folder.path() / "source").string();
  const std::string copy = (folder.path() / "copy").string();
  std::ofstream(source, std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()), bytes);
  Run("sync '" + source + "'");
  const std::string dd =
      "dd if='" + source + "' of='" + copy + "' bs=1M conv=fsync 2>/dev/null";
  for (auto iteration : state) {
    // What was stored is taken away by a turn of its own, outside the clocks.
    const std::vector<double> seconds =
        MedianSeconds({[&] { Upload(servers, numbers); },
                       [&] { BareStream(servers, numbers); }, [&] { Run(dd); },
                       [&] {
                         if (!servers.client->DeleteMatrix("benchmark").ok()) {
                           std::abort();
                         }
                         std::filesystem::remove(copy);
                         ::sync();
                       }},
                      kRounds);
    const double ours = seconds[0];
    const double stream = seconds[1];
    const double disk = seconds[2];
    Report(state, "ours_s", ours);
    Report(state, "bare_stream_s", stream);
    Report(state, "dd_fsync_s", disk);
    Report(state, "rate_over_slower", std::max(stream, disk) / ours);
    Report(state, "gb_per_second", static_cast<double>(bytes) / 1e9 / ours);
  }
}
BENCHMARK(UploadAgainstStreamAndDisk)
    ->Arg(64)
    ->Arg(1024)
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
