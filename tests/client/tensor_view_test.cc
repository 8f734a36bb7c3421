#include "steelyard/client/tensor_view.h"

#include <span>
#include <vector>

#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

std::vector<std::int64_t> Extents(const TensorView& view) {
  std::vector<std::int64_t> extents;
  for (int axis = 0; axis < view.rank(); ++axis) {
    extents.push_back(view.extent(axis));
  }
  return extents;
}

using Shape = std::vector<std::int64_t>;
using RowMajorFloats =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Expressions have no memory of their own, integers no storage type.
static_assert(!std::convertible_to<
              decltype(Eigen::MatrixXd() * Eigen::MatrixXd()), TensorView>);
static_assert(!std::convertible_to<Eigen::MatrixXi, TensorView>);
static_assert(std::convertible_to<Eigen::MatrixXd, TensorView>);

TEST(TensorViewTest, MatricesOfEitherOrderKeepTheirStrides) {
  const Eigen::MatrixXd columns = Eigen::MatrixXd::Zero(3, 5);
  const TensorView by_column = columns;
  EXPECT_EQ(Extents(by_column), (Shape{3, 5}));
  EXPECT_EQ(by_column.stride(0), 1);
  EXPECT_EQ(by_column.stride(1), 3);
  EXPECT_EQ(by_column.data(), columns.data());
  EXPECT_EQ(by_column.type(), ScalarType::kFloat64);

  const RowMajorFloats rows = RowMajorFloats::Zero(3, 5);
  const TensorView by_row = rows;
  EXPECT_EQ(by_row.stride(0), 5);
  EXPECT_EQ(by_row.stride(1), 1);
  EXPECT_EQ(by_row.type(), ScalarType::kFloat32);
}

TEST(TensorViewTest, BlocksTransposesAndVectorsAreViewsToo) {
  const RowMajorFloats rows = RowMajorFloats::Zero(4, 6);
  const TensorView block = rows.block(1, 2, 2, 3);
  EXPECT_EQ(Extents(block), (Shape{2, 3}));
  EXPECT_EQ(block.stride(0), 6);
  EXPECT_EQ(block.data(), &rows(1, 2));

  const TensorView transposed = rows.transpose();
  EXPECT_EQ(Extents(transposed), (Shape{6, 4}));
  EXPECT_EQ(transposed.stride(1), 6);

  const TensorView column = rows.col(2);
  EXPECT_EQ(Extents(column), (Shape{4}));
  EXPECT_EQ(column.stride(0), 6);
}

TEST(TensorViewTest, RangesTakeAShape) {
  const std::vector<Eigen::half> numbers(24);
  const TensorView heads(numbers, {2, 3, 4});
  EXPECT_EQ(Extents(heads), (Shape{2, 3, 4}));
  EXPECT_EQ(heads.stride(0), 12);
  EXPECT_EQ(heads.stride(1), 4);
  EXPECT_EQ(heads.stride(2), 1);
  EXPECT_EQ(heads.type(), ScalarType::kFloat16);

  const std::vector<Eigen::bfloat16> others(6);
  const std::span<const Eigen::bfloat16> four(others.data(), 4);
  const TensorView span(four, {2, 2});
  EXPECT_EQ(span.available(), 4);
  EXPECT_EQ(span.type(), ScalarType::kBFloat16);
}

TEST(TensorViewTest, StackedHeadsBecomeABatch) {
  const RowMajorFloats stacked = RowMajorFloats::Zero(6, 4);
  const TensorView heads = TensorView(stacked).AsHeads(2);
  EXPECT_EQ(Extents(heads), (Shape{2, 3, 4}));
  EXPECT_EQ(heads.stride(0), 12);
  EXPECT_EQ(heads.available(), 24);
  // 6 rows are not 4 heads: the shape does not hold all the numbers.
  EXPECT_NE(TensorView(stacked).AsHeads(4).extent(1) * 4 * 4,
            heads.available());
  EXPECT_EQ(heads.AsHeads(2).rank(), 4);
}

TEST(TensorViewTest, HugeShapesOverflowNothing) {
  const std::vector<float> few(3);
  const TensorView view(few, {INT64_MAX, INT64_MAX, INT64_MAX});
  EXPECT_EQ(view.extent(2), INT64_MAX);
  EXPECT_EQ(view.available(), 3);
}

TEST(TensorViewTest, RowsAndHeadsAreParts) {
  const std::vector<float> numbers(2 * 5 * 3);
  const TensorView heads(numbers, {2, 5, 3});
  const TensorView rows = heads.Rows(1, 2);
  ASSERT_EQ(rows.rank(), 3);
  EXPECT_EQ(rows.extent(1), 2);
  EXPECT_EQ(rows.stride(0), 15);
  EXPECT_EQ(rows.available(), 12);
  EXPECT_EQ(rows.data(), numbers.data() + 3);
  const TensorView head = heads.Head(1);
  ASSERT_EQ(head.rank(), 2);
  EXPECT_EQ(head.extent(0), 5);
  EXPECT_EQ(head.data(), numbers.data() + 15);
  EXPECT_EQ(head.Rows(4, 1).data(), numbers.data() + 27);
  EXPECT_EQ(head.Rows(4, 1).available(), 3);
}

TEST(TensorViewTest, PartsOutsideAreNoTensors) {
  const std::vector<float> numbers(6);
  const TensorView matrix(numbers, {2, 3});
  EXPECT_GT(matrix.Rows(1, 2).rank(), 3);
  EXPECT_GT(matrix.Rows(-1, 1).rank(), 3);
  EXPECT_GT(matrix.Head(0).rank(), 3);
  // What does not fill its shape stays as it is: the call names the reason.
  const TensorView wrong(numbers, {3, 3});
  EXPECT_EQ(wrong.Rows(0, 1).extent(0), 3);
}

}  // namespace
}  // namespace steelyard::client
