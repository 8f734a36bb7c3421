// States that an older version exported stay readable: the files of
// tests/data/states are imported and must give the set of the keys that they
// were made of. They are never changed; a new format adds files.
//
// To write those of the newest format into a folder:
//   export STEELYARD_WRITE_STATES=FOLDER
//   build/release/tests/contract_fast_tests --gtest_filter='StateFormatTest.*'
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/handlers/session_work.h"
#include "steelyard/random.h"
#include "steelyard/workers.h"
#include "tests/support/source_paths.h"

namespace steelyard::server {
namespace {

constexpr Index kKeys = 120;
constexpr Index kColumns = 3;
constexpr Index kFirst = 1000;

struct Golden {
  const char* file;
  ScoreFunction function;
  bool causal;
};

const std::vector<Golden>& AllGolden() {
  static const auto* const all = new std::vector<Golden>{
      {"format-1-square.binpb", Power{2.0}, false},
      {"format-1-causal.binpb", Power{2.0}, true},
      {"format-1-quartic.binpb", Power{4.0}, false},
      {"format-1-sum.binpb",
       PowerSum{{{.coefficient = 0.5, .p = 1.0}, {.coefficient = 2, .p = 3}}},
       false}};
  return *all;
}

// Whole numbers below 128: exact in float32, the same on every machine.
std::vector<float> GoldenKeys() {
  const RandomStream random{.seed = {2026}, .stream = 11};
  std::vector<float> keys;
  for (Index i = 0; i < kKeys * kColumns; ++i) {
    const auto number =
        static_cast<float>(random.Bits(static_cast<std::uint64_t>(i)) % 17);
    const bool long_key = (i / kColumns) % 20 == 7;
    keys.push_back((number - 8.0f) * (long_key ? 15.0f : 1.0f));
  }
  return keys;
}

SetDescription DescriptionOf(const Golden& golden) {
  return {.heads = 1,
          .columns = kColumns,
          .epsilon = 0.1,
          .top_m = {},
          .function = golden.function,
          .causal = golden.causal};
}

// A pass over the keys from `first` on, the state before them at hand.
UniversalSet SetAfter(std::vector<OnePassUniversalSet> passes, Index first,
                      const ComputeContext& context) {
  const std::vector<float> keys = GoldenKeys();
  const MatrixView<float> rest(keys.data() + first * kColumns, kKeys - first,
                               kColumns);
  EXPECT_TRUE(passes.front().Add(rest, context).ok());
  const auto set = passes.front().Snapshot(context);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : UniversalSet{};
}

std::vector<OnePassUniversalSet> FreshPasses(const Golden& golden) {
  auto passes = NewPasses(DescriptionOf(golden), StorageType::kFloat32, kFirst);
  EXPECT_TRUE(passes.ok()) << passes.status();
  return *std::move(passes);
}

// The first half of the keys, as a session of this version exports it.
std::string HalfState(const Golden& golden, const ComputeContext& context) {
  const std::vector<float> keys = GoldenKeys();
  auto passes = FreshPasses(golden);
  EXPECT_TRUE(
      passes.front()
          .Add(MatrixView<float>(keys.data(), kKeys / 2, kColumns), context)
          .ok());
  KeySession session({.name = "universalSets/golden",
                      .description = DescriptionOf(golden),
                      .storage = StorageType::kFloat32},
                     std::move(passes));
  const auto bytes = ExportedState(session, context);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return *bytes;
}

std::string ReadGolden(const std::string& file) {
  std::ifstream in(test::SourcePath("tests/data/states/" + file),
                   std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

TEST(StateFormatTest, StatesOfEveryFormatGoOnAsIfNothingHadBeen) {
  const Workers workers(1);
  const ComputeContext context{.workers = workers};
  for (const Golden& golden : AllGolden()) {
    SCOPED_TRACE(golden.file);
    if (const char* folder = std::getenv("STEELYARD_WRITE_STATES")) {
      std::ofstream(std::string(folder) + "/" + golden.file, std::ios::binary)
          << HalfState(golden, context);
    }
    const std::string bytes = ReadGolden(golden.file);
    ASSERT_FALSE(bytes.empty());
    auto state = ParsedState(bytes, Limits());
    ASSERT_TRUE(state.ok()) << state.status();
    auto passes = RestoredPasses(*std::move(state), context);
    ASSERT_TRUE(passes.ok()) << passes.status();
    EXPECT_EQ(passes->front().keys(), kKeys / 2);
    const UniversalSet resumed =
        SetAfter(*std::move(passes), kKeys / 2, context);
    const UniversalSet whole = SetAfter(FreshPasses(golden), 0, context);
    EXPECT_THAT(resumed.indices, testing::ElementsAreArray(whole.indices));
    EXPECT_GT(resumed.indices.size(), 2u);
    EXPECT_LT(resumed.indices.size(), static_cast<std::size_t>(kKeys));
    EXPECT_GE(resumed.indices.front(), kFirst);
    EXPECT_EQ(resumed.keys, kKeys);
  }
}

}  // namespace
}  // namespace steelyard::server
