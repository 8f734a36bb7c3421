#include "factor/strip_kernels.h"

#include <algorithm>
#include <cstddef>
#include <utility>

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "factor/strip_kernels.cc"
// clang-format off: the order counts
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "factor/load_wide-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

// Rows and strips of a tile that the registers of this target hold: 32
// registers of one strip, 16 of half a strip or a quarter.
#if HWY_TARGET <= HWY_AVX3
constexpr Index kTileRows = 8;
constexpr Index kTileStrips = 3;
#elif HWY_TARGET <= HWY_AVX2
constexpr Index kTileRows = 4;
constexpr Index kTileStrips = 1;
#else
constexpr Index kTileRows = 2;
constexpr Index kTileStrips = 1;
#endif

template <typename T>
using Tag = hn::CappedTag<T, 64 / sizeof(T)>;
template <typename T>
using Vector = hn::Vec<Tag<T>>;
// Vectors of one strip.
template <typename T>
constexpr int kStripVectors = static_cast<int>(64 / sizeof(T) /
                                               hn::MaxLanes(Tag<T>()));

// kRows x kStrips strips of sums, in registers.
template <typename T, int kRows, int kStrips>
struct Tile {
  static constexpr int kVectors = kStrips * kStripVectors<T>;
  static constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(Tag<T>()));
  Vector<T> sum[kRows * kVectors];

  HWY_INLINE void Clear() {
    Clear(std::make_index_sequence<kRows * kVectors>());
  }

  // sum += a b' for `depth` outer products, in order: a is kRows numbers
  // a_step apart, the next ones a_next on; b is the strips from kFirst on, each
  // b_strip after the one before, next ones a strip's width on.
  template <int kFirst>
  HWY_INLINE void Add(const T* HWY_RESTRICT a, Index a_step, Index a_next,
                      const T* HWY_RESTRICT b, Index b_strip, Index depth) {
    constexpr int kSkipped = kFirst * kStripVectors<T>;
    constexpr int kUsed = kVectors - kSkipped;
    Vector<T> right[kUsed];
    for (Index k = 0; k < depth; ++k) {
      Load<kFirst>(b, b_strip, right, std::make_index_sequence<kUsed>());
      Multiply<kSkipped, kUsed>(a, a_step, right,
                                std::make_index_sequence<kRows>());
      a += a_next;
      b += kStripColumns<T>;
    }
  }

 private:
  template <std::size_t... I>
  HWY_INLINE void Clear(std::index_sequence<I...>) {
    ((sum[I] = hn::Zero(Tag<T>())), ...);
  }

  template <int kFirst, std::size_t... I>
  static HWY_INLINE void Load(const T* HWY_RESTRICT b, Index b_strip,
                              Vector<T>* right, std::index_sequence<I...>) {
    constexpr int kPer = kStripVectors<T>;
    ((right[I] = hn::Load(
          Tag<T>(), b + (kFirst + static_cast<Index>(I) / kPer) * b_strip +
                        static_cast<Index>(I) % kPer * kLanes)),
     ...);
  }

  template <int kSkipped, int kUsed, std::size_t... Row>
  HWY_INLINE void Multiply(const T* HWY_RESTRICT a, Index a_step,
                           const Vector<T>* right,
                           std::index_sequence<Row...>) {
    (MultiplyRow<static_cast<int>(Row), kSkipped>(
         hn::Set(Tag<T>(), a[static_cast<Index>(Row) * a_step]), right,
         std::make_index_sequence<kUsed>()),
     ...);
  }

  template <int kRow, int kSkipped, std::size_t... I>
  HWY_INLINE void MultiplyRow(Vector<T> left, const Vector<T>* right,
                              std::index_sequence<I...>) {
    ((sum[kRow * kVectors + kSkipped + static_cast<int>(I)] =
          hn::MulAdd(left, right[I],
                     sum[kRow * kVectors + kSkipped + static_cast<int>(I)])),
     ...);
  }
};

// Asks for a part of ReadNext at each of `calls` calls.
class Prefetch {
 public:
  Prefetch(const ReadNext& next, Index calls)
      : at_(static_cast<const char*>(next.begin)),
        end_(at_ + next.bytes),
        step_((next.bytes / std::max<Index>(calls, 1) / 64 + 1) * 64) {}

  HWY_INLINE void Some() {
    const char* stop = at_ + std::min<Index>(step_, end_ - at_);
    // Into the second-level cache: the first is full of strips.
    for (; at_ < stop; at_ += 64) __builtin_prefetch(at_, 0, 2);
  }

