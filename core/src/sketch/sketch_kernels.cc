#include "sketch/sketch_kernels.h"

#include <algorithm>

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sketch/sketch_kernels.cc"
// clang-format off: the order counts
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
// clang-format on

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

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(AddSignedRowsT);

void AddSignedRows(StripBlock<const double> strips,
                   const std::uint32_t* offsets, const SignedRow* list,
                   Block<double> sums) {
  HWY_DYNAMIC_DISPATCH(AddSignedRowsT)(strips, offsets, list, sums);
}

}  // namespace steelyard
#endif  // HWY_ONCE
