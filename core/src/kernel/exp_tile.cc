#include "kernel/exp_tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/exp_tile.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include <hwy/contrib/math/math-inl.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Entries [j, j + lanes) of one row.
template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void ExpStep(D d, T* row, const T* col_offset, hn::Vec<D> offset,
                        std::int64_t j) {
  const auto logit = hn::Add(hn::LoadU(d, row + j),
                             hn::Add(offset, hn::LoadU(d, col_offset + j)));
  hn::StoreU(hn::Exp(d, hn::Min(logit, hn::Zero(d))), d, row + j);
}

template <typename T>
HWY_INLINE void ExpRow(T* HWY_RESTRICT row, const T* HWY_RESTRICT col_offset,
                       T row_offset, std::int64_t cols) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> d1;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto offset = hn::Set(d, row_offset);
  std::int64_t j = 0;
  for (; j + lanes <= cols; j += lanes) ExpStep(d, row, col_offset, offset, j);
  for (; j < cols; ++j) {
    ExpStep(d1, row, col_offset, hn::Set(d1, row_offset), j);
  }
}

template <typename T>
HWY_INLINE void ExpTileRow(const ExpTile<T>& tile, std::int64_t i) {
  T* row = tile.logits + i * tile.stride;
  ExpRow(row, tile.col_offset, tile.row_offset[i], tile.cols);
  if (tile.unit_diagonal) row[tile.diagonal_col + i] = T{1};
}

// sum_j row_j right_j, four sums side by side.
template <typename T>
HWY_INLINE T Dot(const T* HWY_RESTRICT row, const T* HWY_RESTRICT right,
                 std::int64_t cols) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  std::int64_t j = 0;
  for (; j + 4 * lanes <= cols; j += 4 * lanes) {
    const T* r = row + j;
    const T* v = right + j;
    sum0 = hn::MulAdd(hn::LoadU(d, r), hn::LoadU(d, v), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, r + lanes), hn::LoadU(d, v + lanes), sum1);
    sum2 = hn::MulAdd(hn::LoadU(d, r + 2 * lanes), hn::LoadU(d, v + 2 * lanes),
                      sum2);
    sum3 = hn::MulAdd(hn::LoadU(d, r + 3 * lanes), hn::LoadU(d, v + 3 * lanes),
                      sum3);
  }
  for (; j + lanes <= cols; j += lanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, row + j), hn::LoadU(d, right + j), sum0);
  }
  const auto sum = hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3));
  T total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; j < cols; ++j) total += row[j] * right[j];
  return total;
}

// sums_j += row_j * factor.
template <typename T>
HWY_INLINE void Axpy(const T* HWY_RESTRICT row, T factor, T* HWY_RESTRICT sums,
                     std::int64_t cols) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto f = hn::Set(d, factor);
  std::int64_t j = 0;
  for (; j + lanes <= cols; j += lanes) {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, row + j), f, hn::LoadU(d, sums + j)), d,
               sums + j);
  }
  for (; j < cols; ++j) sums[j] += row[j] * factor;
}

template <typename T>
HWY_INLINE void MultiplyTile(const ExpTile<T>& tile,
                             const TileProduct<T>& product) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    ExpTileRow(tile, i);
    const T* row = tile.logits + i * tile.stride;
    for (std::int64_t c = 0; c < product.vectors; ++c) {
      product.row_sums[c * product.row_stride + i] +=
          Dot(row, product.right + c * product.right_stride, tile.cols);
      if (product.left == nullptr) continue;
      Axpy(row, product.left[c * product.left_stride + i],
           product.col_sums + c * product.col_stride, tile.cols);
    }
  }
}

void MultiplyF64(const ExpTile<double>& tile,
                 const TileProduct<double>& product) {
  MultiplyTile(tile, product);
}

void MultiplyF32(const ExpTile<float>& tile,
                 const TileProduct<float>& product) {
  MultiplyTile(tile, product);
}

void ExponentiateF64(const ExpTile<double>& tile) {
  for (std::int64_t i = 0; i < tile.rows; ++i) ExpTileRow(tile, i);
}

void ExponentiateF32(const ExpTile<float>& tile) {
  for (std::int64_t i = 0; i < tile.rows; ++i) ExpTileRow(tile, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(MultiplyF64);
HWY_EXPORT(MultiplyF32);
HWY_EXPORT(ExponentiateF64);
HWY_EXPORT(ExponentiateF32);

void ExponentiateTile(const ExpTile<double>& tile) {
  HWY_DYNAMIC_DISPATCH(ExponentiateF64)(tile);
}

void ExponentiateTile(const ExpTile<float>& tile) {
  HWY_DYNAMIC_DISPATCH(ExponentiateF32)(tile);
}

void MultiplyExpTile(const ExpTile<double>& tile,
                     const TileProduct<double>& product) {
  HWY_DYNAMIC_DISPATCH(MultiplyF64)(tile, product);
}

void MultiplyExpTile(const ExpTile<float>& tile,
                     const TileProduct<float>& product) {
  HWY_DYNAMIC_DISPATCH(MultiplyF32)(tile, product);
}

}  // namespace steelyard
#endif  // HWY_ONCE
