#include "factor/row_kernels.h"

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "factor/row_kernels.cc"
// clang-format off: the order counts
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "factor/load_wide-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// body(tag, position): whole vectors, then one number at a time.
template <class Body>
void ForLanes(Index count, const Body& body) {
  const hn::ScalableTag<double> wide;
  const hn::CappedTag<double, 1> one;
  const auto lanes = static_cast<Index>(hn::Lanes(wide));
  Index i = 0;
  for (; i + lanes <= count; i += lanes) body(wide, i);
  for (; i < count; ++i) body(one, i);
}

template <typename T>
void WidenRowsT(const T* in, Index in_stride, const double* factors,
                Block<double> out) {
  for (Index i = 0; i < out.rows; ++i) {
    const T* from = in + i * in_stride;  // may be `to` itself
    double* to = out.row(i);
    ForLanes(out.cols, [&](auto d, Index c) {
      const auto x = LoadWide(d, from + c);
      hn::StoreU(hn::Mul(x, hn::LoadU(d, factors + c)), d, to + c);
    });
  }
}

template <typename T>
void AddSquaresT(const T* in, Index rows, Index cols, double* sums) {
  // Four rows at a time: a sum is loaded and stored once for four squares.
  Index i = 0;
  for (; i + 4 <= rows; i += 4) {
    const T* HWY_RESTRICT row = in + i * cols;
    ForLanes(cols, [&](auto d, Index c) {
      auto sum = hn::LoadU(d, sums + c);
      const auto x0 = LoadWide(d, row + c);
      const auto x1 = LoadWide(d, row + cols + c);
      const auto x2 = LoadWide(d, row + 2 * cols + c);
      const auto x3 = LoadWide(d, row + 3 * cols + c);
      sum = hn::MulAdd(x0, x0, sum);
      sum = hn::MulAdd(x1, x1, sum);
      sum = hn::MulAdd(x2, x2, sum);
      sum = hn::MulAdd(x3, x3, sum);
      hn::StoreU(sum, d, sums + c);
    });
  }
  for (; i < rows; ++i) {
    const T* HWY_RESTRICT row = in + i * cols;
    ForLanes(cols, [&](auto d, Index c) {
      const auto x = LoadWide(d, row + c);
      hn::StoreU(hn::MulAdd(x, x, hn::LoadU(d, sums + c)), d, sums + c);
    });
  }
}

template <typename T>
bool AllFiniteT(const T* in, Index count) {
  // 0 times a number is 0, unless it is not finite: then NaN.
  const hn::ScalableTag<double> wide;
  const auto zero = hn::Zero(wide);
  auto sum = zero;
  double tail = 0.0;
  ForLanes(count, [&](auto d, Index i) {
    const auto x = LoadWide(d, in + i);
    if constexpr (std::is_same_v<decltype(d), hn::ScalableTag<double>>) {
      sum = hn::MulAdd(x, zero, sum);
    } else {
      tail += 0.0 * hn::GetLane(x);
    }
  });
  return hn::GetLane(hn::SumOfLanes(wide, sum)) + tail == 0.0;
}

void AddCompensatedT(Block<const double> x, Block<double> hi,
                     Block<double> lo) {
  for (Index i = 0; i < x.rows; ++i) {
    const double* HWY_RESTRICT from = x.row(i);
    double* HWY_RESTRICT high = hi.row(i);
    double* HWY_RESTRICT low = lo.row(i);
    ForLanes(x.cols, [&](auto d, Index c) {
      const auto a = hn::LoadU(d, high + c);
      const auto b = hn::LoadU(d, from + c);
      const auto sum = hn::Add(a, b);
      const auto b_part = hn::Sub(sum, a);
      const auto a_error = hn::Sub(a, hn::Sub(sum, b_part));
      const auto error = hn::Add(a_error, hn::Sub(b, b_part));
      hn::StoreU(sum, d, high + c);
      hn::StoreU(hn::Add(hn::LoadU(d, low + c), error), d, low + c);
    });
  }
}

