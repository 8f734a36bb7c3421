// A tile of kernel entries that is made, turned into exponentials and
// multiplied without leaving the registers:
//
//     E_ij = 2^min(0, scale a_i.a_j + offset_i + offset_j)
//
// METHOD  Rows are packed once, in strips of three cache lines of rows: strip s
//   holds coordinate 0 of its rows, then coordinate 1, and so on, so that both
//   operands are read in order and no size is odd; rows that are not there have
//   an offset of kNoRow, their entries are 0. A few rows against two or three
//   vectors of columns stay in registers from the first product to the last
//   sum; more than kFusedDepth coordinates in several rounds through memory.
//   Google Highway, target chosen at run time.
//
//   2^t: the fractional part exactly, a polynomial of degree 6 (float32) or 11
//   (float64) for it that is 1 at 0, the integer part into the exponent. Error
//   at most 2 ulp (1.5 where products and sums are fused); results below the
//   least normal number are subnormal or 0.
//
// SCALARS  double, float. Entries have the same bits wherever they stand, E_ij
//   and E_ji too; sums are taken in an order that the processor type decides.
#pragma once

#include <cstdint>

namespace steelyard {

// Rows of a strip. Tiles begin and end with strips.
template <typename T>
inline constexpr std::int64_t kFusedStrip =
    static_cast<std::int64_t>(192 / sizeof(T));

// Vectors of one product, at most.
inline constexpr std::int64_t kFusedVectorsMax = 16;
// Coordinates of one round.
inline constexpr std::int64_t kFusedDepth = 256;
// The offset of rows that are not there.
inline constexpr double kNoRow = -1e30;

template <typename T>
struct FusedTile {
  // Strips of d kFusedStrip numbers, one after the other.
  const T* rows = nullptr;
  const T* cols = nullptr;
  std::int64_t row_strips = 0;
  std::int64_t col_strips = 0;
  std::int64_t d = 0;
  T scale = T{1};
  const T* row_offset = nullptr;
  const T* col_offset = nullptr;
  // Rows and columns are the same, and E_ii is exactly 1.
  bool unit_diagonal = false;
  T diagonal = T{1};  // what stands there; 0: for the caller to add
  // d > kFusedDepth: room for an entry of T each, 64-byte aligned.
  T* partial = nullptr;
  // Room for the entries, 64-byte aligned, where they are to be kept in the
  // order of the steps; `made`: they stand there, and rows and columns are not
  // looked at.
  T* kept = nullptr;
  bool made = false;
};

// What a tile is multiplied with; as many rows and columns as its strips have.
// Sums are added to.
template <typename T>
struct FusedProduct {
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

// COST 2 d + 4 vectors flops an entry and an exponential; those of the vectors
//      alone where entries are kept.
void MultiplyFusedTile(const FusedTile<double>& tile,
                       const FusedProduct<double>& product);
void MultiplyFusedTile(const FusedTile<float>& tile,
                       const FusedProduct<float>& product);

// The entries themselves; rows of `out` are `stride` apart.
void FillFusedTile(const FusedTile<double>& tile, double* out,
                   std::int64_t stride);
void FillFusedTile(const FusedTile<float>& tile, float* out,
                   std::int64_t stride);

// One strip: row r of `rows` (row-major, `stride` apart) becomes number
// k kFusedStrip + r for every coordinate k < d; rows from `count` on are 0.
void PackFusedStrip(const double* rows, std::int64_t stride, std::int64_t count,
                    std::int64_t d, double* strip);
void PackFusedStrip(const double* rows, std::int64_t stride, std::int64_t count,
                    std::int64_t d, float* strip);

// out_i := 2^t_i as the tiles take it, t_i <= 0.
void FusedExp2(const double* t, std::int64_t count, double* out);
void FusedExp2(const float* t, std::int64_t count, float* out);

}  // namespace steelyard
