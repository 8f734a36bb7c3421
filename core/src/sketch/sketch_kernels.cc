#include "sketch/sketch_kernels.h"

#include <algorithm>

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sketch/sketch_kernels.cc"
// The order counts.
#include <hwy/cache_control.h>
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
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Sums of the next rows are on their way while these are added up.
constexpr Index kRowsAhead = 8;
constexpr Index kWidth = kStripColumns<double>;

// Row i of kStrips strips side by side: kStrips kWidth sums stay in registers
// from the first row of the list to the last.
template <Index kStrips>
HWY_INLINE void AddList(const double* HWY_RESTRICT strip, Index pitch,
                        const SignedRow* first, const SignedRow* last,
                        double* HWY_RESTRICT sums) {
  const hn::CappedTag<double, kWidth> d;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(d));
  constexpr Index kVectors = kWidth / kLanes;
  hn::Vec<decltype(d)> sum[kStrips * kVectors];
  for (Index v = 0; v < kStrips * kVectors; ++v) {
    sum[v] = hn::LoadU(d, sums + v * kLanes);
  }
  for (; first != last; ++first) {
    const auto sign = hn::Set(d, SignOf(*first));
    const double* HWY_RESTRICT row = strip + RowOf(*first) * kWidth;
    for (Index s = 0; s < kStrips; ++s) {
      for (Index v = 0; v < kVectors; ++v) {
        auto& to = sum[s * kVectors + v];
        to = hn::MulAdd(sign, hn::Load(d, row + s * pitch + v * kLanes), to);
      }
    }
  }
  for (Index v = 0; v < kStrips * kVectors; ++v) {
    hn::StoreU(sum[v], d, sums + v * kLanes);
  }
}

template <Index kStrips>
void AddLists(const double* strip, Index pitch, const std::uint32_t* offsets,
              const SignedRow* list, Block<double> sums) {
  for (Index i = 0; i < sums.rows; ++i) {
    if (i + kRowsAhead < sums.rows) {
      const double* const ahead = sums.row(i + kRowsAhead);
      hwy::Prefetch(ahead);
      hwy::Prefetch(ahead + sums.cols - 1);
    }
    const SignedRow* const first = list + offsets[i];
    const SignedRow* const last = list + offsets[i + 1];
    if (first == last) continue;
    if (sums.cols == kStrips * kWidth) {
      AddList<kStrips>(strip, pitch, first, last, sums.row(i));
      continue;
    }
    double line[kStrips * kWidth] = {};
    for (Index c = 0; c < sums.cols; ++c) line[c] = sums(i, c);
    AddList<kStrips>(strip, pitch, first, last, line);
    for (Index c = 0; c < sums.cols; ++c) sums(i, c) = line[c];
  }
}

void AddSignedRowsT(StripBlock<const double> strips,
                    const std::uint32_t* offsets, const SignedRow* list,
                    Block<double> sums) {
  Index s = 0;
  for (; s + 2 <= strips.strips; s += 2) {
    const Index cols = std::min(2 * kWidth, sums.cols - s * kWidth);
    AddLists<2>(strips.strip(s), strips.pitch(), offsets, list,
                sums.Part(0, s * kWidth, sums.rows, cols));
  }
  if (s < strips.strips) {
    AddLists<1>(strips.strip(s), strips.pitch(), offsets, list,
                sums.Part(0, s * kWidth, sums.rows, sums.cols - s * kWidth));
  }
}

void PlaceRowsT(const double* HWY_RESTRICT strip, Index rows,
                const SignedRow* targets, double* HWY_RESTRICT out) {
  const hn::CappedTag<double, kWidth> d;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(d));
  for (Index i = 0; i < rows; ++i) {
    const auto sign = hn::Set(d, SignOf(targets[i]));
    double* const to = out + RowOf(targets[i]) * kWidth;
    for (Index c = 0; c < kWidth; c += kLanes) {
      hn::Store(hn::Mul(sign, hn::Load(d, strip + i * kWidth + c)), d, to + c);
    }
  }
}