void WidenDouble(const double* in, Index s, const double* f, Block<double> o) {
  WidenRowsT(in, s, f, o);
}
void WidenFloat(const float* in, Index s, const double* f, Block<double> o) {
  WidenRowsT(in, s, f, o);
}
void WidenHalf(const Half* in, Index s, const double* f, Block<double> o) {
  WidenRowsT(in, s, f, o);
}
void WidenBFloat(const BFloat16* in, Index s, const double* f,
                 Block<double> o) {
  WidenRowsT(in, s, f, o);
}
void SquaresDouble(const double* in, Index rows, Index cols, double* sums) {
  AddSquaresT(in, rows, cols, sums);
}
void SquaresFloat(const float* in, Index rows, Index cols, double* sums) {
  AddSquaresT(in, rows, cols, sums);
}
void SquaresHalf(const Half* in, Index rows, Index cols, double* sums) {
  AddSquaresT(in, rows, cols, sums);
}
void SquaresBFloat(const BFloat16* in, Index rows, Index cols, double* sums) {
  AddSquaresT(in, rows, cols, sums);
}
bool FiniteDouble(const double* in, Index n) { return AllFiniteT(in, n); }
bool FiniteFloat(const float* in, Index n) { return AllFiniteT(in, n); }
bool FiniteHalf(const Half* in, Index n) { return AllFiniteT(in, n); }
bool FiniteBFloat(const BFloat16* in, Index n) { return AllFiniteT(in, n); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(WidenDouble);
HWY_EXPORT(WidenFloat);
HWY_EXPORT(WidenHalf);
HWY_EXPORT(WidenBFloat);
HWY_EXPORT(SquaresDouble);
HWY_EXPORT(SquaresFloat);
HWY_EXPORT(SquaresHalf);
HWY_EXPORT(SquaresBFloat);
HWY_EXPORT(FiniteDouble);
HWY_EXPORT(FiniteFloat);
HWY_EXPORT(FiniteHalf);
HWY_EXPORT(FiniteBFloat);
HWY_EXPORT(AddCompensatedT);

void WidenRows(const double* in, Index in_stride, const double* factors,
               Block<double> out) {
  HWY_DYNAMIC_DISPATCH(WidenDouble)(in, in_stride, factors, out);
}
void WidenRows(const float* in, Index in_stride, const double* factors,
               Block<double> out) {
  HWY_DYNAMIC_DISPATCH(WidenFloat)(in, in_stride, factors, out);
}
void WidenRows(const Half* in, Index in_stride, const double* factors,
               Block<double> out) {
  HWY_DYNAMIC_DISPATCH(WidenHalf)(in, in_stride, factors, out);
}
void WidenRows(const BFloat16* in, Index in_stride, const double* factors,
               Block<double> out) {
  HWY_DYNAMIC_DISPATCH(WidenBFloat)(in, in_stride, factors, out);
}

void AddSquares(const double* in, Index rows, Index cols, double* sums) {
  HWY_DYNAMIC_DISPATCH(SquaresDouble)(in, rows, cols, sums);
}
void AddSquares(const float* in, Index rows, Index cols, double* sums) {
  HWY_DYNAMIC_DISPATCH(SquaresFloat)(in, rows, cols, sums);
}
void AddSquares(const Half* in, Index rows, Index cols, double* sums) {
  HWY_DYNAMIC_DISPATCH(SquaresHalf)(in, rows, cols, sums);
}
void AddSquares(const BFloat16* in, Index rows, Index cols, double* sums) {
  HWY_DYNAMIC_DISPATCH(SquaresBFloat)(in, rows, cols, sums);
}

bool AllFinite(const double* in, Index count) {
  return HWY_DYNAMIC_DISPATCH(FiniteDouble)(in, count);
}
bool AllFinite(const float* in, Index count) {
  return HWY_DYNAMIC_DISPATCH(FiniteFloat)(in, count);
}
bool AllFinite(const Half* in, Index count) {
  return HWY_DYNAMIC_DISPATCH(FiniteHalf)(in, count);
}
bool AllFinite(const BFloat16* in, Index count) {
  return HWY_DYNAMIC_DISPATCH(FiniteBFloat)(in, count);
}

void AddCompensated(Block<const double> x, Block<double> hi, Block<double> lo) {
  HWY_DYNAMIC_DISPATCH(AddCompensatedT)(x, hi, lo);
}

}  // namespace steelyard
#endif  // HWY_ONCE
