// One tile of logits, turned into kernel entries in registers and multiplied
// while the row is in the first cache.
//
//     E_ij = exp(min(0, logits_ij + row_offset_i + col_offset_j))
//
// METHOD  Google Highway, target chosen at run time. This source and its header
//   know neither BLAS nor Eigen: they are compiled once per target.
//
// SOURCE  Exp of hwy/contrib/math: 1 ulp to the smallest subnormal, 0 below.
#pragma once

#include <cstdint>

namespace steelyard {

// Columns of vectors are contiguous: entry j of vector c is v[c * stride + j].
template <typename T>
struct ExpTile {
  T* logits = nullptr;  // rows x cols, rows `stride` apart; becomes E
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  const T* row_offset = nullptr;
  const T* col_offset = nullptr;
  // The tile meets the diagonal of a matrix whose diagonal is exactly 1: entry
  // (i, diagonal_col + i) of the tile.
  bool unit_diagonal = false;
  std::int64_t diagonal_col = 0;
};

// What one tile is multiplied with. Accumulators are added to.
template <typename T>
struct TileProduct {
  std::int64_t vectors = 0;
  // row_sums[c][i] += sum_j E_ij right[c][j]
  const T* right = nullptr;
  std::int64_t right_stride = 0;
  T* row_sums = nullptr;
  std::int64_t row_stride = 0;
  // col_sums[c][j] += sum_i E_ij left[c][i]; left null: not wanted.
  const T* left = nullptr;
  std::int64_t left_stride = 0;
  T* col_sums = nullptr;
  std::int64_t col_stride = 0;
};

// The tile only. COST rows * cols exponentials.
void ExponentiateTile(const ExpTile<double>& tile);
void ExponentiateTile(const ExpTile<float>& tile);

// The tile, and its product with vectors on one or both sides.
void MultiplyExpTile(const ExpTile<double>& tile,
                     const TileProduct<double>& product);
void MultiplyExpTile(const ExpTile<float>& tile,
                     const TileProduct<float>& product);

}  // namespace steelyard
