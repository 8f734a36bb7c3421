// One pass against the batch set and the long double oracle.
#include "steelyard/one_pass.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "one_pass/candidate_buffer.h"
#include "one_pass/pass_state.h"
#include "steelyard/random.h"
#include "steelyard/status.h"
#include "tests/core/one_pass/streams.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::Batch;
using test::ExpectSameSet;
using test::NewPass;
using test::Snapshot;
using test::Stream;
using test::TestContext;
using testing::ElementsAre;
using testing::IsEmpty;

template <typename T>
class OnePassTypedTest : public testing::Test {};
using StorageTypes = testing::Types<Half, BFloat16, float, double>;
TYPED_TEST_SUITE(OnePassTypedTest, StorageTypes);

TYPED_TEST(OnePassTypedTest, IsTheBatchSetForEveryBlockSize) {
  const auto keys = test::KeysWithSpectrum<TypeParam>(
      {.rows = 1500, .columns = 6, .cond = 1e3, .seed = Seed{21}});
  const AnyMatrixView view = keys.view();
  const UniversalSet batch = Batch(view, 0.01);
  ASSERT_GT(batch.indices.size(), 10u);
  for (const Index block : {1, 2, 7, 384, 385, 700, 1500}) {
    const UniversalSet set =
        Snapshot(Stream(view, {.epsilon = 0.01}, test::Blocks(1500, block)));
    ExpectSameSet(set, batch);
    EXPECT_EQ(set.keys, 1500);
    EXPECT_EQ(set.rank, 6);
    EXPECT_LE(set.relative_score_error, 1e-3);
  }
}

TYPED_TEST(OnePassTypedTest, ScoresAreThoseOfTheOracleWithinTheReportedError) {
  for (const double cond : {1.0, 1e4}) {
    const auto keys = test::KeysWithSpectrum<TypeParam>(
        {.rows = 900, .columns = 8, .cond = cond, .seed = Seed{22}});
    const UniversalSet set = Snapshot(
        Stream(keys.view(), {.epsilon = 0.005}, test::Blocks(900, 100)));
    const auto truth = test::LongDoubleLeverages(keys.view());
    ASSERT_FALSE(set.indices.empty());
    for (std::size_t i = 0; i < set.indices.size(); ++i) {
      const auto exact =
          static_cast<double>(truth[static_cast<std::size_t>(set.indices[i])]);
      EXPECT_LE(std::abs(set.sensitivities[i] - exact),
                set.relative_score_error * exact);
    }
  }
}

// N9: 100 random orders and block sizes; half with epsilon at a key's score.
TEST(OnePassOrderTest, NoOrderAndNoBlockSizeLosesAKey) {
  const RandomStream random{Seed{31}, 1};
  std::uint64_t draw = 0;
  for (int trial = 0; trial < 100; ++trial) {
    const Index n = 300 + static_cast<Index>(random.Uniform(draw++) * 900);
    Matrix<double> keys = test::MatrixWithSingularValues(
        n, test::GeometricValues(5, trial % 2 == 0 ? 10.0 : 1e6),
        Seed{static_cast<std::uint64_t>(trial)});
    test::Shuffle(random, draw, keys);
    const auto truth = test::LongDoubleLeverages(keys.view());
    const double epsilon =
        trial % 4 < 2 ? 0.02
                      : static_cast<double>(truth[static_cast<std::size_t>(
                            random.Uniform(draw++) * static_cast<double>(n))]);
    const UniversalSet set =
        Snapshot(Stream(keys.view(), {.epsilon = epsilon},
                        test::RandomBlocks(random, draw, n)));
    ExpectSameSet(set, Batch(keys.view(), epsilon));
    for (Index j = 0; j < n; ++j) {
      const bool member =
          std::binary_search(set.indices.begin(), set.indices.end(), j);
      const auto exact =
          static_cast<double>(truth[static_cast<std::size_t>(j)]);
      if (member) {
        ASSERT_GE(exact * (1.0 + 2.0 * set.relative_score_error), epsilon);
      } else {
        ASSERT_LT(exact, epsilon) << trial << ", " << j;
        ASSERT_LE(exact, set.effective_epsilon);
      }
    }
  }
}

