#include "softmax/page_kernel.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "softmax/page_kernel.cc"
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

// At most 8 lanes, so that two vectors fit into a page on every target.
using Lanes8 = hn::CappedTag<double, 8>;

HWY_INLINE hn::Vec<Lanes8> LoadKeys(Lanes8 d, const double* in) {
  return hn::LoadU(d, in);
}

HWY_INLINE hn::Vec<Lanes8> LoadKeys(Lanes8 d, const float* in) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, Lanes8>(), in));
}

// Four queries against two vectors of keys: eight sums in registers.
template <typename T>
HWY_INLINE void FourQueries(const double* const* queries, const T* page,
                            Index d, double* logits) {
  const Lanes8 tag;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  const double* HWY_RESTRICT q0 = queries[0];
  const double* HWY_RESTRICT q1 = queries[1];
  const double* HWY_RESTRICT q2 = queries[2];
  const double* HWY_RESTRICT q3 = queries[3];
  for (Index l = 0; l < kPageKeys; l += 2 * lanes) {
    auto a0 = hn::Zero(tag), a1 = a0, a2 = a0, a3 = a0;
    auto b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    const T* HWY_RESTRICT keys = page + l;
    for (Index c = 0; c < d; ++c, keys += kPageKeys) {
      const auto ka = LoadKeys(tag, keys);
      const auto kb = LoadKeys(tag, keys + lanes);
      const auto x0 = hn::Set(tag, q0[c]);
      const auto x1 = hn::Set(tag, q1[c]);
      const auto x2 = hn::Set(tag, q2[c]);
      const auto x3 = hn::Set(tag, q3[c]);
      a0 = hn::MulAdd(x0, ka, a0);
      b0 = hn::MulAdd(x0, kb, b0);
      a1 = hn::MulAdd(x1, ka, a1);
      b1 = hn::MulAdd(x1, kb, b1);
      a2 = hn::MulAdd(x2, ka, a2);
      b2 = hn::MulAdd(x2, kb, b2);
      a3 = hn::MulAdd(x3, ka, a3);
      b3 = hn::MulAdd(x3, kb, b3);
    }
    hn::StoreU(a0, tag, logits + l);
    hn::StoreU(b0, tag, logits + l + lanes);
    hn::StoreU(a1, tag, logits + kPageKeys + l);
    hn::StoreU(b1, tag, logits + kPageKeys + l + lanes);
    hn::StoreU(a2, tag, logits + 2 * kPageKeys + l);
    hn::StoreU(b2, tag, logits + 2 * kPageKeys + l + lanes);
    hn::StoreU(a3, tag, logits + 3 * kPageKeys + l);
    hn::StoreU(b3, tag, logits + 3 * kPageKeys + l + lanes);
  }
}

// One query against a page, two or four vectors of keys at a time: chains long
// enough to hide the latency of a fused product.
template <typename T>
HWY_INLINE void OneQuery(const double* HWY_RESTRICT q, const T* page, Index d,
                         double* logits) {
  const Lanes8 tag;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  const Index step = 4 * lanes <= kPageKeys ? 4 * lanes : 2 * lanes;
  for (Index l = 0; l < kPageKeys; l += step) {
    auto s0 = hn::Zero(tag), s1 = s0, s2 = s0, s3 = s0;
    const T* HWY_RESTRICT keys = page + l;
    for (Index c = 0; c < d; ++c, keys += kPageKeys) {
      const auto x = hn::Set(tag, q[c]);
      s0 = hn::MulAdd(x, LoadKeys(tag, keys), s0);
      s1 = hn::MulAdd(x, LoadKeys(tag, keys + lanes), s1);
      s2 = hn::MulAdd(x, LoadKeys(tag, keys + 2 * lanes), s2);
      s3 = hn::MulAdd(x, LoadKeys(tag, keys + 3 * lanes), s3);
    }
    hn::StoreU(s0, tag, logits + l);
    hn::StoreU(s1, tag, logits + l + lanes);
    hn::StoreU(s2, tag, logits + l + 2 * lanes);
    hn::StoreU(s3, tag, logits + l + 3 * lanes);
  }
}

template <typename T>
HWY_INLINE void Logits(const double* const* queries, Index count, const T* page,
                       Index d, double* logits) {
  Index i = 0;
  for (; i + 4 <= count; i += 4) {
    FourQueries(queries + i, page, d, logits + i * kPageKeys);
  }
  for (; i < count; ++i) {
    OneQuery(queries[i], page, d, logits + i * kPageKeys);
  }
}

void LogitsF32(const double* const* queries, Index count, const float* page,
               Index d, double* logits) {
  Logits(queries, count, page, d, logits);
}

