#include "linalg/split_products.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "linalg/split_products.cc"
// clang-format off: the order counts
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "linalg/column_tile-inl.h"
#include "linalg/double_double-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// 1.5 * 2^(52 - 23): a number below 2^e is rounded to a multiple of 2^(e - 23)
// by adding 2^e times this and taking it away again.
constexpr double kCut = 0x1.8p29;

// The least power of two above |x|, 0 for 0 (and numbers below 2^-1022).
HWY_INLINE Vector Ceiling(Vector x) {
  const Tag d;
  const Vector infinity = hn::BitCast(
      d,
      hn::Set(hn::RebindToUnsigned<Tag>(), std::uint64_t{0x7FF0000000000000}));
  return hn::Mul(hn::And(x, infinity), hn::Set(d, 2.0));
}

// `rows` rows of kLanes columns; returns their ceilings.
HWY_INLINE Vector SplitLanes(const double* from, Index from_row, Index rows,
                             double* head, double* tail, Index to_row,
                             Vector* squares) {
  const Tag d;
  Vector largest = hn::Zero(d);
  Vector sum = hn::Zero(d);
  for (Index i = 0; i < rows; ++i) {
    const Vector x = hn::LoadU(d, from + i * from_row);
    largest = hn::Max(largest, hn::Abs(x));
    sum = hn::MulAdd(x, x, sum);
  }
  const Vector ceiling = Ceiling(largest);
  const Vector cut = hn::Mul(ceiling, hn::Set(d, kCut));
  for (Index i = 0; i < rows; ++i) {
    const Vector x = hn::LoadU(d, from + i * from_row);
    const Vector high = hn::Sub(hn::Add(x, cut), cut);
    hn::StoreU(high, d, head + i * to_row);
    hn::StoreU(hn::Sub(x, high), d, tail + i * to_row);
  }
  *squares = sum;
  return ceiling;
}

