#include "linalg/column_products.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "linalg/stopped.h"

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linalg/column_products.cc"
// clang-format off: the order counts
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

#include "linalg/column_tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <bool kAdd, int kRows, int kGroups>
void MultiplyTile(const Left& a, const Block<const double>& b,
                  const Block<double>& c) {
  constexpr int kVectors = kGroups * kGroupVectors;
  Tile<kAdd, kRows, kVectors> tile;
  tile.Load(c, std::make_index_sequence<kRows * kVectors>());
  tile.Multiply(a, b.data, b.stride, b.rows);
  tile.Store(c, std::make_index_sequence<kRows * kVectors>());
}

template <bool kAdd, int kGroups>
void MultiplyGroups(Left a, const Block<const double>& b,
                    const Block<double>& c) {
  Index i = 0;
  for (; i + kTileRows <= c.rows; i += kTileRows, a.data += kTileRows * a.row) {
    MultiplyTile<kAdd, kTileRows, kGroups>(a, b,
                                           c.Part(i, 0, kTileRows, c.cols));
  }
  for (; i < c.rows; ++i, a.data += a.row) {
    MultiplyTile<kAdd, 1, kGroups>(a, b, c.Part(i, 0, 1, c.cols));
  }
}

template <bool kAdd, int kGroups>
Index MultiplyWhile(const Left& a, const Block<const double>& b,
                    const Block<double>& c, Index from) {
  constexpr Index kCols = kGroups * kColumnGroup;
  for (; from + kCols <= c.cols; from += kCols) {
    MultiplyGroups<kAdd, kGroups>(a, b.Part(0, from, b.rows, kCols),
                                  c.Part(0, from, c.rows, kCols));
  }
  return from;
}

template <bool kAdd>
void MultiplyBlock(const Left& a, const Block<const double>& b,
                   const Block<double>& c) {
  Index from = MultiplyWhile<kAdd, kTileGroups>(a, b, c, 0);
  if constexpr (kTileGroups > 2) from = MultiplyWhile<kAdd, 2>(a, b, c, from);
  if constexpr (kTileGroups > 1) from = MultiplyWhile<kAdd, 1>(a, b, c, from);
}

// Of C in the first-level cache and B in the second: rows of B at a time; the
// chains of C go on where they were left.
constexpr Index kDepth = 512;

void ProductKernel(bool add, const double* data, Index row, Index column,
                   Block<const double> b, Block<double> c) {
  Left a{data, row, column};
  for (Index k = 0; k < b.rows; k += kDepth, a.data += kDepth * column) {
    const Block<const double> part =
        b.Part(k, 0, std::min(kDepth, b.rows - k), b.cols);
    if (add) {
      MultiplyBlock<true>(a, part, c);
    } else {
      MultiplyBlock<false>(a, part, c);
    }
  }
}

