// States that leave a pass, come back, and join.
#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::Batch;
using test::ExpectSameSet;
using test::Snapshot;
using test::Stream;
using test::TestContext;

TEST(ExportTest, ARestoredPassGoesOn) {
  for (const double cond : {10.0, 1e9}) {
    const Matrix<double> keys = test::MatrixWithSingularValues(
        3000, test::GeometricValues(5, cond), Seed{101});
    const OnePassOptions options{.columns = 5,
                                 .storage = StorageType::kFloat64,
                                 .epsilon = 0.004,
                                 .first_index = 50};
    // Also after fewer keys than columns, when nothing bounds R^-1.
    for (const Index cut : {0, 3, 200, 2000}) {
      OnePassUniversalSet pass = test::NewPass(options);
      if (cut > 0) {
        ASSERT_TRUE(pass.Add(SubView(keys.view(), 0, cut), TestContext()).ok());
      }
      const OnePassState state = *pass.Export(TestContext());
      absl::StatusOr<OnePassUniversalSet> restored =
          OnePassUniversalSet::Restore(options, state, TestContext());
      ASSERT_TRUE(restored.ok()) << restored.status();
      EXPECT_EQ(restored->keys(), cut);
      test::ExpectEqualStates(*restored->Export(TestContext()), state);
      ExpectSameSet(Snapshot(*restored), Snapshot(pass));
      for (const KeyRange& block : test::Blocks(3000 - cut, 450)) {
        const AnyMatrixView rows =
            SubView(keys.view(), cut + block.first, block.count);
        ASSERT_TRUE(restored->Add(rows, TestContext()).ok());
      }
      UniversalSet set = Snapshot(*restored);
      EXPECT_EQ(set.keys, 3000);
      EXPECT_LT(set.relative_score_error, 1e-3);
      for (std::vector<Index>* list :
           {&set.indices, &set.undecided, &set.new_direction}) {
        for (Index& i : *list) i -= 50;
      }
      ExpectSameSet(set, Batch(keys.view(), 0.004));
      EXPECT_LT(restored->bytes(), 3000.0 * 5 * 8);
    }
  }
}

struct Case {
  const char* field;
  std::function<void(OnePassState&)> spoil;
};

// Every way to be corrupt.
std::vector<Case> WaysToBeCorrupt() {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr Index kMost = std::numeric_limits<Index>::max();
  return {
      {"ranges", [](auto& s) { s.ranges[0].first = -1; }},
      {"ranges", [](auto& s) { s.ranges[0].count = 0; }},
      {"ranges", [](auto& s) { s.ranges[0].count = -5; }},
      {"ranges",
       [=](auto& s) {
         s.ranges[0] = {2, kMost};
       }},
      {"ranges",
       [](auto& s) {
         s.ranges.push_back({499, 2});
       }},
      {"ranges",
       [](auto& s) {
         s.ranges.insert(s.ranges.begin(), {600, 2});
       }},
      {"factor", [](auto& s) { s.ranges.clear(); }},
      {"factor", [](auto& s) { s.factor = Matrix<double>(4, 3); }},
      {"factor", [](auto& s) { s.factor = {}; }},
      {"factor", [=](auto& s) { s.factor(1, 2) = nan; }},
      {"factor", [](auto& s) { s.factor(0, 0) = HUGE_VAL; }},
      {"factor", [](auto& s) { s.factor(0, 0) = 1e300; }},
      {"factor", [](auto& s) { s.factor(2, 1) = 1e-9; }},
      {"column_exponents", [](auto& s) { s.column_exponents.pop_back(); }},
      {"column_exponents", [](auto& s) { s.column_exponents[1] = 2000; }},
      {"column_exponents",
       [](auto& s) {
         s.column_exponents[1] = std::numeric_limits<int>::min();
       }},
      {"factor_error", [=](auto& s) { s.factor_error = nan; }},
      {"factor_error", [](auto& s) { s.factor_error = -1e-9; }},
      {"factor_error", [](auto& s) { s.factor_error = 1.0; }},
      {"factor_error", [](auto& s) { s.factor_error = HUGE_VAL; }},
      {"householder_error", [=](auto& s) { s.householder_error = nan; }},
      {"householder_error", [](auto& s) { s.householder_error = -1.0; }},
      {"householder_error", [](auto& s) { s.householder_error = HUGE_VAL; }},
      {"indices", [](auto& s) { std::swap(s.indices[0], s.indices[1]); }},
      {"indices", [](auto& s) { s.indices[1] = s.indices[0]; }},
      {"indices", [](auto& s) { s.indices.back() = 500; }},
      {"indices", [](auto& s) { s.indices[0] = -1; }},
      {"candidates", [](auto& s) { s.candidates.pop_back(); }},
      {"candidates", [](auto& s) { s.candidates.clear(); }},
      {"candidates", [](auto& s) { s.indices.pop_back(); }},
      {"candidates",
       [](auto& s) {
         std::fill_n(s.candidates.begin() + 32, 8, std::byte{0xff});
       }},
      {"arrival_scores", [](auto& s) { s.arrival_scores.push_back(0.5); }},
      {"arrival_errors", [](auto& s) { s.arrival_errors.push_back(0.5); }},
      {"arrival_total", [](auto& s) { s.arrival_total = 1.0; }},
      {"arrival_bound", [](auto& s) { s.arrival_bound = 1.0; }},
      {"coreset", [](auto& s) { s.coreset = "x"; }},
  };
}

