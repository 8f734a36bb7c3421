#include "one_pass/running_factor.h"

#include <algorithm>
#include <cmath>

#include "tests/core/one_pass/streams.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::TestContext;

void Fold(const AnyMatrixView& keys, Index block, RunningFactor& factor) {
  for (const KeyRange& part : test::Blocks(Rows(keys), block)) {
    const AnyMatrixView rows = SubView(keys, part.first, part.count);
    ASSERT_TRUE(factor.Fold(rows, 0, TestContext()).ok());
    // As a pass does now and then: the Gram needs a bound on R^-1.
    ASSERT_TRUE(factor.Refactor(FactorDetail::kScores, TestContext()).ok());
  }
}

TEST(RunningFactorTest, TheErrorOfRIsWithinItsBound) {
  for (const double cond : {1.0, 1e3, 1e6, 1e10}) {
    const Matrix<double> keys = test::MatrixWithSingularValues(
        2000, test::GeometricValues(6, cond), Seed{61});
    for (const Index block : {40, 500, 2000}) {
      RunningFactor running(6);
      Fold(keys.view(), block, running);
      const auto factor =
          running.Refactor(FactorDetail::kAnswer, TestContext());
      ASSERT_TRUE(factor.ok());
      EXPECT_EQ(factor->rank, 6);
      const auto exact = static_cast<double>(test::LongDoubleGramError(
          keys.view(), factor->scales.exponents, factor->r));
      EXPECT_LE(exact, factor->gram_error) << cond << ", " << block;
      // Well conditioned: a Gram; else QR, whose bound grows with kappa alone.
      const bool gram = factor->method == FactorMethod::kGram;
      EXPECT_TRUE(cond > 1e3 || gram == (block < 2000)) << cond << " " << block;
      EXPECT_TRUE(cond < 1e10 || !gram) << block;
      // What a Gram left behind, and QR.
      const double updates = 1.0 + 2000.0 / static_cast<double>(block);
      EXPECT_LE(factor->gram_error,
                (cond < 1e10 ? 1e-3 : 0.0) +
                    updates * test::HouseholderBound(6, 10.0 * cond));
    }
  }
}

// A Gram that a bad block would spoil is left before the block comes in.
TEST(RunningFactorTest, LeavesTheGramBeforeABlockThatWouldSpoilIt) {
  const Matrix<double> good = test::NormalMatrix(4000, 5, Seed{62});
  RunningFactor running(5);
  Fold(good.view(), 1000, running);
  auto factor = running.Refactor(FactorDetail::kScores, TestContext());
  ASSERT_EQ(factor->method, FactorMethod::kGram);
  // One direction, 1e9 times as long.
  Matrix<double> all(4010, 5);
  std::copy_n(good.data(), good.size(), all.data());
  for (Index i = 4000; i < 4010; ++i) {
    for (Index c = 0; c < 5; ++c) {
      all(i, c) = 1e9 * static_cast<double>(c + 1);
    }
  }
  Fold(SubView(all.view(), 4000, 10), 10, running);
  factor = running.Refactor(FactorDetail::kScores, TestContext());
  EXPECT_EQ(factor->method, FactorMethod::kQr);
  EXPECT_EQ(factor->rank, 5);
  const auto exact = static_cast<double>(test::LongDoubleGramError(
      all.view(), factor->scales.exponents, factor->r));
  EXPECT_LE(exact, factor->gram_error);
  EXPECT_LE(factor->gram_error, 1e-3);
}

TEST(RunningFactorTest, ScalesFollowGrowingColumns) {
  Matrix<double> keys = test::NormalMatrix(300, 3, Seed{63});
  for (Index i = 0; i < 300; ++i) {
    keys(i, 0) *= 1e-200;
    keys(i, 1) *= i < 100 ? 1e-250 : 1e250;
    if (i < 200) keys(i, 2) = 0.0;
  }
  RunningFactor running(3);
  Fold(keys.view(), 100, running);
  const auto factor = running.Refactor(FactorDetail::kScores, TestContext());
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->rank, 3);
  double least = HUGE_VAL;
  double most = 0.0;
  for (Index c = 0; c < 3; ++c) {
    double square = 0.0;
    for (Index i = 0; i <= c; ++i) square += factor->r(i, c) * factor->r(i, c);
    least = std::min(least, square);
    most = std::max(most, square);
  }
  EXPECT_GE(least, 1.0);
  // Norms differ by 2^2 and less than a power of two.
  EXPECT_LE(most, 64.0 * least);
  const auto exact = static_cast<double>(test::LongDoubleGramError(
      keys.view(), factor->scales.exponents, factor->r));
  EXPECT_LE(exact, factor->gram_error);
}

// The error of a Gram must not grow with the number of blocks: columns that
// grow together keep their scales.
TEST(RunningFactorTest, TheErrorOfALongGramStaysWhatItWas) {
  const Matrix<double> keys = test::MatrixWithSingularValues(
      512, test::GeometricValues(8, 1e4), Seed{66});
  RunningFactor running(8);
  Fold(keys.view(), 512, running);
  Fold(keys.view(), 512, running);
  const double first =
      running.Refactor(FactorDetail::kScores, TestContext())->gram_error;
  for (int round = 0; round < 1000; ++round) {
    ASSERT_TRUE(running.Fold(keys.view(), 0, TestContext()).ok());
  }
  const auto factor = running.Refactor(FactorDetail::kScores, TestContext());
  EXPECT_EQ(factor->method, FactorMethod::kGram);
  EXPECT_LE(factor->gram_error, 2.0 * first);
}

TEST(RunningFactorTest, TrianglesOfShardsAreTheTriangleOfAll) {
  const Matrix<double> keys = test::MatrixWithSingularValues(
      900, test::GeometricValues(5, 100.0), Seed{64});
  RunningFactor all(5);
  for (const KeyRange& part : test::Blocks(900, 300)) {
    RunningFactor shard(5);
    Fold(SubView(keys.view(), part.first, part.count), 150, shard);
    const auto triangle = shard.Export(TestContext());
    ASSERT_TRUE(triangle.ok());
    EXPECT_EQ(triangle->error.gram, 0.0);
    ASSERT_TRUE(all.FoldTriangle(*triangle, TestContext()).ok());
  }
  EXPECT_EQ(all.keys(), 900);
  const auto factor = all.Refactor(FactorDetail::kScores, TestContext());
  const auto exact = static_cast<double>(test::LongDoubleGramError(
      keys.view(), factor->scales.exponents, factor->r));
  EXPECT_LE(exact, factor->gram_error);
  EXPECT_LE(factor->gram_error, 1e-3);
}

// The bound must stay useful after as many blocks as 10 million keys make.
TEST(RunningFactorTest, TheBoundOfManyUpdatesStaysUseful) {
  const Matrix<double> keys = test::MatrixWithSingularValues(
      64, test::GeometricValues(8, 1e6), Seed{65});
  RunningFactor running(8);
  for (int round = 0; round < 2500; ++round) {
    ASSERT_TRUE(running.Fold(keys.view(), 0, TestContext()).ok());
  }
  const auto factor = running.Refactor(FactorDetail::kScores, TestContext());
  ASSERT_TRUE(factor.ok());
  EXPECT_EQ(factor->method, FactorMethod::kQr);
  // sum of sqrt(t), t <= 2500, over sqrt(2500): 2/3 of the updates.
  EXPECT_LE(factor->gram_error, 2500.0 * test::HouseholderBound(8, 1e7));
  EXPECT_LT(factor->delta, 0.1);
}

}  // namespace
}  // namespace steelyard