// A small triangle, row after row: the last one first with `upward`. Row i of
// R from `row(i)`, the numbers of R or R' in it `column` apart.
void TriangleKernel(bool upward, const double* data, Index row, Index column,
                    Block<double> b) {
  const Tag d;
  const Index n = b.rows;
  for (Index step = 0; step < n; ++step) {
    const Index i = upward ? n - 1 - step : step;
    const Index from = upward ? i + 1 : 0;
    const Index to = upward ? n : i;
    const Vector pivot = hn::Set(d, data[i * row + i * column]);
    for (Index c = 0; c < b.cols; c += kLanes) {
      Vector sum = hn::LoadU(d, b.row(i) + c);
      for (Index k = from; k < to; ++k) {
        sum = hn::NegMulAdd(hn::Set(d, data[i * row + k * column]),
                            hn::LoadU(d, b.row(k) + c), sum);
      }
      hn::StoreU(hn::Div(sum, pivot), d, b.row(i) + c);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(ProductKernel);
HWY_EXPORT(TriangleKernel);

namespace {

// Rows and columns of a task of MultiplyColumns, rows of a step of
// SolveColumns.
constexpr Index kTaskRows = 256;
constexpr Index kTaskColumns = 3 * kColumnGroup;
constexpr Index kTriangle = 16;

void Multiply(bool add, const Operand<double>& a, const Block<const double>& b,
              const Block<double>& c) {
  const Index row = a.transposed ? 1 : a.block.stride;
  const Index column = a.transposed ? a.block.stride : 1;
  HWY_DYNAMIC_DISPATCH(ProductKernel)(add, a.block.data, row, column, b, c);
}

// Rows [first, first + rows) and columns [from, from + cols) of the operand.
Operand<double> PartOf(const Operand<double>& a, Index first, Index from,
                       Index rows, Index cols) {
  Operand<double> part = a;
  part.block = a.transposed ? a.block.Part(from, first, cols, rows)
                            : a.block.Part(first, from, rows, cols);
  return part;
}

void SolveGroup(const Operand<double>& r, const Block<double>& b,
                const StopToken& stop) {
  const Index n = b.rows;
  const Index steps = (n + kTriangle - 1) / kTriangle;
  const Index row = r.transposed ? 1 : r.block.stride;
  const Index column = r.transposed ? r.block.stride : 1;
  for (Index step = 0; step < steps && !stop.stop_requested(); ++step) {
    const Index first = (r.transposed ? step : steps - 1 - step) * kTriangle;
    const Index rows = std::min(kTriangle, n - first);
    const Block<double> part = b.Part(first, 0, rows, b.cols);
    // What is solved already: above with R', below with R.
    const Index from = r.transposed ? 0 : first + rows;
    const Index count = r.transposed ? first : n - from;
    if (count > 0) {
      Multiply(false, PartOf(r, first, from, rows, count),
               b.Part(from, 0, count, b.cols), part);
    }
    const Operand<double> corner = PartOf(r, first, first, rows, rows);
    HWY_DYNAMIC_DISPATCH(TriangleKernel)
    (!r.transposed, corner.block.data, row, column, part);
  }
}

}  // namespace

void AddProduct(Operand<double> a, Block<const double> b, Block<double> c) {
  Multiply(true, a, b, c);
}

void SubtractProduct(Operand<double> a, Block<const double> b,
                     Block<double> c) {
  Multiply(false, a, b, c);
}

absl::Status MultiplyColumns(Operand<double> a, Block<const double> b,
                             Block<double> c, const ComputeContext& context) {
  const Index tall = (c.rows + kTaskRows - 1) / kTaskRows;
  const Index wide = (c.cols + kTaskColumns - 1) / kTaskColumns;
  context.workers.ParallelFor(tall * wide, context.stop, [&](Index task) {
    const Index first = task % tall * kTaskRows;
    const Index from = task / tall * kTaskColumns;
    const Index rows = std::min(kTaskRows, c.rows - first);
    const Index cols = std::min(kTaskColumns, c.cols - from);
    const Block<double> part = c.Part(first, from, rows, cols);
    for (Index i = 0; i < rows; ++i) std::fill_n(part.row(i), cols, 0.0);
    AddProduct(PartOf(a, first, 0, rows, b.rows), b.Part(0, from, b.rows, cols),
               part);
  });
  return CheckStop(context.stop);
}

absl::Status SolveColumns(Operand<double> r, Block<double> b,
                          const ComputeContext& context) {
  const Index wide = (b.cols + kTaskColumns - 1) / kTaskColumns;
  context.workers.ParallelFor(wide, context.stop, [&](Index task) {
    const Index from = task * kTaskColumns;
    const Index cols = std::min(kTaskColumns, b.cols - from);
    SolveGroup(r, b.Part(0, from, b.rows, cols), context.stop);
  });
  return CheckStop(context.stop);
}

}  // namespace steelyard
#endif  // HWY_ONCE
