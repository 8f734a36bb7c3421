#include "power/pass_kernels.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "linalg/double_double.h"

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "power/pass_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<double>;
using One = hn::CappedTag<double, 1>;

// Rows and columns of a tile: sums of both products stay in registers, and the
// rows in the first-level cache up to 1024 columns.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRowsAlone = 8;
constexpr int kColumns = 4;
#else
constexpr int kRowsAlone = 4;
constexpr int kColumns = 2;
#endif
constexpr int kRows = 4;
// Wider: 8 rows would leave the first-level cache.
constexpr Index kAloneWidth = 512;

template <int kCount>
using Sequence = std::make_index_sequence<kCount>;

// kRows rows of a block that begin at `data`.
struct Rows {
  const double* data;
  Index d;
};

// dots[c kRowCount + i] of columns [0, whole), a multiple of the lanes.
template <int kRowCount, int kColCount>
struct Dots {
  using V = hn::Vec<Full>;
  V sum[kRowCount * kColCount];

  HWY_INLINE void Run(const Rows& a, const double* HWY_RESTRICT z,
                      Index whole) {
    Clear(Sequence<kRowCount * kColCount>());
    const auto lanes = static_cast<Index>(hn::Lanes(Full()));
    for (Index j = 0; j < whole; j += lanes) {
      V row[kRowCount];
      Load(a, j, row, Sequence<kRowCount>());
      Columns(row, z + j, a.d, Sequence<kColCount>());
    }
  }
  // By constant indices: a variable one would keep the sums in memory.
  HWY_INLINE void SumLanes(double* sums) const {
    SumLanes(sums, Sequence<kRowCount * kColCount>());
  }

