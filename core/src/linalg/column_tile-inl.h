// A tile of C += A B in the registers of a target, columns of C in the lanes.
// Included once for every target, inside foreach_target sources only.
#if defined(STEELYARD_LINALG_COLUMN_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STEELYARD_LINALG_COLUMN_TILE_INL_H_
#undef STEELYARD_LINALG_COLUMN_TILE_INL_H_
#else
#define STEELYARD_LINALG_COLUMN_TILE_INL_H_
#endif

#include <cstddef>
#include <utility>

#include "hwy/highway.h"
#include "linalg/block.h"
#include "linalg/column_products.h"

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Rows and groups of columns of a tile that the registers of this target hold.
#if HWY_TARGET <= HWY_AVX3
constexpr Index kTileRows = 8;
constexpr Index kTileGroups = 3;
#elif HWY_TARGET <= HWY_AVX2
constexpr Index kTileRows = 4;
constexpr Index kTileGroups = 1;
#else
constexpr Index kTileRows = 2;
constexpr Index kTileGroups = 1;
#endif

using Tag = hn::CappedTag<double, kColumnGroup>;
using Vector = hn::Vec<Tag>;
constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(Tag()));
constexpr int kGroupVectors = static_cast<int>(kColumnGroup / kLanes);

// Where the numbers of A are: row i, column k at data[i * row + k * column].
struct Left {
  const double* data;
  Index row;
  Index column;
};

// kRows rows of C, kVectors vectors wide, in registers.
template <bool kAdd, int kRows, int kVectors>
struct Tile {
  Vector sum[kRows * kVectors];

  template <std::size_t... I>
  HWY_INLINE void Load(const Block<double>& c, std::index_sequence<I...>) {
    ((sum[I] = hn::LoadU(Tag(), Place(c, I))), ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Store(const Block<double>& c,
                        std::index_sequence<I...>) const {
    (hn::StoreU(sum[I], Tag(), Place(c, I)), ...);
  }
  static HWY_INLINE double* Place(const Block<double>& c, std::size_t at) {
    const auto i = static_cast<Index>(at);
    return c.row(i / kVectors) + i % kVectors * kLanes;
  }

  HWY_INLINE void Multiply(Left a, const double* HWY_RESTRICT b, Index b_row,
                           Index depth) {
    Vector right[kVectors];
    for (Index k = 0; k < depth; ++k) {
      for (int v = 0; v < kVectors; ++v) {
        right[v] = hn::LoadU(Tag(), b + v * kLanes);
      }
      Rows(a, right, std::make_index_sequence<kRows>());
      a.data += a.column;
      b += b_row;
    }
  }

 private:
  template <std::size_t... Row>
  HWY_INLINE void Rows(const Left& a, const Vector* right,
                       std::index_sequence<Row...>) {
    (Row1<static_cast<int>(Row)>(
         hn::Set(Tag(), a.data[static_cast<Index>(Row) * a.row]), right,
         std::make_index_sequence<kVectors>()),
     ...);
  }
  template <int kRow, std::size_t... V>
  HWY_INLINE void Row1(Vector left, const Vector* right,
                       std::index_sequence<V...>) {
    ((sum[kRow * kVectors + static_cast<int>(V)] =
          Term(left, right[V], sum[kRow * kVectors + static_cast<int>(V)])),
     ...);
  }
  static HWY_INLINE Vector Term(Vector a, Vector b, Vector c) {
    return kAdd ? hn::MulAdd(a, b, c) : hn::NegMulAdd(a, b, c);
  }
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#endif  // STEELYARD_LINALG_COLUMN_TILE_INL_H_
