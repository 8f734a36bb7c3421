// stream_keys ADDRESS TENSOR_FILE
//
// Streams the keys of a real transformer layer over and over, cuts the
// connection on the way, and goes on from where the server stands.
#include <Eigen/Core>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "client/tensor_files/tensor_file.h"
#include "steelyard/client/client.h"

namespace client = steelyard::client;
namespace files = steelyard::tensor_files;

namespace {

constexpr int kRounds = 40;

template <typename T>
T OrExit(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << "\n";
  std::exit(1);
}

void OrExit(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status << "\n";
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: stream_keys HOST:PORT FILE.safetensors\n";
    return 2;
  }
  const client::Client server = OrExit(client::Client::Create(argv[1]));
  const files::StoredTensor tensor = OrExit(files::Load(OrExit(
      files::ParseTensorSpec(std::string(argv[2]) + ":layer0.keys[0]"))));
  const std::vector<double> numbers = tensor.Doubles();
  const client::TensorView keys(numbers, {tensor.shape()[0], 32});

  std::string name;
  {
    client::KeyStream stream =
        OrExit(server.OpenKeyStream({.columns = 32,
                                     .type = client::ScalarType::kFloat64,
                                     .epsilon = 0.002}));
    name = stream.name();
    for (int round = 0; round < kRounds / 2; ++round) {
      OrExit(stream.Add(keys));
    }
    const client::UniversalSets sets = OrExit(stream.Snapshot());
    std::cout << "after " << sets.heads[0].keys
              << " keys: " << sets.heads[0].indices.size() << " in the set\n";
  }  // The connection goes, and with it this end of the stream.

  client::KeyStream stream = OrExit(server.ResumeKeyStream(name));
  std::cout << "resumed at key " << stream.next_offset()[0] << "\n";
  for (int round = kRounds / 2; round < kRounds; ++round) {
    OrExit(stream.Add(keys));
  }
  const std::string state = OrExit(stream.Checkpoint());
  const client::UniversalSets sets = OrExit(stream.Finish());
  const client::UniversalSet& set = sets.heads[0];
  // Of 40 equal copies of a key each has a 40th of its leverage at most.
  std::cout << set.keys << " keys, " << set.indices.size()
            << " in the set, none outside gets more than "
            << set.effective_epsilon << "; a checkpoint has " << state.size()
            << " bytes\n";
  OrExit(server.DeleteUniversalSet(name));
}
