#include "server/storage/matrix_layout.h"

#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

TEST(MatrixLayoutTest, DenseHasNoPadding) {
  MatrixLayout layout{.type = StorageType::kFloat64, .rows = 3, .cols = 5};
  EXPECT_EQ(layout.size(), 3 * 5 * 8);
  EXPECT_EQ(layout.values_at(), 0);
  layout.type = StorageType::kFloat32;
  EXPECT_EQ(layout.size(), 3 * 5 * 4);
  layout.type = StorageType::kBFloat16;
  layout.extents = 3;
  layout.heads = 7;
  EXPECT_EQ(layout.size(), 7 * 3 * 5 * 2);
  layout.type = StorageType::kFloat16;
  EXPECT_EQ(layout.size(), 7 * 3 * 5 * 2);
}

// Extents that do not fit 32 bits.
TEST(MatrixLayoutTest, SizesAreOf64Bits) {
  const MatrixLayout layout{.rows = Index{1} << 33, .cols = 4};
  EXPECT_EQ(layout.size(), std::int64_t{1} << 38);
}

TEST(MatrixLayoutTest, PartsOfASparseMatrixBeginAtMultiplesOf64) {
  for (Index rows = 1; rows < 40; ++rows) {
    for (Index nonzeros = 0; nonzeros < 70; ++nonzeros) {
      for (const auto& [type, bytes] :
           {std::pair<StorageType, Index>{StorageType::kFloat64, 8},
            {StorageType::kFloat32, 4},
            {StorageType::kFloat16, 2}}) {
        const MatrixLayout layout{.type = type,
                                  .sparse = true,
                                  .rows = rows,
                                  .cols = 9,
                                  .nonzeros = nonzeros};
        EXPECT_EQ(layout.row_offsets_at(), 0);
        const Index gap = layout.column_indices_at() - 8 * (rows + 1);
        const Index next_gap =
            layout.values_at() - layout.column_indices_at() - 4 * nonzeros;
        const Index last_gap =
            layout.size() - layout.values_at() - bytes * nonzeros;
        for (const Index each : {gap, next_gap, last_gap}) {
          EXPECT_GE(each, 0);
          EXPECT_LT(each, 64);
        }
        EXPECT_EQ(layout.column_indices_at() % 64, 0);
        EXPECT_EQ(layout.values_at() % 64, 0);
        EXPECT_EQ(layout.size() % 64, 0);
      }
    }
  }
}

}  // namespace
}  // namespace steelyard::server