 private:
  const char* at_;
  const char* end_;
  Index step_;
};

// With kMeasure: squares of the rows, weighted, too.
template <bool kMeasure, typename In, typename Out>
void PackStripsT(const In* in, Index in_stride, const double* factors,
                 const double* weights, Index rows, Index cols,
                 StripBlock<Out> out, double* squares) {
  constexpr Index kWidth = kStripColumns<Out>;
  const hn::CappedTag<double, 8> wide;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(wide));
  const Index whole = cols / kWidth;
  const Index pitch = out.pitch();
  for (Index i = 0; i < rows; ++i) {
    const In* HWY_RESTRICT from = in + i * in_stride;
    Out* HWY_RESTRICT to = out.data + i * kWidth;
    auto sum = hn::Zero(wide);
    for (Index s = 0; s < whole; ++s, to += pitch) {
      for (Index c = 0; c < kWidth; c += kLanes) {
        const Index column = s * kWidth + c;
        const auto x = hn::Mul(LoadWide(wide, from + column),
                               hn::LoadU(wide, factors + column));
        if constexpr (kMeasure) {
          const auto y = hn::Mul(x, hn::LoadU(wide, weights + column));
          sum = hn::MulAdd(y, y, sum);
        }
        if constexpr (std::is_same_v<Out, float>) {
          hn::Store(hn::DemoteTo(hn::Rebind<float, decltype(wide)>(), x),
                    hn::Rebind<float, decltype(wide)>(), to + c);
        } else {
          hn::Store(x, wide, to + c);
        }
      }
    }
    if constexpr (kMeasure) {
      squares[i] = hn::GetLane(hn::SumOfLanes(wide, sum));
    }
    if (whole == out.strips) continue;
    const hn::CappedTag<double, 1> one;
    for (Index c = 0; c < kWidth; ++c) {
      const Index column = whole * kWidth + c;
      to[c] = column < cols
                  ? static_cast<Out>(hn::GetLane(LoadWide(one, from + column)) *
                                     factors[column])
                  : Out{0};
      if constexpr (kMeasure) {
        if (column >= cols) continue;
        const double y = to[c] * weights[column];
        squares[i] += y * y;
      }
    }
    for (Index s = whole + 1; s < out.strips; ++s) {
      std::fill_n(out.strip(s) + i * kWidth, kWidth, Out{0});
    }
  }
  for (Index s = 0; s < out.strips; ++s) {
    std::fill(out.strip(s) + rows * kWidth, out.strip(s) + out.rows * kWidth,
              Out{0});
  }
}

// TwoSum of a tile into rows of hi and lo.
template <int kRows, int kStrips, int kFirst>
HWY_INLINE void AddTile(const Tile<double, kRows, kStrips>& tile,
                        Block<double> hi, Block<double> lo) {
  using TileType = Tile<double, kRows, kStrips>;
  const Tag<double> d;
  for (int row = 0; row < kRows; ++row) {
    double* HWY_RESTRICT high = hi.row(row);
    double* HWY_RESTRICT low = lo.row(row);
    for (int v = kFirst * kStripVectors<double>; v < TileType::kVectors; ++v) {
      const Index c = v * TileType::kLanes;
      const auto a = hn::Load(d, high + c);
      const auto b = tile.sum[row * TileType::kVectors + v];
      const auto sum = hn::Add(a, b);
      const auto b_part = hn::Sub(sum, a);
      const auto a_error = hn::Sub(a, hn::Sub(sum, b_part));
      const auto error = hn::Add(a_error, hn::Sub(b, b_part));
      hn::Store(sum, d, high + c);
      hn::Store(hn::Add(hn::Load(d, low + c), error), d, low + c);
    }
  }
}

// One strip of A against kStrips of B, those from kFirst on.
template <int kStrips, int kFirst>
void GramTiles(const double* a, StripBlock<const double> b, Block<double> hi,
               Block<double> lo) {
  constexpr Index kWidth = kStripColumns<double>;
  for (Index i = 0; i < kWidth; i += kTileRows) {
    Tile<double, kTileRows, kStrips> tile;
    tile.Clear();
    tile.template Add<kFirst>(a + i, 1, kWidth, b.data, b.pitch(), b.rows);
    AddTile<kTileRows, kStrips, kFirst>(tile, hi.Part(i, 0, kTileRows, hi.cols),
                                        lo.Part(i, 0, kTileRows, lo.cols));
  }
}

