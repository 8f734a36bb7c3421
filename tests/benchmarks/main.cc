// The main of every benchmark: says what machine this is and checks the BLAS.
#include <cstdio>
#include <thread>

#include "benchmark/benchmark.h"
#include "steelyard/processor.h"

int main(int argc, char** argv) {
  const absl::Status ready = steelyard::PrepareProcessor();
  if (!ready.ok()) {
    std::fprintf(stderr, "%s\n", ready.ToString().c_str());
    return 1;
  }
  const unsigned processors = std::thread::hardware_concurrency();
  std::fprintf(stderr, "processors %u, workers %u, SIMD %s, BLAS %s, g++ %s\n",
               processors, processors, steelyard::CpuTarget().c_str(),
               steelyard::BlasDescription().c_str(), __VERSION__);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
