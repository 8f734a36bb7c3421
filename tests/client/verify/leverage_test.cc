#include "client/verify/leverage.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/client/verify/key_tensors.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"

namespace steelyard::verify {
namespace {

void ExpectLeverages(const Matrix<double>& keys, Index rank) {
  const auto tensor = test::TensorOf(keys);
  const LeverageReference reference(HeadsOf(tensor)[0]);
  const auto exact = test::LongDoubleLeverages(keys.view(), rank);
  EXPECT_EQ(reference.rank(), rank);
  // The bound that the reference itself states, plus that of the oracle.
  const double bound = reference.score_error() +
                       test::OracleBound(keys.cols(), reference.condition());
  double sum = 0.0;
  for (Index j = 0; j < keys.rows(); ++j) {
    const double score = reference.scores()[j];
    const auto truth = static_cast<double>(exact[static_cast<std::size_t>(j)]);
    EXPECT_NEAR(score, truth, bound * truth + test::kUnitRoundoff) << j;
    sum += score;
  }
  EXPECT_NEAR(sum, static_cast<double>(rank),
              bound * static_cast<double>(rank));
  EXPECT_LT(reference.score_error(), 1e-3);
}

TEST(LeverageReferenceTest, AgreesWithLongDoubleForAnyCondition) {
  for (const double cond : {1.0, 1e3, 1e6, 1e9}) {
    SCOPED_TRACE(cond);
    ExpectLeverages(test::MatrixWithSingularValues(
                        90, test::GeometricValues(7, cond), Seed{11}),
                    7);
  }
}

TEST(LeverageReferenceTest, BlocksOfRowsAreOneMatrix) {
  // More rows than a block holds.
  ExpectLeverages(test::NormalMatrix(5000, 3, Seed{3}), 3);
}

TEST(LeverageReferenceTest, FewerKeysThanColumns) {
  ExpectLeverages(test::NormalMatrix(5, 9, Seed{4}), 5);
}

TEST(LeverageReferenceTest, ColumnsOfAnySizeChangeNothing) {
  Matrix<double> keys = test::NormalMatrix(60, 4, Seed{5});
  const auto plain = test::TensorOf(keys);
  const LeverageReference expected(HeadsOf(plain)[0]);
  for (Index i = 0; i < keys.rows(); ++i) {
    keys(i, 0) = std::ldexp(keys(i, 0), 1000);
    keys(i, 1) = std::ldexp(keys(i, 1), -1000);
  }
  const auto scaled = test::TensorOf(keys);
  const LeverageReference reference(HeadsOf(scaled)[0]);
  EXPECT_EQ(reference.scores(), expected.scores());
}

TEST(LeverageReferenceTest, DuplicatedColumnLowersTheRank) {
  Matrix<double> keys = test::NormalMatrix(40, 5, Seed{6});
  for (Index i = 0; i < keys.rows(); ++i) keys(i, 4) = 2.0 * keys(i, 1);
  ExpectLeverages(keys, 4);
}

TEST(LeverageReferenceTest, KeysOfZeroScoreZero) {
  const auto tensor = test::TensorOf(Matrix<double>(6, 3));
  const LeverageReference reference(HeadsOf(tensor)[0]);
  EXPECT_EQ(reference.rank(), 0);
  EXPECT_EQ(reference.scores().maxCoeff(), 0.0);
}

TEST(LeverageReferenceTest, AttainingQueryGivesTheKeyItsScore) {
  const auto tensor = test::TensorOf(test::UnevenKeys(80, 6, 3, Seed{7}));
  const Rows keys = HeadsOf(tensor)[0];
  const LeverageReference reference(keys);
  const RowMatrix all = keys.All();
  const RowMatrix queries = reference.AttainingQueries(all);
  for (Index j = 0; j < all.rows(); ++j) {
    const Eigen::VectorXd products = all * queries.row(j).transpose();
    const double score = products[j] * products[j] / products.squaredNorm();
    EXPECT_NEAR(score, reference.scores()[j], 4 * reference.score_error());
  }
}

}  // namespace
}  // namespace steelyard::verify