// A whole strip, whose rows lie `stride` apart. Adds the squares of its
// ceilings and of its numbers.
void SplitStripKernel(const double* from, Index stride, Index rows,
                      double* head, double* tail, double* ceilings,
                      double* squares) {
  const Tag d;
  for (Index c = 0; c < kColumnGroup; c += kLanes) {
    Vector sum;
    const Vector ceiling = SplitLanes(from + c, stride, rows, head + c,
                                      tail + c, kColumnGroup, &sum);
    *ceilings += hn::GetLane(hn::SumOfLanes(d, hn::Mul(ceiling, ceiling)));
    *squares += hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

void SplitColumnsKernel(Block<const double> from, double* head, double* tail,
                        double* squares, double* ceilings) {
  const Tag d;
  for (Index c = 0; c < from.cols; c += kLanes) {
    Vector sum;
    const Vector ceiling = SplitLanes(from.data + c, from.stride, from.rows,
                                      head + c, tail + c, from.stride, &sum);
    hn::StoreU(sum, d, squares + c);
    hn::StoreU(ceiling, d, ceilings + c);
  }
}

// Some columns of a strip of A against some groups of columns of B.
struct Operands {
  const double* a_head;
  const double* a_tail;
  Block<const double> head, tail, whole;
};

template <int kRows, int kGroups>
struct SplitTile {
  static constexpr int kVectors = kGroups * kGroupVectors;
  using Sequence = std::make_index_sequence<kRows * kVectors>;
  using Sums = Tile<true, kRows, kVectors>;

  static HWY_INLINE void Run(const Operands& in, const Block<double>& hi,
                             const Block<double>& lo) {
    const Index depth = in.head.rows;
    Sums sums;
    Clear(sums, Sequence());
    sums.Multiply({in.a_head, 1, kColumnGroup}, in.head.data, in.head.stride,
                  depth);
    AddExact(sums, hi, lo, Sequence());
    Clear(sums, Sequence());
    sums.Multiply({in.a_head, 1, kColumnGroup}, in.tail.data, in.tail.stride,
                  depth);
    sums.Multiply({in.a_tail, 1, kColumnGroup}, in.whole.data, in.whole.stride,
                  depth);
    AddLow(sums, lo, Sequence());
  }

 private:
  template <std::size_t... I>
  static HWY_INLINE void Clear(Sums& sums, std::index_sequence<I...>) {
    ((sums.sum[I] = hn::Zero(Tag())), ...);
  }
  template <std::size_t... I>
  static HWY_INLINE void AddExact(const Sums& sums, const Block<double>& hi,
                                  const Block<double>& lo,
                                  std::index_sequence<I...>) {
    (AddOne(sums.sum[I], Sums::Place(hi, I), Sums::Place(lo, I)), ...);
  }
  static HWY_INLINE void AddOne(Vector term, double* hi, double* lo) {
    const Tag d;
    Vector sum = hn::LoadU(d, hi);
    Vector rest = hn::LoadU(d, lo);
    AddTerm(term, hn::Zero(d), sum, rest);
    hn::StoreU(sum, d, hi);
    hn::StoreU(rest, d, lo);
  }
  template <std::size_t... I>
  static HWY_INLINE void AddLow(const Sums& sums, const Block<double>& lo,
                                std::index_sequence<I...>) {
    (hn::StoreU(hn::Add(hn::LoadU(Tag(), Sums::Place(lo, I)), sums.sum[I]),
                Tag(), Sums::Place(lo, I)),
     ...);
  }
};

// Strips of A, `pitch` numbers from one to the next.
struct Strips {
  const double* head;
  const double* tail;
  Index pitch;
};

template <int kGroups>
Index ProductWhile(const Strips& a, const Block<const double>& head,
                   const Block<const double>& tail,
                   const Block<const double>& whole, const Block<double>& hi,
                   const Block<double>& lo, Index from) {
  constexpr Index kCols = kGroups * kColumnGroup;
  for (; from + kCols <= hi.cols; from += kCols) {
    const auto part = [&](const Block<const double>& b) {
      return b.Part(0, from, b.rows, kCols);
    };
    Operands in{nullptr, nullptr, part(head), part(tail), part(whole)};
    for (Index i = 0; i < hi.rows; i += kTileRows) {
      const Index at = i / kColumnGroup * a.pitch + i % kColumnGroup;
      in.a_head = a.head + at;
      in.a_tail = a.tail + at;
      SplitTile<kTileRows, kGroups>::Run(in, hi.Part(i, from, kTileRows, kCols),
                                         lo.Part(i, from, kTileRows, kCols));
    }
  }
  return from;
}

void SplitProductKernel(const double* a_head, const double* a_tail, Index pitch,
                        Block<const double> head, Block<const double> tail,
                        Block<const double> whole, Block<double> hi,
                        Block<double> lo) {
  const Strips a{a_head, a_tail, pitch};
  Index from = ProductWhile<kTileGroups>(a, head, tail, whole, hi, lo, 0);
  if constexpr (kTileGroups > 2) {
    from = ProductWhile<2>(a, head, tail, whole, hi, lo, from);
  }
  if constexpr (kTileGroups > 1) {
    from = ProductWhile<1>(a, head, tail, whole, hi, lo, from);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(SplitStripKernel);
HWY_EXPORT(SplitColumnsKernel);
HWY_EXPORT(SplitProductKernel);

namespace {

// Numbers from one strip to the next. An odd number of lines, so that strips do
// not meet in the same sets of the cache.
constexpr Index kPitch = (kSplitRows + 1) * kColumnGroup;

// Evenly spread below 2^-24.
constexpr double kTailSquare = 0x1p-48 / 3.0;
// (0.41 u)^2: u times a mantissa in [1, 2) evenly between 0 and 1/2.
constexpr double kRoundingSquare = 0.17 * 0x1p-106;

std::size_t StripNumbers(Index cols) {
  return static_cast<std::size_t>(SplitHeight(cols) / kColumnGroup * kPitch);
}

}  // namespace

SplitStrips::SplitStrips(Index cols)
    : cols_(cols), head_(StripNumbers(cols)), tail_(StripNumbers(cols)) {}

void SplitStrips::Set(Block<const double> rows) {
  rows_ = rows.rows;
  ceiling_square_ = square_ = 0.0;
  double corner[kSplitRows * kColumnGroup];
  for (Index c = 0; c < cols_; c += kColumnGroup) {
    const double* from = rows.data + c;
    Index stride = rows.stride;
    if (c + kColumnGroup > cols_) {
      std::fill_n(corner, rows_ * kColumnGroup, 0.0);
      for (Index i = 0; i < rows_; ++i) {
        std::copy_n(from + i * stride, cols_ - c, corner + i * kColumnGroup);
      }
      from = corner;
      stride = kColumnGroup;
    }
    const Index at = c / kColumnGroup * kPitch;
    HWY_DYNAMIC_DISPATCH(SplitStripKernel)
    (from, stride, rows_, head_.data() + at, tail_.data() + at,
     &ceiling_square_, &square_);
  }
  ceiling_square_ /= static_cast<double>(cols_);
  square_ /= static_cast<double>(rows_ * cols_);
}

double SplitStrips::ExpectedSquare(double ceiling, double square) const {
  // Partial sums of squares t, 2 t, ..., 2 rows t; t = tails (2^-24 3^-1/2 of
  // the ceiling) times what they meet.
  const double chain = 2.0 * static_cast<double>(rows_);
  const double own = ceiling * ceiling;
  const double term =
      (ceiling_square_ * square / static_cast<double>(rows_) + square_ * own) /
      2.0 * kTailSquare;
  return kRoundingSquare * term * chain * chain / 2.0;
}

SplitColumns::SplitColumns(Index width)
    : width_(width),
      whole_(static_cast<std::size_t>(kSplitRows * width)),
      head_(whole_.size()),
      tail_(whole_.size()) {}

Block<double> SplitColumns::Rows(Index rows) {
  rows_ = rows;
  return {whole_.data(), rows_, width_, width_};
}

void SplitColumns::Split(std::vector<double>& squares,
                         std::vector<double>& ceilings) {
  HWY_DYNAMIC_DISPATCH(SplitColumnsKernel)
  (whole(), head_.data(), tail_.data(), squares.data(), ceilings.data());
}

void AddSplitProduct(const SplitStrips& a, const SplitColumns& b, Index first,
                     Block<double> hi, Block<double> lo) {
  const auto part = [&](const Block<const double>& columns) {
    return columns.Part(0, first, columns.rows, hi.cols);
  };
  HWY_DYNAMIC_DISPATCH(SplitProductKernel)
  (a.head(), a.tail(), kPitch, part(b.head()), part(b.tail()), part(b.whole()),
   hi, lo);
}

SplitCut CutOfSplitPass(Index n, Index d, Index columns, Index slots_least) {
  // Numbers of a block.
  constexpr Index kBlockEntries = Index{1} << 18;
  constexpr Index kBlockRowsMin = 16;
  // Enough for every worker; few enough that their sums stay small.
  constexpr Index kSlotsMax = 64;
  SplitCut cut{};
  cut.block_rows = std::clamp(kBlockEntries / d, kBlockRowsMin, kSplitRows);
  cut.blocks = (n + cut.block_rows - 1) / cut.block_rows;
  const Index affordable =
      std::max(slots_least, kSplitSumsMost / (d * columns));
  cut.slots = std::min({kSlotsMax, cut.blocks, affordable});
  return cut;
}

}  // namespace steelyard
#endif  // HWY_ONCE