template <int kStrips, int kFirst = 0>
void GramTilesFrom(Index first, const double* a, StripBlock<const double> b,
                   Block<double> hi, Block<double> lo) {
  if constexpr (kFirst + 1 < kStrips) {
    if (first > kFirst) {
      GramTilesFrom<kStrips, kFirst + 1>(first, a, b, hi, lo);
      return;
    }
  }
  GramTiles<kStrips, kFirst>(a, b, hi, lo);
}

template <int kStrips>
void GramColumns(StripBlock<const double> a, StripBlock<const double> b,
                 Index j, bool upper, Block<double> hi, Block<double> lo,
                 Prefetch& prefetch) {
  constexpr Index kWidth = kStripColumns<double>;
  const Index last = upper ? j + kStrips : a.strips;
  for (Index i = 0; i < last; ++i) {
    const Index first = upper ? std::max<Index>(i - j, 0) : 0;
    prefetch.Some();
    GramTilesFrom<kStrips>(
        first, a.strip(i), {b.strip(j), b.rows, kStrips},
        hi.Part(i * kWidth, j * kWidth, kWidth, kStrips * kWidth),
        lo.Part(i * kWidth, j * kWidth, kWidth, kStrips * kWidth));
  }
}

void AddGramT(StripBlock<const double> a, StripBlock<const double> b,
              bool upper, Block<double> hi, Block<double> lo, ReadNext next) {
  const Index columns = (b.strips + kTileStrips - 1) / kTileStrips;
  Prefetch prefetch(next, columns * a.strips / (upper ? 2 : 1));
  Index j = 0;
  for (; j + kTileStrips <= b.strips; j += kTileStrips) {
    GramColumns<kTileStrips>(a, b, j, upper, hi, lo, prefetch);
  }
  if constexpr (kTileStrips > 2) {
    if (j + 2 <= b.strips) {
      GramColumns<2>(a, b, j, upper, hi, lo, prefetch);
      j += 2;
    }
  }
  if (j < b.strips) GramColumns<1>(a, b, j, upper, hi, lo, prefetch);
}

// sums of kTileRows rows += squares of a tile.
template <typename T, int kRows, int kStrips>
HWY_INLINE void AddSquaresOf(const Tile<T, kRows, kStrips>& tile, T* sums) {
  using TileType = Tile<T, kRows, kStrips>;
  constexpr int kPer = kStripVectors<T>;
  const Tag<T> d;
  for (int row = 0; row < kRows; ++row) {
    for (int v = 0; v < kPer; ++v) {
      T* HWY_RESTRICT at = sums + row * kStripColumns<T> + v * TileType::kLanes;
      auto sum = hn::Load(d, at);
      for (int s = v; s < TileType::kVectors; s += kPer) {
        const auto x = tile.sum[row * TileType::kVectors + s];
        sum = hn::MulAdd(x, x, sum);
      }
      hn::Store(sum, d, at);
    }
  }
}

// The last strips of an upper triangle: what begins kFirst strips in.
template <int kFirst, typename T, int kRows, int kStrips>
HWY_INLINE void AddTriangle(Tile<T, kRows, kStrips>& tile, const T* a,
                            Index a_strip, const T* b, Index b_strip) {
  if constexpr (kFirst < kStrips) {
    constexpr Index kWidth = kStripColumns<T>;
    tile.template Add<kFirst>(a + kFirst * a_strip, kWidth, 1,
                              b + kFirst * kWidth * kWidth, b_strip, kWidth);
    AddTriangle<kFirst + 1>(tile, a, a_strip, b, b_strip);
  }
}

// tile := rows of K that begin at `k`, `whole` strips of them, times strips
// j .. j + kStrips - 1 of B.
template <typename T, int kStrips>
HWY_INLINE void Product(const T* k, Index k_strip, StripBlock<const T> b,
                        Index j, Index whole, bool upper,
                        Tile<T, kTileRows, kStrips>& tile) {
  constexpr Index kWidth = kStripColumns<T>;
  const Index b_strip = b.pitch();
  tile.Clear();
  const T* right = b.strip(j);
  for (Index s = 0; s < whole; ++s) {
    tile.template Add<0>(k, kWidth, 1, right, b_strip, kWidth);
    k += k_strip;
    right += kWidth * kWidth;
  }
  if (upper) AddTriangle<0>(tile, k, k_strip, right, b_strip);
}

