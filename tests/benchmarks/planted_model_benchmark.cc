// Recovery of the planted keys as their norm crosses the threshold rho*: the
// share that is found, and what else is in the set.
#include <cstdio>
#include <thread>

#include "steelyard/universal_set.h"
#include "tests/benchmarks/paired.h"
#include "tests/support/planted_model.h"

namespace steelyard::benchmarks {
namespace {

const int kWorkers = static_cast<int>(std::thread::hardware_concurrency());
constexpr int kSeeds = 3;

void PlantedKeysByNorm(benchmark::State& state) {
  const Workers workers(kWorkers);
  test::PlantedModel model{
      .n = state.range(0),
      .d = state.range(1),
      .planted = state.range(2),
      .epsilon = 1.0 / static_cast<double>(state.range(3))};
  for (auto iteration : state) {
    for (const double ratio :
         {0.8, 0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.1, 1.25}) {
      double recovered = 0.0;
      double others = 0.0;
      for (int seed = 0; seed < kSeeds; ++seed) {
        model.ratio = ratio;
        model.seed = static_cast<std::uint64_t>(2 * seed);
        const test::PlantedKeys planted = test::MakePlantedKeys(model);
        const UniversalSet set =
            *FindUniversalSet(planted.keys.view(), {.epsilon = model.epsilon},
                              ComputeContext{workers});
        const auto recovery = test::RecoveryOf(planted, set.indices);
        recovered += recovery.recovered / kSeeds;
        others += static_cast<double>(recovery.others) / kSeeds;
      }
      char name[32];
      std::snprintf(name, sizeof name, "%.3f", ratio);
      Report(state, std::string("recovered_at_") + name, recovered);
      Report(state, std::string("others_at_") + name, others);
    }
  }
  Report(state, "d_over_n",
         static_cast<double>(model.d) / static_cast<double>(model.n));
}
BENCHMARK(PlantedKeysByNorm)
    ->ArgNames({"n", "d", "planted", "inverse_epsilon"})
    ->Args({2000, 32, 16, 10})
    ->Args({4000, 16, 16, 10})
    ->Args({10000, 64, 8, 10})
    ->Args({10000, 64, 64, 10})
    ->Args({10000, 64, 32, 20})
    ->Args({40000, 128, 64, 50})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace steelyard::benchmarks
