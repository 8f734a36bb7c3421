#include "linalg/double_double_rows.h"

#include <cstddef>
#include <utility>

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

template <Index kCount>
using Sequence = std::make_index_sequence<static_cast<std::size_t>(kCount)>;

// sum + rest of kCount rows, in registers: loops over arrays of vectors would
// not be unrolled.
template <Index kCount, class D>
struct Dots {
  using V = hn::Vec<D>;
  V sum[kCount];
  V rest[kCount];

  HWY_INLINE void Run(D d, const RowPanel& a, Index from, Index to,
                      const double* z_hi, const double* z_lo) {
    Clear(d, Sequence<kCount>());
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    for (Index j = from; j < to; j += lanes) {
      Add(d, a, j, hn::LoadU(d, z_hi + j), hn::LoadU(d, z_lo + j),
          Sequence<kCount>());
    }
  }
  // Row i to sums + i lanes, and rests. By constant indices: a variable one
  // would keep the sums in memory.
  HWY_INLINE void Save(D d, double* sums, double* rests) const {
    Save(d, sums, rests, Sequence<kCount>());
  }

 private:
  template <std::size_t... I>
  HWY_INLINE void Save(D d, double* sums, double* rests,
                       std::index_sequence<I...>) const {
    const std::size_t lanes = hn::Lanes(d);
    ((hn::StoreU(sum[I], d, sums + I * lanes),
      hn::StoreU(rest[I], d, rests + I * lanes)),
     ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Clear(D d, std::index_sequence<I...>) {
    ((sum[I] = rest[I] = hn::Zero(d)), ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Add(D d, const RowPanel& a, Index j, V hi, V lo,
                      std::index_sequence<I...>) {
    (AddRow<static_cast<Index>(I)>(
         d, hn::LoadU(d, a.data + static_cast<Index>(I) * a.d + j), hi, lo),
     ...);
  }
  template <Index kRow>
  HWY_INLINE void AddRow(D d, V entry, V hi, V lo) {
    const V product = hn::Mul(entry, hi);
    AddTerm(product, ProductError(d, entry, hi, lo, product), sum[kRow],
            rest[kRow]);
  }
};

// Columns [from, to), a multiple of the lanes of D, of `kCount` rows.
template <Index kCount, class D>
HWY_INLINE void DotSpan(D d, const RowPanel& a, Index from, Index to,
                        const double* z_hi, const double* z_lo,
                        DoubleDouble* y) {
  Dots<kCount, D> dots;
  dots.Run(d, a, from, to, z_hi, z_lo);
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  double all_sums[kCount * HWY_LANES(double)];
  double all_rests[kCount * HWY_LANES(double)];
  dots.Save(d, all_sums, all_rests);
  for (Index i = 0; i < kCount; ++i) {
    double* sums = all_sums + i * lanes;
    double* rests = all_rests + i * lanes;
    // Lane onto lane, halves first: independent additions.
    for (Index half = lanes / 2; half > 0; half /= 2) {
      for (Index lane = 0; lane < half; ++lane) {
        const DoubleDouble sum = TwoSum(sums[lane], sums[lane + half]);
        sums[lane] = sum.hi;
        rests[lane] += rests[lane + half] + sum.lo;
      }
    }
    y[i] = Add(y[i], TwoSum(sums[0], rests[0]));
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

// The weights y of kCount rows, in registers.
template <Index kCount, class D>
struct Weights {
  using V = hn::Vec<D>;
  V hi[kCount];
  V lo[kCount];

  HWY_INLINE void Set(D d, const double* y_hi, const double* y_lo) {
    Set(d, y_hi, y_lo, Sequence<kCount>());
  }
  HWY_INLINE void AddTo(D d, const RowPanel& a, Index j, V& sum, V& rest) {
    AddTo(d, a, j, sum, rest, Sequence<kCount>());
  }

 private:
  template <std::size_t... I>
  HWY_INLINE void Set(D d, const double* y_hi, const double* y_lo,
                      std::index_sequence<I...>) {
    ((hi[I] = hn::Set(d, y_hi[I]), lo[I] = hn::Set(d, y_lo[I])), ...);
  }
  template <std::size_t... I>
  HWY_INLINE void AddTo(D d, const RowPanel& a, Index j, V& sum, V& rest,
                        std::index_sequence<I...>) {
    (AddRow<static_cast<Index>(I)>(
         d, hn::LoadU(d, a.data + static_cast<Index>(I) * a.d + j), sum, rest),
     ...);
  }
  template <Index kRow>
  HWY_INLINE void AddRow(D d, V entry, V& sum, V& rest) {
    const V product = hn::Mul(entry, hi[kRow]);
    AddTerm(product, ProductError(d, entry, hi[kRow], lo[kRow], product), sum,
            rest);
  }
};

template <Index kCount, class D>
HWY_INLINE void AddSpan(D d, const RowPanel& a, Index from, Index to,
                        const double* y_hi, const double* y_lo, double* s_hi,
                        double* s_lo) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  Weights<kCount, D> weights;
  weights.Set(d, y_hi, y_lo);
  for (Index j = from; j < to; j += lanes) {
    auto sum = hn::LoadU(d, s_hi + j);
    auto rest = hn::LoadU(d, s_lo + j);
    weights.AddTo(d, a, j, sum, rest);
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
