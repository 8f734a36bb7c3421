#include "linalg/double_double_cholesky.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "linalg/double_double.h"
#include "linalg/stopped.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linalg/double_double_cholesky.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "linalg/double_double-inl.h"

#ifndef STEELYARD_LINALG_DOUBLE_DOUBLE_CHOLESKY_TYPES_
#define STEELYARD_LINALG_DOUBLE_DOUBLE_CHOLESKY_TYPES_
namespace steelyard {

// y -= sum over t < count of c_t x_t: y and the rows x_t have `width` numbers,
// c_t and x_t lie `stride` numbers apart from the ones before.
struct Subtraction {
  Index count;
  Index width;
  Index stride;
  const double* c_hi;
  const double* c_lo;
  const double* x_hi;
  const double* x_lo;
  double* y_hi;
  double* y_lo;
};

}  // namespace steelyard
#endif

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

template <Index kVectors, class D>
HWY_INLINE void SubtractSpan(D d, const Subtraction& in, Index from, Index to) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  using V = hn::Vec<D>;
  for (Index j = from; j < to; j += kVectors * lanes) {
    V hi[kVectors];
    V lo[kVectors];
    for (Index v = 0; v < kVectors; ++v) {
      hi[v] = hn::LoadU(d, in.y_hi + j + v * lanes);
      lo[v] = hn::LoadU(d, in.y_lo + j + v * lanes);
    }
    for (Index t = 0; t < in.count; ++t) {
      const V c_hi = hn::Set(d, -in.c_hi[t * in.stride]);
      const V c_lo = hn::Set(d, -in.c_lo[t * in.stride]);
      for (Index v = 0; v < kVectors; ++v) {
        const Index at = t * in.stride + j + v * lanes;
        const V x_hi = hn::LoadU(d, in.x_hi + at);
        const V x_lo = hn::LoadU(d, in.x_lo + at);
        const V product = hn::Mul(c_hi, x_hi);
        const V error = ProductError(d, c_hi, x_hi, x_lo, product);
        AddTerm(product, hn::MulAdd(c_lo, x_hi, error), hi[v], lo[v]);
      }
    }
    for (Index v = 0; v < kVectors; ++v) {
      V rest = hn::Zero(d);
      AddTerm(lo[v], rest, hi[v], rest);
      hn::StoreU(hi[v], d, in.y_hi + j + v * lanes);
      hn::StoreU(rest, d, in.y_lo + j + v * lanes);
    }
  }
}

