// Error-free products and sums in every lane. Included once for every target,
// inside foreach_target sources only.
#if defined(STEELYARD_LINALG_DOUBLE_DOUBLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STEELYARD_LINALG_DOUBLE_DOUBLE_INL_H_
#undef STEELYARD_LINALG_DOUBLE_DOUBLE_INL_H_
#else
#define STEELYARD_LINALG_DOUBLE_DOUBLE_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// product + error = a b exactly; `error` also takes a b_low.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ProductError(D d, V a, V b, V b_low, V product) {
#if HWY_NATIVE_FMA
  (void)d;
  return hn::MulAdd(a, b_low, hn::MulSub(a, b, product));
#else
  // Dekker: halves of 26 bits, whose products are exact. Operands are scaled to
  // norms near 1, so that 2^27 + 1 times them cannot overflow.
  const V split = hn::Set(d, 134217729.0);
  const V a_big = hn::Mul(split, a);
  const V b_big = hn::Mul(split, b);
  const V a1 = hn::Sub(a_big, hn::Sub(a_big, a));
  const V b1 = hn::Sub(b_big, hn::Sub(b_big, b));
  const V a2 = hn::Sub(a, a1);
  const V b2 = hn::Sub(b, b1);
  V error = hn::Sub(hn::Mul(a1, b1), product);
  error = hn::Add(error, hn::Mul(a1, b2));
  error = hn::Add(error, hn::Mul(a2, b1));
  error = hn::Add(error, hn::Mul(a2, b2));
  return hn::Add(error, hn::Mul(a, b_low));
#endif
}

// sum += term exactly; what is lost goes, with `error`, to `rest`.
template <class V>
HWY_INLINE void AddTerm(V term, V error, V& sum, V& rest) {
  const V total = hn::Add(sum, term);
  const V part = hn::Sub(total, sum);
  const V lost =
      hn::Add(hn::Sub(sum, hn::Sub(total, part)), hn::Sub(term, part));
  sum = total;
  rest = hn::Add(rest, hn::Add(lost, error));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#endif  // STEELYARD_LINALG_DOUBLE_DOUBLE_INL_H_