TEST(OnePassRankTest, RankThatGrowsLate) {
  // Rank 3 in a turned space of 6 for 2000 keys, then the rest.
  const Matrix<double> low = test::NormalMatrix(2000, 3, Seed{41});
  const Matrix<double> turn = test::RandomOrthogonal(6, 6, Seed{42});
  Matrix<double> keys(2600, 6);
  const Matrix<double> full = test::NormalMatrix(600, 6, Seed{43});
  for (Index i = 0; i < 2600; ++i) {
    for (Index c = 0; c < 6; ++c) {
      if (i >= 2000) {
        keys(i, c) = full(i - 2000, c);
        continue;
      }
      for (Index k = 0; k < 3; ++k) keys(i, c) += low(i, k) * turn(k, c);
    }
  }
  for (const Index block : {1, 400, 2600}) {
    OnePassUniversalSet pass =
        Stream(keys.view(), {.epsilon = 0.008}, test::Blocks(2600, block));
    const UniversalSet set = Snapshot(pass);
    EXPECT_EQ(set.rank, 6);
    ExpectSameSet(set, Batch(keys.view(), 0.008));
  }
  // While the rank is 3, too: memory is bounded and the set is right.
  const AnyMatrixView prefix = SubView(keys.view(), 0, 2000);
  OnePassUniversalSet pass =
      Stream(prefix, {.epsilon = 0.008}, test::Blocks(2000, 50));
  const UniversalSet set = Snapshot(pass);
  EXPECT_EQ(set.rank, 3);
  ExpectSameSet(set, Batch(prefix, 0.008));
}

TEST(OnePassRankTest, PrefixesShorterThanTheColumns) {
  const Matrix<float> keys = [] {
    Matrix<float> k(40, 20);
    const Matrix<double> normal = test::NormalMatrix(40, 20, Seed{44});
    std::copy_n(normal.data(), normal.size(), k.data());
    return k;
  }();
  OnePassUniversalSet pass = NewPass(
      {.columns = 20, .storage = StorageType::kFloat32, .epsilon = 0.3});
  EXPECT_THAT(Snapshot(pass).indices, IsEmpty());
  EXPECT_TRUE(Snapshot(pass).exact);
  for (Index i = 0; i < 40; ++i) {
    ASSERT_TRUE(pass.Add(SubView(keys.view(), i, 1), TestContext()).ok());
    const UniversalSet set = Snapshot(pass);
    const AnyMatrixView prefix = SubView(keys.view(), 0, i + 1);
    EXPECT_EQ(set.rank, std::min<Index>(i + 1, 20));
    ExpectSameSet(set, Batch(prefix, 0.3));
  }
}

TEST(OnePassRankTest, ZeroAndDuplicatedRowsAndZeroColumns) {
  Matrix<double> keys = test::NormalMatrix(1200, 6, Seed{45});
  for (Index i = 0; i < 1200; ++i) {
    keys(i, 2) = 0.0;
    keys(i, 5) = keys(i, 0);
    if (i % 7 == 0) std::fill_n(keys.row(i), 6, 0.0);
    if (i % 11 == 1) std::copy_n(keys.row(i - 1), 6, keys.row(i));
  }
  for (const Index block : {1, 100, 1200}) {
    OnePassUniversalSet pass =
        Stream(keys.view(), {.epsilon = 0.01}, test::Blocks(1200, block));
    ExpectSameSet(Snapshot(pass), Batch(keys.view(), 0.01));
  }
  const Matrix<double> zeros(3000, 4);
  OnePassUniversalSet pass =
      Stream(zeros.view(), {.epsilon = 1e-6}, test::Blocks(3000, 500));
  const UniversalSet set = Snapshot(pass);
  EXPECT_THAT(set.indices, IsEmpty());
  EXPECT_TRUE(set.exact);
  EXPECT_EQ(set.rank, 0);
}

// Keys grow by a factor of 1e6 every 400, from 1e-150 to 1e150 and one column
// far below the others.
TEST(OnePassScaleTest, LargerAndLargerKeys) {
  Matrix<double> keys = test::NormalMatrix(2000, 4, Seed{46});
  for (Index i = 0; i < 2000; ++i) {
    const double scale = std::pow(10.0, -150.0 + 60.0 * double(i / 400));
    for (Index c = 0; c < 4; ++c) {
      keys(i, c) *= scale * (c == 1 ? 1e-100 : 1.0);
    }
  }
  for (const Index block : {1, 300, 2000}) {
    OnePassUniversalSet pass =
        Stream(keys.view(), {.epsilon = 0.02}, test::Blocks(2000, block));
    const UniversalSet set = Snapshot(pass);
    const UniversalSet batch = Batch(keys.view(), 0.02);
    ExpectSameSet(set, batch);
    EXPECT_FALSE(set.indices.empty());
  }
}

