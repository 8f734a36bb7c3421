#include "client/tensor_files/stored_tensor.h"

#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <Eigen/Core>

namespace steelyard::tensor_files {
namespace {

using ::testing::ElementsAre;

template <class T>
StoredTensor TensorOf(ElementType type, const std::vector<T>& values) {
  auto bytes = std::make_unique<char[]>(values.size() * sizeof(T));
  std::memcpy(bytes.get(), values.data(), values.size() * sizeof(T));
  return StoredTensor(
      {.type = type, .shape = {static_cast<int64_t>(values.size())}},
      std::move(bytes));
}

TEST(StoredTensorTest, EveryTypeBecomesTheSameNumbers) {
  // Exact in all four types.
  const double numbers[] = {0.0, -1.5, 0.0078125, 240.0};
  std::vector<float> single;
  std::vector<Eigen::half> half;
  std::vector<Eigen::bfloat16> brain;
  for (const double number : numbers) {
    single.push_back(static_cast<float>(number));
    half.push_back(static_cast<Eigen::half>(number));
    brain.push_back(static_cast<Eigen::bfloat16>(number));
  }
  const auto expected = ElementsAre(0.0, -1.5, 0.0078125, 240.0);
  EXPECT_THAT(StoredTensor::Of(numbers, {4}).Doubles(), expected);
  EXPECT_THAT(StoredTensor::Of(single, {2, 2}).Doubles(), expected);
  EXPECT_THAT(TensorOf(ElementType::kFloat16, half).Doubles(), expected);
  EXPECT_THAT(TensorOf(ElementType::kBfloat16, brain).Doubles(), expected);
}

TEST(StoredTensorTest, SubnormalHalvesAreExact) {
  const std::vector<uint16_t> bits = {0x0001, 0x83ff};
  EXPECT_THAT(TensorOf(ElementType::kFloat16, bits).Doubles(),
              ElementsAre(0x1p-24, -0x1.ff8p-15));
}

TEST(StoredTensorTest, ReadsFromTheMiddle) {
  const StoredTensor tensor =
      StoredTensor::Of(std::vector<double>{1, 2, 3, 4}, {4});
  double pair[2] = {};
  tensor.ReadDoubles(2, absl::MakeSpan(pair));
  EXPECT_THAT(pair, ElementsAre(3.0, 4.0));
}

TEST(StoredTensorTest, SaysWhatItIs) {
  const StoredTensor tensor =
      StoredTensor::Of(std::vector<float>(6), {1, 2, 3});
  EXPECT_EQ(tensor.info().text(), "float32 [1, 2, 3]");
  EXPECT_EQ(tensor.info().bytes(), 24);
  EXPECT_EQ(NameOf(ElementType::kBfloat16), "bfloat16");
  EXPECT_EQ(NameOf(ElementType::kFloat16), "float16");
  EXPECT_EQ(NameOf(ElementType::kInt64), "int64");
  EXPECT_EQ(BytesOf(ElementType::kInt64), 8);
}

}  // namespace
}  // namespace steelyard::tensor_files
