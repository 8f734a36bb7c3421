#include "client/src/tensor_codec.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kNoLimit = std::int64_t{1} << 40;

template <typename T, int Order>
using MatrixOf = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;

// Entry (i, j) is i * cols + j: small integers, exact in all four types.
template <typename T, int Order>
MatrixOf<T, Order> Counting(int rows, int cols) {
  MatrixOf<T, Order> matrix(rows, cols);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      matrix(i, j) = static_cast<T>(static_cast<float>(i * cols + j));
    }
  }
  return matrix;
}

template <typename T>
std::vector<double> Decode(const v1::Tensor& tensor) {
  std::vector<double> numbers(tensor.data().size() / sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T number;
    std::memcpy(&number, tensor.data().data() + i * sizeof(T), sizeof(T));
    numbers[i] = static_cast<double>(static_cast<float>(number));
  }
  return numbers;
}

std::vector<double> UpTo(int count) {
  std::vector<double> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(i);
  return numbers;
}

template <typename T>
class TensorCodecTest : public testing::Test {
 protected:
  v1::DType ExpectedType() const {
    if (std::is_same_v<T, double>) return v1::DTYPE_FLOAT64;
    if (std::is_same_v<T, float>) return v1::DTYPE_FLOAT32;
    if (std::is_same_v<T, Eigen::half>) return v1::DTYPE_FLOAT16;
    return v1::DTYPE_BFLOAT16;
  }
};

using Scalars = testing::Types<double, float, Eigen::half, Eigen::bfloat16>;
TYPED_TEST_SUITE(TensorCodecTest, Scalars);

TYPED_TEST(TensorCodecTest, EitherOrderIsSentRowMajor) {
  v1::Tensor by_row;
  v1::Tensor by_column;
  ASSERT_TRUE(ToProto(Counting<TypeParam, Eigen::RowMajor>(7, 9), "a", kNoLimit,
                      &by_row)
                  .ok());
  ASSERT_TRUE(ToProto(Counting<TypeParam, Eigen::ColMajor>(7, 9), "a", kNoLimit,
                      &by_column)
                  .ok());
  EXPECT_EQ(by_row.dtype(), this->ExpectedType());
  EXPECT_THAT(by_row.shape(), testing::ElementsAre(7, 9));
  EXPECT_EQ(by_row.data(), by_column.data());
  EXPECT_EQ(Decode<TypeParam>(by_row), UpTo(63));
}

TYPED_TEST(TensorCodecTest, BatchesAreSentHeadByHead) {
  const auto stacked = Counting<TypeParam, Eigen::ColMajor>(6, 4);
  v1::Tensor tensor;
  ASSERT_TRUE(
      ToProto(TensorView(stacked).AsHeads(2), "keys", kNoLimit, &tensor).ok());
  EXPECT_THAT(tensor.shape(), testing::ElementsAre(2, 3, 4));
  EXPECT_EQ(Decode<TypeParam>(tensor), UpTo(24));
}

TYPED_TEST(TensorCodecTest, VectorsOfAnyStrideAreSentWhole) {
  const auto matrix = Counting<TypeParam, Eigen::RowMajor>(5, 2);
  v1::Tensor tensor;
  ASSERT_TRUE(ToProto(matrix.col(1), "b", kNoLimit, &tensor).ok());
  EXPECT_THAT(tensor.shape(), testing::ElementsAre(5));
  EXPECT_EQ(Decode<TypeParam>(tensor), (std::vector<double>{1, 3, 5, 7, 9}));
}

TEST(TensorCodecBoundsTest, MatricesLargerThanATileAreTransposedWhole) {
  // 130 and 67: two full tiles of 64 and a rest; one tile and a rest.
  v1::Tensor tensor;
  ASSERT_TRUE(
      ToProto(Counting<float, Eigen::ColMajor>(130, 67), "a", kNoLimit, &tensor)
          .ok());
  EXPECT_EQ(Decode<float>(tensor), UpTo(130 * 67));
}

TEST(TensorCodecBoundsTest, ShapesThatAreWrongNameTheFieldAndTheRule) {
  const std::vector<float> six(6);
  struct Case {
    TensorView view;
    const char* reason;
    const char* field;
  };
  const Case cases[] = {
      {{six, {2, 4}}, "WRONG_SIZE", "keys.dense"},
      {{six, {2, 2}}, "WRONG_SIZE", "keys.dense"},
      {{six, {0, 6}}, "FIELD_OUT_OF_RANGE", "keys.dense.shape[0]"},
      {{six, {6, -1}}, "FIELD_OUT_OF_RANGE", "keys.dense.shape[1]"},
      {{six, {}}, "WRONG_SHAPE", "keys.dense.shape"},
      {{six, {1, 1, 2, 3}}, "WRONG_SHAPE", "keys.dense.shape"},
      {{six, {INT64_MAX, 2}}, "SHAPE_OVERFLOW", "keys.dense.shape"},
      {TensorView(six, {3, 2}).AsHeads(2), "WRONG_SIZE", "keys.dense"},
      {TensorView(six, {3, 2}).AsHeads(0), "FIELD_OUT_OF_RANGE",
       "keys.dense.shape[0]"},
      {TensorView(six, {6}).AsHeads(2), "WRONG_SHAPE", "keys.dense.shape"},
      {Eigen::MatrixXd(0, 3), "FIELD_OUT_OF_RANGE", "keys.dense.shape[0]"},
  };
  for (const Case& c : cases) {
    v1::Tensor tensor;
    const absl::Status status =
        ToProto(c.view, "keys.dense", kNoLimit, &tensor);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.reason;
    const auto detail = DetailOf(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, c.reason) << status;
    EXPECT_EQ(detail->field, c.field) << status;
    EXPECT_TRUE(tensor.data().empty());
  }
}

TEST(TensorCodecBoundsTest, TooManyBytesAreRefusedBeforeTheCopy) {
  const std::vector<float> six(6);
  v1::Tensor tensor;
  EXPECT_TRUE(ToProto({six, {6}}, "b", 24, &tensor).ok());
  v1::Tensor refused;
  const absl::Status status = ToProto({six, {6}}, "b", 23, &refused);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(status)->reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(DetailOf(status)->metadata.at("max"), "23");
  EXPECT_TRUE(refused.data().empty());
}

v1::Tensor Answer(std::initializer_list<std::int64_t> shape, int numbers) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_FLOAT64);
  for (const std::int64_t extent : shape) tensor.add_shape(extent);
  for (int i = 0; i < numbers; ++i) {
    const double number = i;
    tensor.mutable_data()->append(reinterpret_cast<const char*>(&number), 8);
  }
  return tensor;
}

TEST(TensorCodecBoundsTest, AnswersBecomeMatrices) {
  const auto matrix = MatrixFromProto(Answer({2, 3}, 6), "x");
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_EQ(*matrix, (Counting<double, Eigen::RowMajor>(2, 3)));
  const auto vector = MatrixFromProto(Answer({4}, 4), "x");
  ASSERT_TRUE(vector.ok());
  EXPECT_EQ(vector->rows(), 4);
  EXPECT_EQ(vector->cols(), 1);
}

TEST(TensorCodecBoundsTest, AnswersThatBreakTheContractAreRefused) {
  v1::Tensor floats = Answer({1}, 1);
  floats.set_dtype(v1::DTYPE_FLOAT32);
  for (const v1::Tensor& tensor :
       {floats, Answer({}, 1), Answer({2}, 1), Answer({1, 1, 1}, 1),
        Answer({-1, -1}, 1), Answer({INT64_MAX, 2}, 1), Answer({0}, 0)}) {
    EXPECT_EQ(MatrixFromProto(tensor, "x").status().code(),
              absl::StatusCode::kInternal)
        << tensor.ShortDebugString();
  }
}

TEST(TensorCodecBoundsTest, DurationsGoAndComeBack) {
  for (const double seconds : {0.0, 0.25, 1.5, 86400.0, 1e-9}) {
    // One nanosecond is the unit of the wire; rounding is upwards.
    EXPECT_NEAR(SecondsFromProto(DurationToProto(Seconds(seconds))).count(),
                seconds, 1e-9);
  }
  EXPECT_EQ(DurationToProto(Seconds(0.9999999999)).seconds(), 1);
  EXPECT_EQ(DurationToProto(kNoDeadline).seconds(), 315576000000);
}

TEST(TensorCodecTest, PartsOfRowMajorTensorsAreGathered) {
  std::vector<float> numbers(2 * 4 * 3);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<float>(i);
  }
  v1::Tensor tensor;
  ASSERT_TRUE(
      ToProto(TensorView(numbers, {2, 4, 3}).Rows(1, 2), "keys", 1000, &tensor)
          .ok());
  ASSERT_EQ(tensor.data().size(), 12 * sizeof(float));
  std::vector<float> sent(12);
  std::memcpy(sent.data(), tensor.data().data(), tensor.data().size());
  EXPECT_EQ(sent,
            (std::vector<float>{3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19, 20}));
}

TEST(TensorCodecTest, VectorsOfAnAnswerMustBeOfTheirType) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DTYPE_INT64);
  tensor.add_shape(2);
  tensor.set_data(std::string(16, '\1'));
  EXPECT_EQ(IntegersFromProto(tensor, "x")->at(1), 0x0101010101010101);
  EXPECT_TRUE(absl::IsInternal(DoublesFromProto(tensor, "x").status()));
  tensor.set_shape(0, 3);
  EXPECT_TRUE(absl::IsInternal(IntegersFromProto(tensor, "x").status()));
  tensor.set_shape(0, -1);
  EXPECT_TRUE(absl::IsInternal(IntegersFromProto(tensor, "x").status()));
  tensor.set_dtype(v1::DTYPE_FLOAT64);
  tensor.set_shape(0, 2);
  EXPECT_EQ(RowsFromProto(tensor, "x")->rows(), 1);
  tensor.add_shape(0);
  EXPECT_TRUE(absl::IsInternal(RowsFromProto(tensor, "x").status()));
}

}  // namespace
}  // namespace steelyard::client
