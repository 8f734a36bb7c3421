#include "steelyard/matrix.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(MatrixTest, IsZeroAtBirthAndAligned) {
  const Matrix<double> matrix(5, 7);
  EXPECT_EQ(matrix.size(), 35);
  for (Index i = 0; i < matrix.size(); ++i) EXPECT_EQ(matrix.data()[i], 0.0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(matrix.data()) % 64, 0u);
}

TEST(MatrixTest, UnsetHasTheExtentsAndKeepsWhatIsWritten) {
  auto matrix = Matrix<double>::Unset(3, 4);
  EXPECT_EQ(matrix.rows(), 3);
  EXPECT_EQ(matrix.cols(), 4);
  for (Index i = 0; i < matrix.size(); ++i) {
    matrix.data()[i] = static_cast<double>(i);
  }
  const Matrix<double> copy = matrix;
  EXPECT_EQ(copy(2, 1), 9.0);
  EXPECT_EQ(copy.row(1)[3], 7.0);
}

TEST(MatrixTest, AnEmptyOneHasNoRows) {
  const Matrix<float> empty;
  EXPECT_TRUE(empty.empty());
  EXPECT_EQ(empty.rows(), 0);
}

}  // namespace
}  // namespace steelyard