template <typename T, int kStrips>
void NormColumns(StripBlock<const T> k, StripBlock<const T> b, Index j,
                 bool upper, T* sums, Prefetch& prefetch) {
  constexpr Index kWidth = kStripColumns<T>;
  const Index whole = upper ? j : k.strips;
  for (Index i = 0; i < k.rows; i += kTileRows) {
    prefetch.Some();
    Tile<T, kTileRows, kStrips> tile;
    Product(k.data + i * kWidth, k.pitch(), b, j, whole, upper, tile);
    AddSquaresOf(tile, sums + i * kWidth);
  }
}

// The same with B upper triangular, kept.
template <int kStrips>
void ProductColumns(StripBlock<const double> k, StripBlock<const double> b,
                    Index j, StripBlock<double> out, Prefetch& prefetch) {
  constexpr Index kWidth = kStripColumns<double>;
  constexpr int kPer = kStripVectors<double>;
  using TileType = Tile<double, kTileRows, kStrips>;
  for (Index i = 0; i < k.rows; i += kTileRows) {
    prefetch.Some();
    TileType tile;
    Product(k.data + i * kWidth, k.pitch(), b, j, j, true, tile);
    for (Index row = 0; row < kTileRows; ++row) {
      for (int v = 0; v < TileType::kVectors; ++v) {
        hn::Store(tile.sum[row * TileType::kVectors + v], Tag<double>(),
                  out.strip(j + v / kPer) + (i + row) * kWidth +
                      v % kPer * TileType::kLanes);
      }
    }
  }
}

void MultiplyStripsT(StripBlock<const double> k, StripBlock<const double> b,
                     Index first, Index last, StripBlock<double> out,
                     ReadNext next) {
  const Index columns = (last - first + kTileStrips - 1) / kTileStrips;
  Prefetch prefetch(next, columns * (k.rows / kTileRows));
  Index j = first;
  for (; j + kTileStrips <= last; j += kTileStrips) {
    ProductColumns<kTileStrips>(k, b, j, out, prefetch);
  }
  if constexpr (kTileStrips > 2) {
    if (j + 2 <= last) {
      ProductColumns<2>(k, b, j, out, prefetch);
      j += 2;
    }
  }
  if (j < last) ProductColumns<1>(k, b, j, out, prefetch);
}

template <typename T>
void RowNormsT(StripBlock<const T> k, StripBlock<const T> b, bool upper,
               Index first, Index count, T* sums, T* norms, ReadNext next) {
  constexpr Index kWidth = kStripColumns<T>;
  std::fill_n(sums, k.rows * kWidth, T{0});
  const Index columns = (b.strips - first + kTileStrips - 1) / kTileStrips;
  Prefetch prefetch(next, columns * (k.rows / kTileRows));
  Index j = first;
  for (; j + kTileStrips <= b.strips; j += kTileStrips) {
    NormColumns<T, kTileStrips>(k, b, j, upper, sums, prefetch);
  }
  if constexpr (kTileStrips > 2) {
    if (j + 2 <= b.strips) {
      NormColumns<T, 2>(k, b, j, upper, sums, prefetch);
      j += 2;
    }
  }
  if (j < b.strips) NormColumns<T, 1>(k, b, j, upper, sums, prefetch);
  const Tag<T> d;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(d));
  for (Index i = 0; i < count; ++i) {
    const T* HWY_RESTRICT row = sums + i * kWidth;
    auto sum = hn::Load(d, row);
    for (Index c = kLanes; c < kWidth; c += kLanes) {
      sum = hn::Add(sum, hn::Load(d, row + c));
    }
    norms[i] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

void RowSquaresT(StripBlock<const float> k, Index strips, Index count,
                 float* squares) {
  constexpr Index kWidth = kStripColumns<float>;
  const Tag<float> d;
  constexpr Index kLanes = static_cast<Index>(hn::MaxLanes(d));
  for (Index i = 0; i < count; ++i) {
    auto sum = hn::Zero(d);
    for (Index s = 0; s < strips; ++s) {
      const float* HWY_RESTRICT row = k.strip(s) + i * kWidth;
      for (Index c = 0; c < kWidth; c += kLanes) {
        const auto x = hn::Load(d, row + c);
        sum = hn::MulAdd(x, x, sum);
      }
    }
    squares[i] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

// HWY_EXPORT takes names without angle brackets.
#define STEELYARD_PACK(name, In)                                               \
  void name##Double(const In* in, Index stride, const double* factors,         \
                    Index rows, Index cols, StripBlock<double> out) {          \
    PackStripsT<false>(in, stride, factors, nullptr, rows, cols, out,          \
                       nullptr);                                               \
  }                                                                            \
  void name##Measured(const In* in, Index stride, const double* factors,       \
                      const double* weights, Index rows, Index cols,           \
                      StripBlock<double> out, double* squares) {               \
    PackStripsT<true>(in, stride, factors, weights, rows, cols, out, squares); \
  }                                                                            \
  void name##Float(const In* in, Index stride, const double* factors,          \
                   Index rows, Index cols, StripBlock<float> out) {            \
    PackStripsT<false>(in, stride, factors, nullptr, rows, cols, out,          \
                       nullptr);                                               \
  }
