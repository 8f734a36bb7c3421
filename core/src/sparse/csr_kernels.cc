#include "sparse/csr_kernels.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sparse/csr_kernels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "linalg/double_double-inl.h"

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

// Columns [from, to) of r, a multiple of kVectors vectors.
template <Index kVectors, class D>
HWY_INLINE void ResidualSpan(D d, const SparseBlock& a, Index k, Index from,
                             Index to, const double* z, double* r, double* s,
                             double* squares) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  using V = hn::Vec<D>;
  for (Index c = from; c < to; c += kVectors * lanes) {
    V square[kVectors];
    for (Index v = 0; v < kVectors; ++v) {
      square[v] = hn::LoadU(d, squares + c + v * lanes);
    }
    for (Index i = 0; i < a.count; ++i) {
      V row[kVectors];
      for (Index v = 0; v < kVectors; ++v) {
        row[v] = hn::LoadU(d, r + i * k + c + v * lanes);
      }
      if (z != nullptr) {
        for (Index e = a.begin(i); e < a.end(i); ++e) {
          const V x = hn::Set(d, a.values[e]);
          const double* const at = z + a.columns[e] * k + c;
          for (Index v = 0; v < kVectors; ++v) {
            row[v] = hn::NegMulAdd(x, hn::LoadU(d, at + v * lanes), row[v]);
          }
        }
      }
      for (Index e = a.begin(i); e < a.end(i); ++e) {
        const V x = hn::Set(d, a.values[e]);
        double* const at = s + a.columns[e] * k + c;
        for (Index v = 0; v < kVectors; ++v) {
          hn::StoreU(hn::MulAdd(x, row[v], hn::LoadU(d, at + v * lanes)), d,
                     at + v * lanes);
        }
      }
      for (Index v = 0; v < kVectors; ++v) {
        square[v] = hn::MulAdd(row[v], row[v], square[v]);
        hn::StoreU(row[v], d, r + i * k + c + v * lanes);
      }
    }
    for (Index v = 0; v < kVectors; ++v) {
      hn::StoreU(square[v], d, squares + c + v * lanes);
    }
  }
}

void AddResidualKernel(const SparseBlock& a, Index k, const double* z,
                       double* r, double* s, double* squares) {
  const hn::ScalableTag<double> full;
  const hn::CappedTag<double, 1> one;
  const Index lanes = static_cast<Index>(hn::Lanes(full));
  const Index fours = k - k % (4 * lanes);
  const Index whole = k - k % lanes;
  ResidualSpan<4>(full, a, k, 0, fours, z, r, s, squares);
  ResidualSpan<1>(full, a, k, fours, whole, z, r, s, squares);
  ResidualSpan<1>(one, a, k, whole, k, z, r, s, squares);
}

// r = b - (sum + rest), and s += A'r.
template <class D>
HWY_INLINE void TwiceSpan(D d, const SparseBlock& a, const ResidualTwice& in,
                          Index from, Index to) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index k = in.k;
  using V = hn::Vec<D>;
  for (Index c = from; c < to; c += lanes) {
    V square = hn::LoadU(d, in.squares + c);
    for (Index i = 0; i < a.count; ++i) {
      V hi = hn::LoadU(d, in.r_hi + i * k + c);
      V lo = hn::Zero(d);
      if (in.z_hi != nullptr) {
        for (Index e = a.begin(i); e < a.end(i); ++e) {
          const V x = hn::Set(d, -a.values[e]);
          const V z_hi = hn::LoadU(d, in.z_hi + a.columns[e] * k + c);
          const V z_lo = hn::LoadU(d, in.z_lo + a.columns[e] * k + c);
          const V product = hn::Mul(x, z_hi);
          AddTerm(product, ProductError(d, x, z_hi, z_lo, product), hi, lo);
        }
        V rest = hn::Zero(d);
        AddTerm(lo, rest, hi, rest);
        lo = rest;
      }
      for (Index e = a.begin(i); e < a.end(i); ++e) {
        const V x = hn::Set(d, a.values[e]);
        const Index at = a.columns[e] * k + c;
        V sum = hn::LoadU(d, in.s_hi + at);
        V rest = hn::LoadU(d, in.s_lo + at);
        const V product = hn::Mul(x, hi);
        AddTerm(product, ProductError(d, x, hi, lo, product), sum, rest);
        hn::StoreU(sum, d, in.s_hi + at);
        hn::StoreU(rest, d, in.s_lo + at);
      }
      square = hn::MulAdd(hi, hi, square);
      hn::StoreU(hi, d, in.r_hi + i * k + c);
      hn::StoreU(lo, d, in.r_lo + i * k + c);
    }
    hn::StoreU(square, d, in.squares + c);
  }
}

void AddResidualTwiceKernel(const SparseBlock& a, const ResidualTwice& in) {
  const hn::ScalableTag<double> full;
  const hn::CappedTag<double, 1> one;
  const Index whole = in.k - in.k % static_cast<Index>(hn::Lanes(full));
  TwiceSpan(full, a, in, 0, whole);
  TwiceSpan(one, a, in, whole, in.k);
}

void AddGramTwiceKernel(const SparseBlock& a, const GramPart& part,
                        DoubleDouble* gram) {
  const hn::CappedTag<double, 1> one;
  using V = hn::Vec<decltype(one)>;
  const V zero = hn::Zero(one);
  for (Index i = 0; i < a.count; ++i) {
    const Index end = a.end(i);
    const Index last = std::min(end, part.to);
    for (Index e = std::max(a.begin(i), part.from); e < last; ++e) {
      const V x = hn::Set(one, a.values[e]);
      DoubleDouble* const row = gram + part.starts[a.columns[e]];
      for (Index f = e; f < end; ++f) {
        const V y = hn::Set(one, a.values[f]);
        DoubleDouble& to = row[a.columns[f]];
        V sum = hn::Set(one, to.hi);
        V rest = hn::Set(one, to.lo);
        const V product = hn::Mul(x, y);
        AddTerm(product, ProductError(one, x, y, zero, product), sum, rest);
        to.hi = hn::GetLane(sum);
        to.lo = hn::GetLane(rest);
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(AddResidualKernel);
HWY_EXPORT(AddResidualTwiceKernel);
HWY_EXPORT(AddGramTwiceKernel);

void AddResidual(const SparseBlock& block, Index k, const double* z, double* r,
                 double* s, double* squares) {
  HWY_DYNAMIC_DISPATCH(AddResidualKernel)(block, k, z, r, s, squares);
}

void AddResidualTwice(const SparseBlock& block, const ResidualTwice& in) {
  HWY_DYNAMIC_DISPATCH(AddResidualTwiceKernel)(block, in);
}

void AddGramTwice(const SparseBlock& block, const GramPart& part,
                  DoubleDouble* gram) {
  HWY_DYNAMIC_DISPATCH(AddGramTwiceKernel)(block, part, gram);
}

}  // namespace steelyard
#endif  // HWY_ONCE
