#include "client/verify/rows.h"

#include <gtest/gtest.h>

#include <vector>

namespace steelyard::verify {
namespace {

TEST(RowsTest, HeadsAreConsecutiveMatrices) {
  std::vector<float> numbers;
  for (int i = 0; i < 24; ++i) numbers.push_back(static_cast<float>(i));
  const auto tensor = tensor_files::StoredTensor::Of(numbers, {2, 4, 3});
  const std::vector<Rows> heads = HeadsOf(tensor);
  ASSERT_EQ(heads.size(), 2u);
  EXPECT_EQ(heads[1].rows(), 4);
  EXPECT_EQ(heads[1].columns(), 3);
  EXPECT_EQ(heads[1].All()(0, 0), 12.0);
  const RowMatrix block = heads[1].Block(2, 2);
  EXPECT_EQ(block.rows(), 2);
  EXPECT_EQ(block(0, 0), 18.0);
  EXPECT_EQ(block(1, 2), 23.0);
}

TEST(RowsTest, AMatrixIsOneHead) {
  const auto tensor =
      tensor_files::StoredTensor::Of(std::vector<double>{1, 2}, {1, 2});
  ASSERT_EQ(HeadsOf(tensor).size(), 1u);
  EXPECT_EQ(HeadsOf(tensor)[0].All()(0, 1), 2.0);
}

TEST(RowsTest, ASparseMatrixIsWrittenOut) {
  tensor_files::StoredCsr csr{.rows = 3,
                              .columns = 2,
                              .row_offsets = {0, 1, 1, 3},
                              .column_indices = {1, 0, 1},
                              .type = tensor_files::ElementType::kFloat32,
                              .values = {}};
  const std::vector<float> values = {1.5F, -2.0F, 3.0F};
  csr.values.assign(reinterpret_cast<const char*>(values.data()), 12);
  RowMatrix expected(3, 2);
  expected << 0, 1.5, 0, 0, -2, 3;
  EXPECT_EQ(WrittenOut(csr), expected);
}

}  // namespace
}  // namespace steelyard::verify