// One butterfly over kLines lines that lie `step` lines apart.
template <Index kLines>
HWY_INLINE void Butterfly(double* line, Index step) {
  const hn::CappedTag<double, kWidth> d;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(d));
  for (Index c = 0; c < kWidth; c += kLanes) {
    hn::Vec<decltype(d)> x[kLines];
    for (Index k = 0; k < kLines; ++k) {
      x[k] = hn::Load(d, line + k * step * kWidth + c);
    }
    for (Index half = 1; half < kLines; half *= 2) {
      for (Index k = 0; k < kLines; ++k) {
        if ((k & half) != 0) continue;
        const auto sum = hn::Add(x[k], x[k + half]);
        x[k + half] = hn::Sub(x[k], x[k + half]);
        x[k] = sum;
      }
    }
    for (Index k = 0; k < kLines; ++k) {
      hn::Store(x[k], d, line + k * step * kWidth + c);
    }
  }
}

// All butterflies of one size within `rows` lines.
template <Index kLines>
HWY_INLINE void ButterflyPass(double* strip, Index rows, Index step) {
  for (Index base = 0; base < rows; base += kLines * step) {
    for (Index i = base; i < base + step; ++i) {
      Butterfly<kLines>(strip + i * kWidth, step);
    }
  }
}

// Levels of sizes step, 2 step, ..., up to `rows`.
void Levels(double* strip, Index rows, Index step) {
  for (; 8 * step <= rows; step *= 8) ButterflyPass<8>(strip, rows, step);
  if (4 * step <= rows) {
    ButterflyPass<4>(strip, rows, step);
  } else if (2 * step <= rows) {
    ButterflyPass<2>(strip, rows, step);
  }
}

void TransformRowsT(double* strip, Index rows) {
  // 32 KiB: the first levels stay in the first-level cache.
  constexpr Index kNear = 512;
  const Index near = std::min(rows, kNear);
  for (Index first = 0; first < rows; first += near) {
    Levels(strip + first * kWidth, near, 1);
  }
  Levels(strip, rows, near);
}

// The top 53 bits as a number in (0, 1).
template <class D>
HWY_INLINE hn::Vec<D> UniformOf(D d, const std::uint64_t* bits) {
  const hn::RebindToUnsigned<D> whole;
  // 52 bits as the fraction of a number in [1, 2), minus 1, plus half a step.
  const auto fraction = hn::ShiftRight<12>(hn::LoadU(whole, bits));
  const auto one = hn::BitCast(whole, hn::Set(d, 1.0));
  return hn::Sub(hn::BitCast(d, hn::Or(fraction, one)),
                 hn::Set(d, 1.0 - 0x1p-53));
}

template <class D>
HWY_INLINE void NormalPair(D d, const std::uint64_t* radius,
                           const std::uint64_t* angle, double* even,
                           double* odd) {
  const auto log = hn::Log(d, UniformOf(d, radius));
  const auto size = hn::Sqrt(hn::Mul(hn::Set(d, -2.0), log));
  const auto turn = hn::Mul(hn::Set(d, 6.283185307179586), UniformOf(d, angle));
  hn::StoreU(hn::Mul(size, hn::Cos(d, turn)), d, even);
  hn::StoreU(hn::Mul(size, hn::Sin(d, turn)), d, odd);
}

void NormalPairsT(const std::uint64_t* radius, const std::uint64_t* angle,
                  Index count, double* even, double* odd) {
  const hn::ScalableTag<double> wide;
  const hn::CappedTag<double, 1> one;
  const auto lanes = static_cast<Index>(hn::Lanes(wide));
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    NormalPair(wide, radius + i, angle + i, even + i, odd + i);
  }
  for (; i < count; ++i) {
    NormalPair(one, radius + i, angle + i, even + i, odd + i);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(AddSignedRowsT);
HWY_EXPORT(PlaceRowsT);
HWY_EXPORT(TransformRowsT);
HWY_EXPORT(NormalPairsT);

void AddSignedRows(StripBlock<const double> strips,
                   const std::uint32_t* offsets, const SignedRow* list,
                   Block<double> sums) {
  HWY_DYNAMIC_DISPATCH(AddSignedRowsT)(strips, offsets, list, sums);
}

void PlaceRows(const double* strip, Index rows, const SignedRow* targets,
               double* out) {
  HWY_DYNAMIC_DISPATCH(PlaceRowsT)(strip, rows, targets, out);
}

void TransformRows(double* strip, Index rows) {
  HWY_DYNAMIC_DISPATCH(TransformRowsT)(strip, rows);
}

void NormalPairs(const std::uint64_t* radius, const std::uint64_t* angle,
                 Index count, double* even, double* odd) {
  HWY_DYNAMIC_DISPATCH(NormalPairsT)(radius, angle, count, even, odd);
}

}  // namespace steelyard
#endif  // HWY_ONCE
