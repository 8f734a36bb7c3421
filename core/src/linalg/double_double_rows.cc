#include "linalg/double_double_rows.h"

#include "linalg/double_double.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linalg/double_double_rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "linalg/double_double-inl.h"

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows that run side by side: enough chains to hide the latency of AddTerm.
constexpr Index kRows = 4;

// Columns [from, to), a multiple of the lanes of D, of `kCount` rows.
template <Index kCount, class D>
HWY_INLINE void DotSpan(D d, const RowPanel& a, Index from, Index to,
                        const double* z_hi, const double* z_lo,
                        DoubleDouble* y) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  using V = hn::Vec<D>;
  V sum[kCount];
  V rest[kCount];
  for (Index i = 0; i < kCount; ++i) sum[i] = rest[i] = hn::Zero(d);
  for (Index j = from; j < to; j += lanes) {
    const V hi = hn::LoadU(d, z_hi + j);
    const V lo = hn::LoadU(d, z_lo + j);
    for (Index i = 0; i < kCount; ++i) {
      const V entry = hn::LoadU(d, a.data + i * a.d + j);
      const V product = hn::Mul(entry, hi);
      AddTerm(product, ProductError(d, entry, hi, lo, product), sum[i],
              rest[i]);
    }
  }
  HWY_ALIGN double sums[HWY_LANES(double)];
  HWY_ALIGN double rests[HWY_LANES(double)];
  for (Index i = 0; i < kCount; ++i) {
    hn::Store(sum[i], d, sums);
    hn::Store(rest[i], d, rests);
    for (Index lane = 0; lane < lanes; ++lane) {
      y[i] = Add(y[i], TwoSum(sums[lane], rests[lane]));
    }
  }
}

template <Index kCount>
HWY_INLINE void DotSome(const RowPanel& a, const double* z_hi,
                        const double* z_lo, double* y_hi, double* y_lo) {
  const hn::ScalableTag<double> full;
  const hn::CappedTag<double, 1> one;
  const Index whole = a.d - a.d % static_cast<Index>(hn::Lanes(full));
  DoubleDouble y[kCount];
  DotSpan<kCount>(full, a, 0, whole, z_hi, z_lo, y);
  DotSpan<kCount>(one, a, whole, a.d, z_hi, z_lo, y);
  for (Index i = 0; i < kCount; ++i) {
    y_hi[i] = y[i].hi;
    y_lo[i] = y[i].lo;
  }
}

void DotRowsKernel(const RowPanel& rows, const double* z_hi, const double* z_lo,
                   double* y_hi, double* y_lo) {
  Index i = 0;
  for (; i + kRows <= rows.count; i += kRows) {
    DotSome<kRows>({rows.data + i * rows.d, kRows, rows.d}, z_hi, z_lo,
                   y_hi + i, y_lo + i);
  }
  for (; i < rows.count; ++i) {
    DotSome<1>({rows.data + i * rows.d, 1, rows.d}, z_hi, z_lo, y_hi + i,
               y_lo + i);
  }
}

template <Index kCount, class D>
HWY_INLINE void AddSpan(D d, const RowPanel& a, Index from, Index to,
                        const double* y_hi, const double* y_lo, double* s_hi,
                        double* s_lo) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  using V = hn::Vec<D>;
  V hi[kCount];
  V lo[kCount];
  for (Index i = 0; i < kCount; ++i) {
    hi[i] = hn::Set(d, y_hi[i]);
    lo[i] = hn::Set(d, y_lo[i]);
  }
  for (Index j = from; j < to; j += lanes) {
    V sum = hn::LoadU(d, s_hi + j);
    V rest = hn::LoadU(d, s_lo + j);
    for (Index i = 0; i < kCount; ++i) {
      const V entry = hn::LoadU(d, a.data + i * a.d + j);
      const V product = hn::Mul(entry, hi[i]);
      AddTerm(product, ProductError(d, entry, hi[i], lo[i], product), sum,
              rest);
    }
    hn::StoreU(sum, d, s_hi + j);
    hn::StoreU(rest, d, s_lo + j);
  }
}

template <Index kCount>
HWY_INLINE void AddSome(const RowPanel& a, const double* y_hi,
                        const double* y_lo, double* s_hi, double* s_lo) {
  const hn::ScalableTag<double> full;
  const hn::CappedTag<double, 1> one;
  const Index whole = a.d - a.d % static_cast<Index>(hn::Lanes(full));
  AddSpan<kCount>(full, a, 0, whole, y_hi, y_lo, s_hi, s_lo);
  AddSpan<kCount>(one, a, whole, a.d, y_hi, y_lo, s_hi, s_lo);
}

void AddRowsKernel(const RowPanel& rows, const double* y_hi, const double* y_lo,
                   double* s_hi, double* s_lo) {
  Index i = 0;
  for (; i + kRows <= rows.count; i += kRows) {
    AddSome<kRows>({rows.data + i * rows.d, kRows, rows.d}, y_hi + i, y_lo + i,
                   s_hi, s_lo);
  }
  for (; i < rows.count; ++i) {
    AddSome<1>({rows.data + i * rows.d, 1, rows.d}, y_hi + i, y_lo + i, s_hi,
               s_lo);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(DotRowsKernel);
HWY_EXPORT(AddRowsKernel);

void DotRows(const RowPanel& rows, const double* z_hi, const double* z_lo,
             double* y_hi, double* y_lo) {
  HWY_DYNAMIC_DISPATCH(DotRowsKernel)(rows, z_hi, z_lo, y_hi, y_lo);
}

void AddRows(const RowPanel& rows, const double* y_hi, const double* y_lo,
             double* s_hi, double* s_lo) {
  HWY_DYNAMIC_DISPATCH(AddRowsKernel)(rows, y_hi, y_lo, s_hi, s_lo);
}

}  // namespace steelyard
#endif  // HWY_ONCE