TEST(OnePassScaleTest, ATinyKeyAloneInItsDirectionIsAMember) {
  const Matrix<double> normal = test::NormalMatrix(2001, 5, Seed{13});
  const Matrix<double> turn = test::RandomOrthogonal(6, 6, Seed{14});
  for (const bool rotated : {false, true}) {
    for (const Index where : {0, 1000, 2000}) {
      Matrix<double> keys(2001, 6);
      for (Index i = 0; i < 2001; ++i) {
        double key[6] = {};
        std::copy_n(normal.row(i), i == where ? 0 : 5, key);
        if (i == where) key[5] = 1e-17;
        for (Index c = 0; c < 6; ++c) {
          if (!rotated) keys(i, c) = key[c];
          for (Index k = 0; rotated && k < 6; ++k) {
            keys(i, c) += key[k] * turn(k, c);
          }
        }
      }
      const UniversalSet set = Snapshot(
          Stream(keys.view(), {.epsilon = 0.5}, test::Blocks(2001, 500)));
      EXPECT_THAT(set.indices, ElementsAre(where)) << rotated;
      EXPECT_EQ(set.new_direction.size(), rotated ? 1u : 0u);
    }
  }
}

// What fills a column that was zero for long may be tiny beside the others: no
// rounding of theirs, but a direction of its own.
TEST(OnePassScaleTest, TinyNumbersInAColumnThatWasZeroAreNotLost) {
  constexpr Index kBefore = 1280;
  constexpr Index kAll = kBefore + 256;
  for (const double size : {1e-10, 1e-19, 1e-36}) {
    Matrix<double> keys = test::NormalMatrix(kAll, 4, Seed{141});
    for (Index i = 0; i < kAll; ++i) {
      keys(i, 3) = i < kAll - 20 ? 0.0 : size * keys(i, 3);
    }
    for (const double p : {1.5, 2.0, 3.0}) {
      for (const bool causal : {false, true}) {
        const UniversalSet set = Snapshot(
            Stream(keys.view(),
                   {.epsilon = 0.04, .function = Power{p}, .causal = causal},
                   {{0, kBefore}, {kBefore, kAll - kBefore}}));
        EXPECT_EQ(set.rank, 4);
        // What the query (0, 0, 0, 1) gives each key.
        double total = 0.0;
        std::vector<double> powers;
        for (Index j = 0; j < kAll; ++j) {
          powers.push_back(std::pow(std::abs(keys(j, 3)) / size, p));
          total += powers.back();
        }
        double before = 0.0;
        for (Index j = 0; j < kAll; ++j) {
          const double power = powers[static_cast<std::size_t>(j)];
          before += power;
          if (power == 0.0 || power < 0.05 * (causal ? before : total))
            continue;
          EXPECT_THAT(set.indices, testing::Contains(j))
              << p << ", " << size << ", " << causal;
        }
      }
    }
  }
}

TEST(OnePassScaleTest, IllConditionedKeysStayCertified) {
  for (const double cond : {1e8, 1e11}) {
    const auto keys = test::KeysWithSpectrum<double>(
        {.rows = 3000, .columns = 6, .cond = cond, .seed = Seed{15}});
    const UniversalSet set = Snapshot(
        Stream(keys.view(), {.epsilon = 0.004}, test::Blocks(3000, 256)));
    const auto truth = test::LongDoubleLeverages(keys.view());
    EXPECT_LT(set.relative_score_error, 1.0);
    for (std::size_t i = 0; i < set.indices.size(); ++i) {
      const auto exact =
          static_cast<double>(truth[static_cast<std::size_t>(set.indices[i])]);
      EXPECT_LE(std::abs(set.sensitivities[i] - exact),
                set.relative_score_error * exact);
    }
    EXPECT_GE(static_cast<double>(
                  std::count_if(truth.begin(), truth.end(),
                                [](long double t) { return t >= 0.004L; })),
              1.0);
    for (Index j = 0; j < 3000; ++j) {
      if (truth[static_cast<std::size_t>(j)] < 0.004L) continue;
      EXPECT_TRUE(
          std::binary_search(set.indices.begin(), set.indices.end(), j));
    }
  }
}

