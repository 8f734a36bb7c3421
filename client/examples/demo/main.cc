// The demo that scripts/demo runs: real keys in, certified answers out.
//
//     steelyard-demo --server=HOST:PORT --fixture=minilm_qkv.safetensors
//
// Exit code 0: every certificate held. 1: one did not. 2: wrong arguments.
// 3: a file or a call failed.
#include <cblas.h>

#include <iostream>
#include <string>

#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/examples/demo/section.h"

namespace steelyard::demo {
namespace {

absl::Status RunAll(Stage* stage) {
  for (const auto& section :
       {ShowRealKeys, ShowPlantedKeys, ShowStreamedKeys, ShowRegressions}) {
    if (auto shown = section(stage); !shown.ok()) return shown;
  }
  return absl::OkStatus();
}

void PrintBroken(const verify::Verdict& verdict) {
  for (const verify::Finding& finding : verdict.findings) {
    if (finding.outcome != verify::Outcome::kBroken) continue;
    std::cerr << "BROKEN: " << finding.rule << ": " << finding.detail << "\n";
  }
}

void PrintNextSteps(std::ostream& out) {
  out << "\nWhere to go next\n"
         "  README.md                     an example for C++, the command "
         "line, grpcurl\n"
         "  build/release/client/cli/steelyard help\n"
         "  client/examples/              small programs to start from\n"
         "  proto/steelyard/v1/           the contract, for any language\n"
         "  client/README.md              what --verify checks\n";
}

int Run(const std::string& server, const std::string& fixture) {
  client::ClientOptions options;
  auto client = client::Client::Create(server, options);
  if (!client.ok()) {
    std::cerr << "steelyard-demo: " << client.status().message() << "\n";
    return 2;
  }
  Stage stage{
      .client = *std::move(client), .fixture = fixture, .out = std::cout};
  const cli::Stopwatch stopwatch;
  if (const absl::Status status = RunAll(&stage); !status.ok()) {
    std::cerr << "steelyard-demo: " << absl::StatusCodeToString(status.code())
              << ": " << status.message() << "\n";
    return 3;
  }
  const int broken = stage.verdict.broken();
  std::cout << "\n"
            << stage.verdict.findings.size()
            << " rules checked by brute force, " << broken << " broken, in "
            << cli::BriefSeconds(stopwatch.seconds()) << ".\n";
  PrintBroken(stage.verdict);
  PrintNextSteps(std::cout);
  return broken == 0 ? 0 : 1;
}

}  // namespace
}  // namespace steelyard::demo

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  std::string server = "127.0.0.1:50551";
  std::string fixture = "tests/data/minilm_qkv.safetensors";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("--server=")) {
      server = word.substr(9);
    } else if (word.starts_with("--fixture=")) {
      fixture = word.substr(10);
    } else {
      std::cerr << "usage: steelyard-demo [--server=HOST:PORT] "
                   "[--fixture=minilm_qkv.safetensors]\n";
      return 2;
    }
  }
  return steelyard::demo::Run(server, fixture);
}
