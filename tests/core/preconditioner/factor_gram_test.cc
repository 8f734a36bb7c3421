#include "preconditioner/factor_gram.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/kernel_cases.h"

namespace steelyard {
namespace {

constexpr Index kSize = 1100;
constexpr Index kRank = 270;
constexpr double kUnitRoundoff32 = 0x1p-24;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Matrix<float> Rounded(const Matrix<double>& from) {
  Matrix<float> to(from.rows(), from.cols());
  for (Index i = 0; i < from.size(); ++i) {
    to.data()[i] = static_cast<float>(from.data()[i]);
  }
  return to;
}

// More than one tile, panel and segment. Blocks of 200 and 100 columns, of
// which 70 count.
FactorColumns Factor(bool first_float32, bool second_float32) {
  FactorColumns factor{.size = kSize, .rank = kRank, .blocks = {}};
  const auto add = [&](Index columns, bool narrow) {
    Matrix<double> block = test::RowsOfNorm(
        columns, kSize, 3.0, static_cast<std::uint64_t>(columns));
    if (narrow) {
      factor.blocks.push_back(
          std::make_shared<const Matrix<float>>(Rounded(block)));
    } else {
      factor.blocks.push_back(
          std::make_shared<const Matrix<double>>(std::move(block)));
    }
  };
  add(200, first_float32);
  add(100, second_float32);
  return factor;
}

// D^-1: 1, and `heavy` for every tenth row.
std::vector<double> InverseDiagonal(double heavy) {
  std::vector<double> inverse(At(kSize), 1.0);
  for (std::size_t i = 0; i < inverse.size(); i += 10) inverse[i] = heavy;
  return inverse;
}

class FactorGramTest : public testing::Test {
 protected:
  Matrix<double> Gram(const FactorColumns& factor,
                      const std::vector<double>& inverse) {
    const auto gram = GramPlusIdentity(
        factor, inverse, RowSquares(factor, inverse, context_), context_);
    EXPECT_TRUE(gram.ok());
    return *gram;
  }

  // Largest error of an entry of the upper triangle.
  double Error(const FactorColumns& factor,
               const std::vector<double>& inverse) {
    const Matrix<double> gram = Gram(factor, inverse);
    Matrix<double> f(kRank, kSize);
    factor.CopyPart(0, kRank, 0, kSize, f.data());
    double worst = 0.0;
    for (Index i = 0; i < kRank; ++i) {
      for (Index j = i; j < kRank; j += 7) {
        long double sum = i == j ? 1.0L : 0.0L;
        for (Index t = 0; t < kSize; ++t) {
          sum += static_cast<long double>(f(i, t)) * f(j, t) * inverse[At(t)];
        }
        worst =
            std::max(worst, static_cast<double>(std::abs(sum - gram(i, j))));
      }
    }
    return worst;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(FactorGramTest, SquaresAreThoseOfTheRows) {
  const FactorColumns factor = Factor(true, false);
  const std::vector<double> inverse = InverseDiagonal(5.0);
  const std::vector<double> squares = RowSquares(factor, inverse, context_);
  Matrix<double> f(kRank, kSize);
  factor.CopyPart(0, kRank, 0, kSize, f.data());
  for (Index i = 0; i < kSize; ++i) {
    double sum = 0.0;
    for (Index j = 0; j < kRank; ++j) sum += f(j, i) * f(j, i);
    EXPECT_NEAR(squares[At(i)], sum * inverse[At(i)],
                test::Gamma(2 * kRank) * sum * inverse[At(i)]);
  }
}

TEST_F(FactorGramTest, Float64WhereItIsKeptInFloat64) {
  // Rows of 9 in norm: the sums of squares are below 9 times the weight.
  for (const bool second : {false, true}) {
    const double error = Error(Factor(false, second), InverseDiagonal(100.0));
    EXPECT_LE(error, second ? kUnitRoundoff32 * 9.0 * 100.0
                            : test::Gamma(2 * kSize) * 9.0 * 100.0);
  }
}

TEST_F(FactorGramTest, Float32IsOffByLessThanARoundoffOfTheTraces) {
  const std::vector<double> inverse = InverseDiagonal(1.0);
  const FactorColumns factor = Factor(true, true);
  const double error = Error(factor, inverse);
  const std::vector<double> squares = RowSquares(factor, inverse, context_);
  EXPECT_LE(error, kUnitRoundoff32 *
                       std::accumulate(squares.begin(), squares.end(), 0.0));
  // It was float32.
  EXPECT_GT(error, test::Gamma(2 * kSize) * 9.0);
}

TEST_F(FactorGramTest, HeavyRowsAreMultipliedInFloat64) {
  // With all of D^-1 = 1 in float32, errors are those of the other rows,
  // however heavy the heavy ones are.
  const double light = Error(Factor(true, true), InverseDiagonal(1.0));
  const double heavy = 1e5;
  EXPECT_LE(Error(Factor(true, true), InverseDiagonal(heavy)),
            2.0 * light + test::Gamma(2 * kSize) * 9.0 * heavy);
}

TEST_F(FactorGramTest, LargeTracesAreMultipliedInFloat64) {
  // u_32 tr(B'B) is far above a per cent.
  const std::vector<double> inverse(At(kSize), 1e6);
  EXPECT_LE(Error(Factor(true, true), inverse),
            test::Gamma(2 * kSize) * 9.0 * 1e6);
}

TEST_F(FactorGramTest, SameBitsForAnyNumberOfWorkersAndStops) {
  const FactorColumns factor = Factor(true, true);
  const std::vector<double> inverse = InverseDiagonal(50.0);
  const std::vector<double> squares = RowSquares(factor, inverse, context_);
  const Matrix<double> expected = Gram(factor, inverse);
  for (const int count : {1, 3}) {
    const Workers workers(count);
    const auto gram =
        GramPlusIdentity(factor, inverse, squares, {.workers = workers});
    ASSERT_TRUE(gram.ok());
    EXPECT_TRUE(std::equal(expected.data(), expected.data() + expected.size(),
                           gram->data()));
  }
  for (const int look : {1, 4, 9}) {
    StopSource source;
    source.StopAtLook(look);
    EXPECT_EQ(GramPlusIdentity(factor, inverse, squares,
                               {.workers = workers_, .stop = source.token()})
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard
