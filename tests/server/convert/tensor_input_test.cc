#include "server/convert/tensor_input.h"

#include <cstring>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/server/convert/valid_requests.h"

namespace steelyard::server {
namespace {

using test::SetPlainTensor;
using test::SetTensor;

const Limits kLimits;
const TensorRule kKeysRule{.cols_max = kLimits.columns_max};

std::string ReasonOf(const absl::Status& status) {
  return DetailOf(status).value_or(ErrorDetail{}).reason;
}

TEST(TensorInputTest, NumbersAreReadInThePlaceWhereTheMessageHoldsThem) {
  v1::Tensor tensor;
  SetPlainTensor({100, 20}, &tensor);

  const auto input = TensorFromProto(tensor, "keys.dense", kKeysRule, kLimits);

  ASSERT_TRUE(input.ok()) << input.status();
  const TensorMatrices matrices(*input);
  EXPECT_TRUE(matrices.in_place());
  EXPECT_EQ(input->copy_bytes(), 0);
  EXPECT_EQ(static_cast<const void*>(
                std::get<MatrixView<double>>(matrices.matrix()).data()),
            static_cast<const void*>(tensor.data().data()));
}

TEST(TensorInputTest, ValuesAreReadInPlaceToo) {
  v1::Tensor tensor;
  tensor.mutable_shape()->Add(2);
  for (const double value : {0.5, -1.5}) tensor.add_values(value);

  const auto input = TensorFromProto(
      tensor, "b", {.extents_min = 1, .extents_max = 2, .cols_max = 7},
      kLimits);

  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->extents(), 1);
  EXPECT_EQ(input->copy_bytes(), 0);
  const TensorMatrices matrices(*input);
  const auto& view = std::get<MatrixView<double>>(matrices.matrix());
  EXPECT_EQ(view.data(), tensor.values().data());
  EXPECT_EQ(view.rows(), 2);
  EXPECT_EQ(view.cols(), 1);
  EXPECT_EQ(view(1, 0), -1.5);
  EXPECT_EQ(input->PathOfNumber("1"), "b.values[1]");
}

TEST(TensorInputTest, MisalignedBytesAreCopiedAndTheCopyIsTold) {
  const std::vector<float> numbers = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};
  alignas(8) char bytes[64];
  char* const misaligned = bytes + 1;
  std::memcpy(misaligned, numbers.data(), sizeof(float) * numbers.size());

  const TensorInput input =
      TensorInput::FromBytes({.type = StorageType::kFloat32,
                              .extents = 3,
                              .heads = 2,
                              .rows = 1,
                              .cols = 3},
                             misaligned, "keys.dense");

  EXPECT_EQ(input.copy_bytes(), 24);
  const TensorMatrices matrices(input);
  EXPECT_FALSE(matrices.in_place());
  ASSERT_EQ(matrices.heads().size(), 2u);
  EXPECT_EQ(std::get<MatrixView<float>>(matrices.heads()[1])(0, 2), 6.0f);
}

TEST(TensorInputTest, EachStorageTypeHasItsSizeAndItsView) {
  struct Case {
    v1::DType dtype;
    std::size_t bytes;
    std::size_t variant;  // of AnyMatrixView
    const char* description;
  };
  const std::vector<Case> cases = {
      {v1::DTYPE_FLOAT64, 8, 0, "4x3x2 FLOAT64"},
      {v1::DTYPE_FLOAT32, 4, 1, "4x3x2 FLOAT32"},
      {v1::DTYPE_FLOAT16, 2, 2, "4x3x2 FLOAT16"},
      {v1::DTYPE_BFLOAT16, 2, 3, "4x3x2 BFLOAT16"},
  };
  for (const Case& each : cases) {
    v1::Tensor tensor;
    tensor.set_dtype(each.dtype);
    for (const std::int64_t extent : {4, 3, 2}) tensor.add_shape(extent);
    tensor.set_data(std::string(24 * each.bytes, '\0'));
    const auto input = TensorFromProto(tensor, "keys", kKeysRule, kLimits);
    ASSERT_TRUE(input.ok()) << input.status();
    EXPECT_EQ(input->Description(), each.description);
    const TensorMatrices matrices(*input);
    ASSERT_EQ(matrices.heads().size(), 4u);
    for (const AnyMatrixView& head : matrices.heads()) {
      EXPECT_EQ(head.index(), each.variant);
      EXPECT_EQ(Rows(head), 3);
      EXPECT_EQ(Cols(head), 2);
    }
  }
}

TEST(TensorInputTest, HeadsFollowEachOther) {
  v1::Tensor tensor;
  SetTensor({2, 1, 2}, {1.0, 2.0, 3.0, 4.0}, &tensor);
  const auto input = TensorFromProto(tensor, "keys", kKeysRule, kLimits);
  ASSERT_TRUE(input.ok()) << input.status();
  const TensorMatrices matrices(*input);
  EXPECT_EQ(std::get<MatrixView<double>>(matrices.heads()[1])(0, 0), 3.0);
}

// No product of extents may wrap around into a size that fits.
TEST(TensorInputTest, ProductsThatOverflowAreRefusedWhateverTheirRemainder) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kTwo32 = std::int64_t{1} << 32;
  const std::vector<std::vector<std::int64_t>> shapes = {
      {kMax, 2},             // wraps to -2 numbers
      {kTwo32, kTwo32},      // wraps to 0
      {kTwo32 / 2, kTwo32},  // 2^63: the product alone does not fit
      {kTwo32, kTwo32 / 8},  // 2^61 numbers: only the bytes do not fit
      {kTwo32, kTwo32, 2},   // of three
      {kMax, kMax, kMax},
  };
  for (const auto& shape : shapes) {
    v1::Tensor tensor;
    tensor.set_dtype(v1::DTYPE_FLOAT64);
    tensor.mutable_shape()->Add(shape.begin(), shape.end());
    tensor.set_data(std::string(16, '\0'));
    const auto input = TensorFromProto(tensor, "keys", kKeysRule, kLimits);
    EXPECT_EQ(ReasonOf(input.status()), "SHAPE_OVERFLOW")
        << testing::PrintToString(shape) << input.status();
  }
}

TEST(TensorInputTest, LimitsHoldAtTheirEdge) {
  const Limits small{.columns_max = 4, .heads_max = 3, .values_max = 6};
  const TensorRule rule{.cols_max = small.columns_max};
  v1::Tensor tensor;
  SetPlainTensor({3, 2, 4}, &tensor);
  EXPECT_TRUE(TensorFromProto(tensor, "keys", rule, small).ok());

  SetPlainTensor({4, 2, 4}, &tensor);
  EXPECT_EQ(DetailOf(TensorFromProto(tensor, "k", rule, small).status())->field,
            "k.shape[0]");
  SetPlainTensor({3, 2, 5}, &tensor);
  EXPECT_EQ(DetailOf(TensorFromProto(tensor, "k", rule, small).status())->field,
            "k.shape[2]");

  v1::Tensor values;
  for (const std::int64_t extent : {2, 3}) values.add_shape(extent);
  for (int i = 0; i < 6; ++i) values.add_values(i);
  EXPECT_TRUE(TensorFromProto(values, "keys", rule, small).ok());
  values.set_shape(0, 7);
  values.set_shape(1, 1);
  values.add_values(6.0);
  EXPECT_EQ(ReasonOf(TensorFromProto(values, "keys", rule, small).status()),
            "LIMIT_EXCEEDED");
}

TEST(TensorInputTest, MatrixInputNeedsASource) {
  const auto input =
      TensorFromProto(v1::MatrixInput(), "a", kKeysRule, kLimits);
  EXPECT_EQ(ReasonOf(input.status()), "FIELD_REQUIRED");
  EXPECT_EQ(DetailOf(input.status())->field, "a.dense");
}

}  // namespace
}  // namespace steelyard::server