void LogitsF64(const double* const* queries, Index count, const double* page,
               Index d, double* logits) {
  Logits(queries, count, page, d, logits);
}

double Largest(const double* x, Index count) {
  const hn::ScalableTag<double> tag;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  double largest = -std::numeric_limits<double>::infinity();
  Index i = 0;
  if (count >= lanes) {
    auto most = hn::LoadU(tag, x);
    for (i = lanes; i + lanes <= count; i += lanes) {
      most = hn::Max(most, hn::LoadU(tag, x + i));
    }
    largest = hn::GetLane(hn::MaxOfLanes(tag, most));
  }
  for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

std::uint32_t ReachMask(const double* x, double least) {
  const Lanes8 tag;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  const auto bound = hn::Set(tag, least);
  std::uint32_t mask = 0;
  for (Index l = 0; l < kPageKeys; l += lanes) {
    std::uint8_t bits[8] = {};
    hn::StoreMaskBits(tag, hn::Ge(hn::LoadU(tag, x + l), bound), bits);
    mask |= static_cast<std::uint32_t>(bits[0]) << l;
  }
  return mask;
}

template <class D>
HWY_INLINE hn::Vec<D> MassOfPages(D tag, const PageMasses& m, Index p) {
  const auto exp = [&](hn::Vec<D> x) {
    return hn::Exp(tag, hn::Min(x, hn::Set(tag, 600.0)));
  };
  const auto box =
      exp(hn::Add(hn::LoadU(tag, m.upper + p), hn::Set(tag, m.upper_shift)));
  const auto log_mass = hn::LoadU(tag, m.log_mass + p);
  const auto t = hn::Add(log_mass, hn::Set(tag, m.mass_shift));
  const auto reach = hn::Mul(hn::LoadU(tag, m.radii + p), hn::Set(tag, m.norm));
  const auto b = hn::LoadU(tag, m.spreads + p);
  const auto rest = hn::Max(
      hn::Zero(tag), hn::Sub(hn::Sub(hn::Set(tag, 1.0), b), hn::Mul(b, reach)));
  const auto ball =
      hn::MulAdd(exp(t), rest, hn::Mul(b, exp(hn::Add(t, reach))));
  const auto whole = hn::Gt(log_mass, hn::Set(tag, -1e300));
  return hn::IfThenElse(whole, hn::Min(box, ball), box);
}

double MassSum(const PageMasses& masses) {
  const hn::ScalableTag<double> tag;
  const hn::CappedTag<double, 1> one;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  auto sum = hn::Zero(tag);
  Index p = 0;
  for (; p + lanes <= masses.pages; p += lanes) {
    sum = hn::Add(sum, MassOfPages(tag, masses, p));
  }
  double total = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; p < masses.pages; ++p) {
    total += hn::GetLane(MassOfPages(one, masses, p));
  }
  return total;
}

double SumExp(const double* x, Index count, double shift) {
  const hn::ScalableTag<double> tag;
  const hn::CappedTag<double, 1> one;
  const auto lanes = static_cast<Index>(hn::Lanes(tag));
  const auto offset = hn::Set(tag, shift);
  auto sum = hn::Zero(tag);
  Index i = 0;
  for (; i + lanes <= count; i += lanes) {
    sum = hn::Add(sum, hn::Exp(tag, hn::Sub(hn::LoadU(tag, x + i), offset)));
  }
  double total = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; i < count; ++i) {
    total += hn::GetLane(hn::Exp(one, hn::Set(one, x[i] - shift)));
  }
  return total;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(LogitsF32);
HWY_EXPORT(LogitsF64);
HWY_EXPORT(Largest);
HWY_EXPORT(SumExp);
HWY_EXPORT(ReachMask);
HWY_EXPORT(MassSum);

void PageLogits(const double* const* queries, Index count, const float* page,
                Index d, double* logits) {
  HWY_DYNAMIC_DISPATCH(LogitsF32)(queries, count, page, d, logits);
}

void PageLogits(const double* const* queries, Index count, const double* page,
                Index d, double* logits) {
  HWY_DYNAMIC_DISPATCH(LogitsF64)(queries, count, page, d, logits);
}

double LargestOf(const double* x, Index count) {
  return HWY_DYNAMIC_DISPATCH(Largest)(x, count);
}

std::uint32_t AtLeast(const double* x, double least) {
  return HWY_DYNAMIC_DISPATCH(ReachMask)(x, least);
}

double SumOfPageMasses(const PageMasses& masses) {
  return HWY_DYNAMIC_DISPATCH(MassSum)(masses);
}

double SumOfExponentials(const double* x, Index count, double shift) {
  return HWY_DYNAMIC_DISPATCH(SumExp)(x, count, shift);
}

}  // namespace steelyard
#endif  // HWY_ONCE
