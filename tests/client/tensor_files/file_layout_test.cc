#include "client/tensor_files/file_layout.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace steelyard::tensor_files {
namespace {

TEST(FileLayoutTest, BytesAreCountedWithoutOverflow) {
  EXPECT_EQ(CheckedBytes({2, 3}, 16), 12);
  EXPECT_EQ(CheckedBytes({}, 64), 8);
  EXPECT_EQ(CheckedBytes({3}, 4), std::nullopt);  // A byte and a half.
  EXPECT_EQ(CheckedBytes({int64_t{1} << 62, 4}, 8), std::nullopt);
  EXPECT_EQ(CheckedBytes({int64_t{1} << 62, 0, 4}, 8), std::nullopt);
  EXPECT_EQ(CheckedBytes({5, 0}, 64), 0);
}

}  // namespace
}  // namespace steelyard::tensor_files