TEST(OnePassTopTest, TheMostSensitiveOfTheMembers) {
  const auto keys = test::KeysWithSpectrum<float>(
      {.rows = 1000, .columns = 5, .cond = 10.0, .seed = Seed{47}});
  UniversalSetOptions options;
  options.epsilon = 0.01;
  options.top_m = 4;
  const UniversalSet batch =
      *FindUniversalSet(keys.view(), options, TestContext());
  const UniversalSet set = Snapshot(Stream(
      keys.view(), {.epsilon = 0.01, .top_m = 4}, test::Blocks(1000, 333)));
  EXPECT_EQ(set.indices, batch.indices);
  EXPECT_EQ(set.indices.size(), 4u);
  EXPECT_NEAR(set.effective_epsilon, batch.effective_epsilon,
              set.relative_score_error);
}

TEST(OnePassIndexTest, IndicesAreGlobal) {
  const auto keys = test::KeysWithSpectrum<float>(
      {.rows = 1000, .columns = 5, .cond = 10.0, .seed = Seed{48}});
  OnePassUniversalSet pass =
      Stream(keys.view(), {.epsilon = 0.02, .first_index = 1'000'000},
             test::Blocks(1000, 77));
  std::vector<Index> local = Snapshot(pass).indices;
  for (Index& i : local) i -= 1'000'000;
  EXPECT_EQ(local, Batch(keys.view(), 0.02).indices);
  ASSERT_EQ(pass.ranges().size(), 1u);
  EXPECT_EQ(pass.ranges()[0].first, 1'000'000);
  EXPECT_EQ(pass.ranges()[0].count, 1000);
  EXPECT_EQ(pass.keys(), 1000);
}

TEST(OnePassIndexTest, IndicesBeyondInt64AreRefused) {
  const Matrix<double> keys = test::NormalMatrix(3, 2, Seed{1});
  OnePassUniversalSet pass =
      NewPass({.columns = 2,
               .storage = StorageType::kFloat64,
               .epsilon = 0.5,
               .first_index = std::numeric_limits<Index>::max() - 2});
  const absl::Status status = pass.Add(keys.view(), TestContext());
  EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(pass.keys(), 0);
}

// Whole or nothing.

void ExpectUnchangedBy(OnePassUniversalSet& pass, const AnyMatrixView& bad,
                       const std::string& index) {
  const OnePassState before = *pass.Export(TestContext());
  const absl::Status status = pass.Add(bad, TestContext());
  ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DetailOf(status)->reason, "NOT_FINITE");
  EXPECT_EQ(DetailOf(status)->field, "keys");
  EXPECT_EQ(DetailOf(status)->metadata.at("index"), index);
  const OnePassState after = *pass.Export(TestContext());
  test::ExpectEqualStates(after, before);
}

TEST(OnePassErrorTest, ABadBlockChangesNothing) {
  const Matrix<double> keys = test::NormalMatrix(3000, 4, Seed{49});
  for (const Index before : {0, 10, 700}) {
    OnePassUniversalSet pass = NewPass(
        {.columns = 4, .storage = StorageType::kFloat64, .epsilon = 0.1});
    if (before > 0) {
      ASSERT_TRUE(
          pass.Add(SubView(keys.view(), 0, before), TestContext()).ok());
    }
    for (const Index block : {1, 100, 2000}) {
      for (const Index row : {Index{0}, block / 2, block - 1}) {
        Matrix<double> bad(block, 4);
        std::copy_n(keys.row(before), block * 4, bad.data());
        bad(row, 3) = std::numeric_limits<double>::quiet_NaN();
        ExpectUnchangedBy(pass, bad.view(), std::to_string(row * 4 + 3));
      }
    }
    EXPECT_EQ(pass.keys(), before);
  }
}

TEST(OnePassErrorTest, AStopAtAnyLookChangesNothing) {
  const Matrix<double> keys = test::NormalMatrix(6000, 8, Seed{50});
  OnePassUniversalSet pass = NewPass(
      {.columns = 8, .storage = StorageType::kFloat64, .epsilon = 0.01});
  ASSERT_TRUE(pass.Add(SubView(keys.view(), 0, 900), TestContext()).ok());
  const OnePassState before = *pass.Export(TestContext());
  const AnyMatrixView rest = SubView(keys.view(), 900, 5100);
  bool finished = false;
  for (std::int64_t look = 1; !finished; look += 1 + look / 4) {
    StopSource source;
    source.StopAtLook(look);
    const absl::Status status =
        pass.Add(rest, ComputeContext{test::TwoWorkers(), source.token()});
    finished = status.ok();
    if (finished) break;
    ASSERT_EQ(status.code(), absl::StatusCode::kCancelled);
    test::ExpectEqualStates(*pass.Export(TestContext()), before);
  }
  ExpectSameSet(Snapshot(pass), Batch(keys.view(), 0.01));
}