TEST(RestoreTest, NamesTheFieldThatContradictsAnother) {
  const Matrix<double> keys = test::NormalMatrix(500, 4, Seed{102});
  const OnePassUniversalSet pass =
      Stream(keys.view(), {.epsilon = 0.02}, test::Blocks(500, 100));
  const OnePassState good = *pass.Export(TestContext());
  ASSERT_GE(good.indices.size(), 2u);
  for (const Case& c : WaysToBeCorrupt()) {
    OnePassState state = good;
    c.spoil(state);
    const auto restored = OnePassUniversalSet::Restore(
        pass.options(), std::move(state), TestContext());
    ASSERT_EQ(restored.status().code(), absl::StatusCode::kInvalidArgument)
        << c.field;
    EXPECT_EQ(DetailOf(restored.status())->reason, "STATE_CORRUPT");
    EXPECT_EQ(DetailOf(restored.status())->field, c.field) << restored.status();
  }
}

TEST(RestoreTest, AStopIsAnError) {
  const Matrix<double> keys = test::NormalMatrix(500, 4, Seed{103});
  const OnePassUniversalSet pass =
      Stream(keys.view(), {.epsilon = 0.02}, test::Blocks(500, 100));
  StopSource source;
  source.RequestStop(StopReason::kCancelled);
  const ComputeContext stopped{test::TwoWorkers(), source.token()};
  const auto restored = OnePassUniversalSet::Restore(
      pass.options(), *pass.Export(TestContext()), stopped);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kCancelled);
}

// N6: 1 to 16 shards, cut anywhere, joined by a random tree in random order.
TEST(MergeTest, ShardsInAnyTreeAreTheBatchSet) {
  const RandomStream random{Seed{104}, 0};
  std::uint64_t draw = 0;
  for (Index shards = 1; shards <= 16; ++shards) {
    const Index n = 1000;
    Matrix<double> keys = test::MatrixWithSingularValues(
        n, test::GeometricValues(5, 100.0),
        Seed{static_cast<std::uint64_t>(shards)});
    test::Shuffle(random, draw, keys);
    const auto truth = test::LongDoubleLeverages(keys.view());
    const double epsilon =
        shards % 2 == 0 ? 0.01 : static_cast<double>(truth[77]);
    std::vector<Index> cuts = {0, n};
    while (static_cast<Index>(cuts.size()) < shards + 1) {
      const auto cut = static_cast<Index>(random.Uniform(draw++) * double(n));
      if (std::find(cuts.begin(), cuts.end(), cut) == cuts.end()) {
        cuts.push_back(cut);
      }
    }
    std::sort(cuts.begin(), cuts.end());
    std::vector<OnePassUniversalSet> passes;
    for (std::size_t s = 0; s + 1 < cuts.size(); ++s) {
      const Index count = cuts[s + 1] - cuts[s];
      passes.push_back(Stream(SubView(keys.view(), cuts[s], count),
                              {.epsilon = epsilon, .first_index = cuts[s]},
                              test::RandomBlocks(random, draw, count)));
    }
    while (passes.size() > 1) {
      const auto pick = [&] {
        return static_cast<std::size_t>(random.Uniform(draw++) *
                                        static_cast<double>(passes.size()));
      };
      const std::size_t to = pick();
      const std::size_t from = pick();
      if (to == from) continue;
      const absl::Status merged = passes[to].Merge(passes[from], TestContext());
      ASSERT_TRUE(merged.ok()) << merged;
      passes.erase(passes.begin() + static_cast<std::ptrdiff_t>(from));
    }
    const UniversalSet set = Snapshot(passes[0]);
    EXPECT_EQ(set.keys, n);
    ExpectSameSet(set, Batch(keys.view(), epsilon));
    for (Index j = 0; j < n; ++j) {
      if (static_cast<double>(truth[static_cast<std::size_t>(j)]) < epsilon) {
        continue;
      }
      EXPECT_TRUE(
          std::binary_search(set.indices.begin(), set.indices.end(), j));
    }
    ASSERT_EQ(passes[0].ranges().size(), 1u);
    EXPECT_EQ(passes[0].ranges()[0].count, n);
  }
}