STEELYARD_PACK(PackDouble, double)
STEELYARD_PACK(PackFloat, float)
STEELYARD_PACK(PackHalf, Half)
STEELYARD_PACK(PackBFloat, BFloat16)
#undef STEELYARD_PACK

void NormsDouble(StripBlock<const double> k, StripBlock<const double> b,
                 bool upper, Index first, Index count, double* sums,
                 double* norms, ReadNext next) {
  RowNormsT(k, b, upper, first, count, sums, norms, next);
}
void NormsFloat(StripBlock<const float> k, StripBlock<const float> b,
                bool upper, Index first, Index count, float* sums, float* norms,
                ReadNext next) {
  RowNormsT(k, b, upper, first, count, sums, norms, next);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(AddGramT);
HWY_EXPORT(NormsDouble);
HWY_EXPORT(NormsFloat);
HWY_EXPORT(RowSquaresT);
HWY_EXPORT(MultiplyStripsT);

#define STEELYARD_PACK(name, In)                                        \
  HWY_EXPORT(name##Double);                                             \
  HWY_EXPORT(name##Measured);                                           \
  HWY_EXPORT(name##Float);                                              \
  template <>                                                           \
  void PackStrips(const In* in, Index in_stride, const double* factors, \
                  Index rows, Index cols, StripBlock<double> out) {     \
    HWY_DYNAMIC_DISPATCH(name##Double)                                  \
    (in, in_stride, factors, rows, cols, out);                          \
  }                                                                     \
  template <>                                                           \
  void PackStrips(const In* in, Index in_stride, const double* factors, \
                  Index rows, Index cols, StripBlock<float> out) {      \
    HWY_DYNAMIC_DISPATCH(name##Float)                                   \
    (in, in_stride, factors, rows, cols, out);                          \
  }                                                                     \
  template <>                                                           \
  void PackStrips(const In* in, Index in_stride, const double* factors, \
                  const double* weights, Index rows, Index cols,        \
                  StripBlock<double> out, double* squares) {            \
    HWY_DYNAMIC_DISPATCH(name##Measured)                                \
    (in, in_stride, factors, weights, rows, cols, out, squares);        \
  }
STEELYARD_PACK(PackDouble, double)
STEELYARD_PACK(PackFloat, float)
STEELYARD_PACK(PackHalf, Half)
STEELYARD_PACK(PackBFloat, BFloat16)
#undef STEELYARD_PACK

void AddGram(StripBlock<const double> a, StripBlock<const double> b, bool upper,
             Block<double> hi, Block<double> lo, ReadNext next) {
  HWY_DYNAMIC_DISPATCH(AddGramT)(a, b, upper, hi, lo, next);
}

void MultiplyStrips(StripBlock<const double> k, StripBlock<const double> b,
                    Index first, Index last, StripBlock<double> out,
                    ReadNext next) {
  HWY_DYNAMIC_DISPATCH(MultiplyStripsT)(k, b, first, last, out, next);
}

void RowNorms(StripBlock<const double> k, StripBlock<const double> b,
              bool upper, Index first, Index count, double* sums, double* norms,
              ReadNext next) {
  HWY_DYNAMIC_DISPATCH(NormsDouble)
  (k, b, upper, first, count, sums, norms, next);
}
void RowNorms(StripBlock<const float> k, StripBlock<const float> b, bool upper,
              Index first, Index count, float* sums, float* norms,
              ReadNext next) {
  HWY_DYNAMIC_DISPATCH(NormsFloat)
  (k, b, upper, first, count, sums, norms, next);
}

void RowSquares(StripBlock<const float> k, Index strips, Index count,
                float* squares) {
  HWY_DYNAMIC_DISPATCH(RowSquaresT)(k, strips, count, squares);
}

}  // namespace steelyard
#endif  // HWY_ONCE