TEST(OnePassErrorTest, OptionsAndBlocksThatDoNotFit) {
  const auto reason = [](const OnePassOptions& options) {
    const auto pass = OnePassUniversalSet::Create(options);
    return pass.ok() ? "" : DetailOf(pass.status())->field;
  };
  EXPECT_EQ(reason({.columns = 0, .epsilon = 0.5}), "columns");
  EXPECT_EQ(reason({.columns = 1, .epsilon = 0.0}), "epsilon");
  EXPECT_EQ(reason({.columns = 1, .epsilon = 1.5}), "epsilon");
  EXPECT_EQ(reason({.columns = 1,
                    .epsilon = std::numeric_limits<double>::quiet_NaN()}),
            "epsilon");
  EXPECT_EQ(reason({.columns = 1, .epsilon = 0.5, .top_m = 0}), "top_m");
  EXPECT_EQ(reason({.columns = 1, .epsilon = 0.5, .first_index = -1}),
            "first_index");
  EXPECT_EQ(reason({.columns = 1, .epsilon = 0.5, .function = Softmax{}}),
            "function");
  OnePassUniversalSet pass = NewPass({.columns = 3, .epsilon = 0.5});
  const Matrix<float> narrow(2, 2);
  EXPECT_EQ(DetailOf(pass.Add(narrow.view(), TestContext()))->reason,
            "WRONG_SHAPE");
  const Matrix<double> wide(2, 3);
  EXPECT_EQ(DetailOf(pass.Add(wide.view(), TestContext()))->reason,
            "WRONG_DTYPE");
}

TEST(OnePassDeterminismTest, AnyNumberOfWorkersGivesTheSameBits) {
  const auto keys = test::KeysWithSpectrum<float>(
      {.rows = 9000, .columns = 12, .cond = 100.0, .seed = Seed{17}});
  std::vector<OnePassState> states;
  for (const int count : {1, 2, 4}) {
    const Workers workers(count);
    const ComputeContext context{workers};
    OnePassUniversalSet pass = NewPass({.columns = 12, .epsilon = 0.005});
    for (const KeyRange& block : test::Blocks(9000, 2500)) {
      ASSERT_TRUE(
          pass.Add(SubView(keys.view(), block.first, block.count), context)
              .ok());
    }
    states.push_back(*pass.Export(context));
  }
  test::ExpectEqualStates(states[1], states[0]);
  test::ExpectEqualStates(states[2], states[0]);
}

// N5: after pruning rank (1 + delta)^2 / epsilon and flagged keys, twice that
// and a block (here: a panel and what waits) in between.
TEST(OnePassMemoryTest, TheBufferKeepsItsBound) {
  const Matrix<double> keys = test::NormalMatrix(60000, 4, Seed{51});
  OnePassUniversalSet pass = NewPass(
      {.columns = 4, .storage = StorageType::kFloat64, .epsilon = 0.05});
  const Index block = 500;
  const double members = 4.0 / 0.05;
  double most = 0.0;
  for (Index first = 0; first < 60000; first += block) {
    ASSERT_TRUE(
        pass.Add(SubView(keys.view(), first, block), TestContext()).ok());
    const OnePassState state = *pass.Export(TestContext());
    EXPECT_LE(static_cast<double>(state.indices.size()),
              2.0 * members + static_cast<double>(block + PendingRows(4)));
    most = std::max(most, pass.bytes());
  }
  EXPECT_LT(most, 60000.0 * 4 * 8 / 4);
  ExpectSameSet(Snapshot(pass), Batch(keys.view(), 0.05));
}

TEST(OnePassQueriesTest, HoldsTheMembersKeysScaled) {
  const auto keys = test::KeysWithSpectrum<float>(
      {.rows = 1000, .columns = 5, .cond = 10.0, .seed = Seed{52}});
  OnePassUniversalSet pass =
      Stream(keys.view(), {.epsilon = 0.02}, test::Blocks(1000, 250));
  const UniversalSet set = Snapshot(pass);
  const absl::StatusOr<QueryableSet> queryable = pass.Queryable(TestContext());
  ASSERT_TRUE(queryable.ok()) << queryable.status();
  test::ExpectHoldsKeys(*queryable, set, keys.view());
}

}  // namespace
}  // namespace steelyard
