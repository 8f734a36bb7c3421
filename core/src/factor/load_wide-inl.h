// Vectors of float64 from each storage type. Included once for every
// target, inside foreach_target sources only.
#if defined(STEELYARD_FACTOR_LOAD_WIDE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STEELYARD_FACTOR_LOAD_WIDE_INL_H_
#undef STEELYARD_FACTOR_LOAD_WIDE_INL_H_
#else
#define STEELYARD_FACTOR_LOAD_WIDE_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "steelyard/matrix_view.h"

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// As many float64 as `d` has lanes, from each storage type.
template <class D>
hn::Vec<D> LoadWide(D d, const double* in) {
  return hn::LoadU(d, in);
}

template <class D>
hn::Vec<D> LoadWide(D d, const float* in) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), in));
}

// Highway's own promotion makes infinities and NaNs finite where the processor
// has no instruction for it (SSE4), so by hand: the exponent is moved from bias
// 15 to 127 by a product, which also normalises subnormals.
template <class D>
hn::Vec<D> LoadWide(D d, const Half* in) {
  const hn::Rebind<std::uint16_t, D> half;
  const hn::Rebind<std::uint32_t, D> word;
  const hn::Rebind<std::int32_t, D> number;
  const hn::Rebind<float, D> single;
  const auto bits = hn::PromoteTo(
      word, hn::LoadU(half, reinterpret_cast<const std::uint16_t*>(in)));
  const auto size = hn::ShiftLeft<13>(hn::And(bits, hn::Set(word, 0x7fff)));
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(word, 0x8000)));
  const auto finite = hn::BitCast(
      word, hn::Mul(hn::BitCast(single, size), hn::Set(single, 0x1p112F)));
  const auto special = hn::Or(size, hn::Set(word, 0x7f800000));
  const auto is_special = hn::RebindMask(
      word, hn::Gt(hn::BitCast(number, size), hn::Set(number, 0x0f7fffff)));
  const auto wide = hn::IfThenElse(is_special, special, finite);
  return hn::PromoteTo(d, hn::BitCast(single, hn::Or(wide, sign)));
}

template <class D>
hn::Vec<D> LoadWide(D d, const BFloat16* in) {
  const hn::Rebind<hwy::bfloat16_t, D> half;
  const hn::Rebind<float, D> single;
  return hn::PromoteTo(
      d, hn::PromoteTo(
             single,
             hn::LoadU(half, reinterpret_cast<const hwy::bfloat16_t*>(in))));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