TEST(MergeTest, AMergedPassGoesOnAfterItsLargestIndex) {
  const Matrix<double> keys = test::NormalMatrix(900, 4, Seed{105});
  OnePassUniversalSet first =
      Stream(SubView(keys.view(), 0, 300), {.epsilon = 0.02}, {{0, 300}});
  const OnePassUniversalSet second =
      Stream(SubView(keys.view(), 300, 300),
             {.epsilon = 0.02, .first_index = 300}, {{0, 300}});
  ASSERT_TRUE(first.Merge(second, TestContext()).ok());
  ASSERT_TRUE(first.Add(SubView(keys.view(), 600, 300), TestContext()).ok());
  ExpectSameSet(Snapshot(first), Batch(keys.view(), 0.02));
}

// Shards of unequal scale, rank and columns.
TEST(MergeTest, ShardsThatHaveLittleInCommon) {
  Matrix<double> keys = test::NormalMatrix(1200, 4, Seed{106});
  for (Index i = 0; i < 1200; ++i) {
    if (i < 400) keys(i, 1) = keys(i, 3) = 0.0;
    for (Index c = 0; c < 4; ++c) keys(i, c) *= i < 800 ? 1e-140 : 1e140;
    if (i >= 800) keys(i, 0) = 0.0;
  }
  OnePassUniversalSet pass =
      Stream(SubView(keys.view(), 0, 400), {.epsilon = 0.01}, {{0, 400}});
  for (const Index first : {400, 800}) {
    const OnePassUniversalSet other =
        Stream(SubView(keys.view(), first, 400),
               {.epsilon = 0.01, .first_index = first}, {{0, 400}});
    ASSERT_TRUE(pass.Merge(other, TestContext()).ok());
  }
  const UniversalSet batch = Batch(keys.view(), 0.01);
  ExpectSameSet(Snapshot(pass), batch);
  EXPECT_EQ(batch.rank, 4);
}

TEST(MergeTest, RefusalsChangeNothing) {
  const Matrix<double> keys = test::NormalMatrix(600, 4, Seed{107});
  const auto stream = [&](OnePassOptions options) {
    return Stream(keys.view(), options, {{0, 600}});
  };
  OnePassUniversalSet pass = stream({.epsilon = 0.02, .first_index = 1000});
  const OnePassState before = *pass.Export(TestContext());
  const auto refused = [&](const OnePassUniversalSet& other) {
    const absl::Status status = pass.Merge(other, TestContext());
    test::ExpectEqualStates(*pass.Export(TestContext()), before);
    const auto detail = DetailOf(status);
    return detail.has_value() ? detail->reason : std::string(status.message());
  };
  EXPECT_EQ(refused(stream({.epsilon = 0.02, .first_index = 1599})),
            "RANGES_OVERLAP");
  EXPECT_EQ(refused(stream({.epsilon = 0.02, .first_index = 401})),
            "RANGES_OVERLAP");
  EXPECT_EQ(refused(pass), "RANGES_OVERLAP");
  EXPECT_EQ(refused(stream({.epsilon = 0.03})), "CONFLICTING_FIELDS");
  EXPECT_EQ(refused(stream({.epsilon = 0.02, .top_m = 3})),
            "CONFLICTING_FIELDS");
  StopSource source;
  source.RequestStop(StopReason::kDeadline);
  const ComputeContext stopped{test::TwoWorkers(), source.token()};
  EXPECT_EQ(pass.Merge(stream({.epsilon = 0.02}), stopped).code(),
            absl::StatusCode::kDeadlineExceeded);
  test::ExpectEqualStates(*pass.Export(TestContext()), before);
}

}  // namespace
}  // namespace steelyard
