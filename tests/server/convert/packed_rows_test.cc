#include "server/convert/packed_rows.h"

#include <cstring>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using testing::ElementsAre;

template <typename T>
std::vector<T> Numbers(const v1::Tensor& tensor, v1::DType dtype) {
  EXPECT_EQ(tensor.dtype(), dtype);
  EXPECT_EQ(tensor.shape_size(), 1);
  std::vector<T> numbers(tensor.data().size() / sizeof(T));
  EXPECT_EQ(tensor.shape(0), static_cast<std::int64_t>(numbers.size()));
  std::memcpy(numbers.data(), tensor.data().data(), tensor.data().size());
  return numbers;
}

std::vector<std::int64_t> Integers(const v1::Tensor& tensor) {
  return Numbers<std::int64_t>(tensor, v1::DTYPE_INT64);
}

std::vector<double> Reals(const v1::Tensor& tensor) {
  return Numbers<double>(tensor, v1::DTYPE_FLOAT64);
}

TEST(PackedRowsTest, RowsStandOneAfterTheOther) {
  const std::vector<HeavyRow> rows = {
      {.indices = {1, 7}, .scores = {0.5, 0.25}, .captured_mass = 0.75},
      {.undefined = true},
      {.indices = {std::int64_t{1} << 40},
       .scores = {1.0},
       .captured_mass = 1.0}};
  v1::PackedRows packed;
  ToProto(rows, &packed);
  EXPECT_THAT(Integers(packed.row_offsets()), ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(Integers(packed.indices()),
              ElementsAre(1, 7, std::int64_t{1} << 40));
  EXPECT_THAT(Reals(packed.scores()), ElementsAre(0.5, 0.25, 1.0));
  EXPECT_THAT(Reals(packed.captured_mass()), ElementsAre(0.75, 0.0, 1.0));
  EXPECT_FALSE(packed.has_scores_upper());
  EXPECT_GE(static_cast<double>(packed.ByteSizeLong()),
            PackedBytes(3, 3, false));
}

TEST(PackedRowsTest, ExactScoresAreTheirOwnUpperEndsBesideIntervals) {
  const std::vector<HeavyRow> rows = {
      {.indices = {1}, .scores = {0.5}},
      {.indices = {2}, .scores = {0.25}, .scores_upper = {0.375}}};
  v1::PackedRows packed;
  ToProto(rows, &packed);
  EXPECT_THAT(Reals(packed.scores()), ElementsAre(0.5, 0.25));
  EXPECT_THAT(Reals(packed.scores_upper()), ElementsAre(0.5, 0.375));
}

TEST(PackedRowsTest, WithoutEntriesThereAreNoEmptyTensors) {
  const std::vector<HeavyRow> rows(2);
  v1::PackedRows packed;
  ToProto(rows, &packed);
  EXPECT_THAT(Integers(packed.row_offsets()), ElementsAre(0, 0, 0));
  EXPECT_THAT(Reals(packed.captured_mass()), ElementsAre(0.0, 0.0));
  EXPECT_FALSE(packed.has_indices());
  EXPECT_FALSE(packed.has_scores());
}

}  // namespace
}  // namespace steelyard::server