void SubtractKernel(const Subtraction& in) {
  const hn::ScalableTag<double> full;
  const hn::CappedTag<double, 1> one;
  const Index lanes = static_cast<Index>(hn::Lanes(full));
  const Index fours = in.width - in.width % (4 * lanes);
  const Index whole = in.width - in.width % lanes;
  SubtractSpan<4>(full, in, 0, fours);
  SubtractSpan<1>(full, in, fours, whole);
  SubtractSpan<1>(one, in, whole, in.width);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {
namespace {

HWY_EXPORT(SubtractKernel);

constexpr Index kTile = 64;
// (8 u)^2.
constexpr double kLeastPivot = 0x1p-100;

// Relative error about 2^-103.
DoubleDouble MultiplyBoth(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble product = TwoProduct(a.hi, b.hi);
  return FastTwoSum(product.hi, product.lo + (a.hi * b.lo + a.lo * b.hi));
}

// One step of Newton from the float64 root.
DoubleDouble Root(DoubleDouble x) {
  const double root = std::sqrt(x.hi);
  const DoubleDouble rest = Subtract(x, TwoProduct(root, root));
  return FastTwoSum(root, rest.hi / (2.0 * root));
}

DoubleDouble Inverse(DoubleDouble x) {
  const double inverse = 1.0 / x.hi;
  const DoubleDouble rest = Subtract({1.0, 0.0}, Multiply(inverse, x));
  return FastTwoSum(inverse, rest.hi * inverse);
}

class Tiles {
 public:
  Tiles(Block<double> hi, Block<double> lo) : hi_(hi), lo_(lo) {
    for (Index i = 0; i < hi.rows; ++i) diagonal_.push_back(hi(i, i));
    inverses_.resize(diagonal_.size());
  }

  Index count() const { return (hi_.rows + kTile - 1) / kTile; }
  Index zeros() const { return zeros_; }

  // R_kk'R_kk = A_kk.
  void Factor(Index k) {
    const Index first = k * kTile;
    const Index end = first + Size(k);
    for (Index i = first; i < end; ++i) {
      Subtract(i, i, first, i - first, i, end - i);
      const DoubleDouble pivot{hi_(i, i), lo_(i, i)};
      const auto at = static_cast<std::size_t>(i);
      DoubleDouble root;
      if (pivot.hi > kLeastPivot * diagonal_[at]) {
        root = Root(pivot);
        inverses_[at] = Inverse(root);
      } else {
        ++zeros_;
      }
      ScaleRow(i, i + 1, end);
      hi_(i, i) = root.hi;
      lo_(i, i) = root.lo;
    }
  }

  // R_kj = R_kk^-T A_kj.
  void Solve(Index k, Index j) {
    const Index first = k * kTile;
    const Index column = j * kTile;
    for (Index i = first; i < first + Size(k); ++i) {
      Subtract(i, i, first, i - first, column, Size(j));
      ScaleRow(i, column, column + Size(j));
    }
  }

  // A_ij -= R_ki'R_kj.
  void Update(Index k, Index i, Index j) {
    for (Index row = i * kTile; row < i * kTile + Size(i); ++row) {
      const Index column = i == j ? row : j * kTile;
      Subtract(row, row, k * kTile, Size(k), column,
               j * kTile + Size(j) - column);
    }
  }

 private:
  Index Size(Index tile) const {
    return std::min(kTile, hi_.rows - tile * kTile);
  }

  // Columns [column, column + width) of `row` -= sum over t < count of
  // R(first + t, of) times the same columns of row first + t.
  void Subtract(Index row, Index of, Index first, Index count, Index column,
                Index width) {
    HWY_DYNAMIC_DISPATCH(SubtractKernel)
    ({.count = count,
      .width = width,
      .stride = hi_.stride,
      .c_hi = hi_.row(first) + of,
      .c_lo = lo_.row(first) + of,
      .x_hi = hi_.row(first) + column,
      .x_lo = lo_.row(first) + column,
      .y_hi = hi_.row(row) + column,
      .y_lo = lo_.row(row) + column});
  }

  void ScaleRow(Index row, Index from, Index to) {
    const DoubleDouble factor = inverses_[static_cast<std::size_t>(row)];
    for (Index j = from; j < to; ++j) {
      const DoubleDouble x = MultiplyBoth({hi_(row, j), lo_(row, j)}, factor);
      hi_(row, j) = x.hi;
      lo_(row, j) = x.lo;
    }
  }

  Block<double> hi_;
  Block<double> lo_;
  std::vector<double> diagonal_;  // of G
  std::vector<DoubleDouble> inverses_;
  Index zeros_ = 0;
};

// Task t of the upper triangle (i <= j) of a square of `side` tiles, row by
// row.
std::pair<Index, Index> UpperTask(Index t, Index side) {
  Index i = 0;
  while (t >= side - i) {
    t -= side - i;
    ++i;
  }
  return {i, i + t};
}

}  // namespace

absl::StatusOr<Index> DoubleDoubleCholesky(Block<double> hi, Block<double> lo,
                                           const ComputeContext& context) {
  Tiles tiles(hi, lo);
  const Index count = tiles.count();
  for (Index k = 0; k < count; ++k) {
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    tiles.Factor(k);
    const Index rest = count - k - 1;
    if (rest == 0) break;
    context.workers.ParallelFor(rest, context.stop,
                                [&](Index t) { tiles.Solve(k, k + 1 + t); });
    context.workers.ParallelFor(rest * (rest + 1) / 2, context.stop,
                                [&](Index t) {
                                  const auto [i, j] = UpperTask(t, rest);
                                  tiles.Update(k, k + 1 + i, k + 1 + j);
                                });
  }
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return tiles.zeros();
}

}  // namespace steelyard
#endif  // HWY_ONCE