 private:
  template <std::size_t... I>
  HWY_INLINE void SumLanes(double* sums, std::index_sequence<I...>) const {
    ((sums[I] = hn::GetLane(hn::SumOfLanes(Full(), sum[I]))), ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Clear(std::index_sequence<I...>) {
    ((sum[I] = hn::Zero(Full())), ...);
  }
  template <std::size_t... I>
  static HWY_INLINE void Load(const Rows& a, Index j, V* row,
                              std::index_sequence<I...>) {
    ((row[I] = hn::LoadU(Full(), a.data + static_cast<Index>(I) * a.d + j)),
     ...);
    // The rows that come next.
    (__builtin_prefetch(a.data + (kRowCount + static_cast<Index>(I)) * a.d + j,
                        0, 3),
     ...);
  }
  template <std::size_t... C>
  HWY_INLINE void Columns(const V* row, const double* z, Index d,
                          std::index_sequence<C...>) {
    (Column<static_cast<int>(C)>(
         row, hn::LoadU(Full(), z + static_cast<Index>(C) * d),
         Sequence<kRowCount>()),
     ...);
  }
  template <int kColumn, std::size_t... I>
  HWY_INLINE void Column(const V* row, V z, std::index_sequence<I...>) {
    ((sum[kColumn * kRowCount + static_cast<int>(I)] = hn::MulAdd(
          row[I], z, sum[kColumn * kRowCount + static_cast<int>(I)])),
     ...);
  }
};

// r -= A z of a tile.
template <int kRowCount, int kColCount>
HWY_INLINE void SubtractDots(const Rows& a, const double* z, double* r,
                             Index stride) {
  const Full full;
  const One one;
  const Index whole = a.d - a.d % static_cast<Index>(hn::Lanes(full));
  Dots<kRowCount, kColCount> dots;
  dots.Run(a, z, whole);
  double sums[kRowCount * kColCount];
  dots.SumLanes(sums);
  for (Index c = 0; c < kColCount; ++c) {
    for (Index i = 0; i < kRowCount; ++i) {
      auto sum = hn::Set(one, sums[c * kRowCount + i]);
      for (Index j = whole; j < a.d; ++j) {
        sum = hn::MulAdd(hn::Set(one, a.data[i * a.d + j]),
                         hn::Set(one, z[c * a.d + j]), sum);
      }
      r[c * stride + i] -= hn::GetLane(sum);
    }
  }
}

// s += A'r of a tile, columns [from, to), a multiple of the lanes of D.
template <int kRowCount, int kColCount, class D>
struct TransposedSums {
  using V = hn::Vec<D>;
  V weight[kRowCount * kColCount];

  HWY_INLINE void Run(D d, const Rows& a, Index from, Index to, const double* r,
                      Index stride, double* HWY_RESTRICT s) {
    Set(d, r, stride, Sequence<kRowCount * kColCount>());
    const auto lanes = static_cast<Index>(hn::Lanes(d));
    for (Index j = from; j < to; j += lanes) {
      V row[kRowCount];
      Load(d, a, j, row, Sequence<kRowCount>());
      Columns(d, row, s + j, a.d, Sequence<kColCount>());
    }
  }

 private:
  template <std::size_t... I>
  HWY_INLINE void Set(D d, const double* r, Index stride,
                      std::index_sequence<I...>) {
    ((weight[I] = hn::Set(d, r[static_cast<Index>(I) / kRowCount * stride +
                               static_cast<Index>(I) % kRowCount])),
     ...);
  }
  template <std::size_t... I>
  static HWY_INLINE void Load(D d, const Rows& a, Index j, V* row,
                              std::index_sequence<I...>) {
    ((row[I] = hn::LoadU(d, a.data + static_cast<Index>(I) * a.d + j)), ...);
  }
  template <std::size_t... C>
  HWY_INLINE void Columns(D d, const V* row, double* s, Index length,
                          std::index_sequence<C...>) {
    (Column<static_cast<int>(C)>(d, row, s + static_cast<Index>(C) * length,
                                 Sequence<kRowCount>()),
     ...);
  }
  template <int kColumn, std::size_t... I>
  HWY_INLINE void Column(D d, const V* row, double* s,
                         std::index_sequence<I...>) {
    auto sum = hn::LoadU(d, s);
    ((sum = hn::MulAdd(row[I],
                       weight[kColumn * kRowCount + static_cast<int>(I)], sum)),
     ...);
    hn::StoreU(sum, d, s);
  }
};

template <int kRowCount, int kColCount>
HWY_INLINE void AddTile(const Rows& a, const double* z, double* r, Index stride,
                        double* s) {
  if (z != nullptr) SubtractDots<kRowCount, kColCount>(a, z, r, stride);
  const Full full;
  const Index whole = a.d - a.d % static_cast<Index>(hn::Lanes(full));
  TransposedSums<kRowCount, kColCount, Full>().Run(full, a, 0, whole, r, stride,
                                                   s);
  if (whole < a.d) {
    TransposedSums<kRowCount, kColCount, One>().Run(One(), a, whole, a.d, r,
                                                    stride, s);
  }
}

template <int kRowCount>
HWY_INLINE void AddSomeRows(const Rows& a, const double* z, Index k, double* r,
                            Index stride, double* s) {
  const auto at = [&](Index c) { return z == nullptr ? nullptr : z + c * a.d; };
  Index c = 0;
  if constexpr (kRowCount <= kRows) {
    for (; c + kColumns <= k; c += kColumns) {
      AddTile<kRowCount, kColumns>(a, at(c), r + c * stride, stride,
                                   s + c * a.d);
    }
  }
  for (; c < k; ++c) {
    AddTile<kRowCount, 1>(a, at(c), r + c * stride, stride, s + c * a.d);
  }
}

void AddResidualBlockT(const RowPanel& a, const double* z, Index k, double* r,
                       Index stride, double* s) {
  const auto rows = [&](Index i) { return Rows{a.data + i * a.d, a.d}; };
  Index i = 0;
  if (k == 1 && a.d <= kAloneWidth) {
    for (; i + kRowsAlone <= a.count; i += kRowsAlone) {
      AddSomeRows<kRowsAlone>(rows(i), z, k, r + i, stride, s);
    }
  }
  for (; i + kRows <= a.count; i += kRows) {
    AddSomeRows<kRows>(rows(i), z, k, r + i, stride, s);
  }
  for (; i < a.count; ++i) {
    AddSomeRows<1>(rows(i), z, k, r + i, stride, s);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(AddResidualBlockT);

void AddResidualBlock(const RowPanel& a, const double* z, Index k, double* r,
                      Index stride, double* s) {
  HWY_DYNAMIC_DISPATCH(AddResidualBlockT)(a, z, k, r, stride, s);
}

void AddResidualBlockTwice(const RowPanel& a, const double* z_hi,
                           const double* z_lo, Index k, DoubleDoubleColumns r,
                           Index stride, DoubleDoubleColumns s) {
  // Rows that stay in the first-level cache from the one product to the other.
  constexpr Index kTogether = 4;
  for (Index first = 0; first < a.count; first += kTogether) {
    const Index count = std::min(kTogether, a.count - first);
    const RowPanel rows{a.data + first * a.d, count, a.d};
    for (Index c = 0; c < k; ++c) {
      double* hi = r.hi + c * stride + first;
      double* lo = r.lo + c * stride + first;
      if (z_hi != nullptr) {
        double product_hi[kTogether] = {};
        double product_lo[kTogether] = {};
        DotRows(rows, z_hi + c * a.d, z_lo + c * a.d, product_hi, product_lo);
        for (Index i = 0; i < count; ++i) {
          const DoubleDouble left =
              Subtract({hi[i], lo[i]}, {product_hi[i], product_lo[i]});
          hi[i] = left.hi;
          lo[i] = left.lo;
        }
      }
      AddRows(rows, hi, lo, s.hi + c * a.d, s.lo + c * a.d);
    }
  }
}

}  // namespace steelyard
#endif  // HWY_ONCE
