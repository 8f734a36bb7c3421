#include "kernel/fused_tile.h"

#include <algorithm>
#include <cstddef>
#include <utility>

// Compiled once for every target; this file includes itself (foreach_target).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/fused_tile.cc"
// clang-format off: the order counts
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Rows and vectors of columns that the registers of this target hold.
#if HWY_TARGET <= HWY_AVX3
constexpr int kRows = 8;
constexpr int kVectors = 3;
#else
constexpr int kRows = 6;
constexpr int kVectors = 2;
#endif

template <typename T>
using Tag = hn::CappedTag<T, 64 / sizeof(T)>;
template <typename T>
using Vector = hn::Vec<Tag<T>>;
template <typename T>
constexpr std::int64_t kLanes =
    static_cast<std::int64_t>(hn::MaxLanes(Tag<T>()));
// Columns of one step.
template <typename T>
constexpr std::int64_t kColumns = kVectors* kLanes<T>;

// Coefficients of f, f^2, ... of 2^f on [0, 1], of least relative error. The
// errors of the polynomials are 2.0e-9 and 3.2e-18.
template <typename T>
struct Exp2Series;
template <>
struct Exp2Series<float> {
  static constexpr float kTerms[] = {0x1.62e42cp-1f,  0x1.ebfd58p-3f,
                                     0x1.c68912p-5f,  0x1.3d0b92p-7f,
                                     0x1.46d64ep-10f, 0x1.c54174p-13f};
  static constexpr float kLeast = -126.0F;  // of normal results
  // Its sum with an integer has the biased exponent in its lowest bits.
  static constexpr float kMagic = 0x1.8p23F + 127.0F;
  static constexpr int kExponentShift = 23;
};
template <>
struct Exp2Series<double> {
  static constexpr double kTerms[] = {
      0x1.62e42fefa39f5p-1,  0x1.ebfbdff82c04bp-3,  0x1.c6b08d7065838p-5,
      0x1.3b2ab6f73415ep-7,  0x1.5d87ff4d22874p-10, 0x1.4308fa1dce4b1p-13,
      0x1.ffcfc6aa0fa7bp-17, 0x1.628f3580bf4b8p-20, 0x1.b85f42f1e6966p-24,
      0x1.c2c4781f7a633p-28, 0x1.58566fe5ab70ap-31};
  static constexpr double kLeast = -1022.0;
  static constexpr double kMagic = 0x1.8p52 + 1023.0;
  static constexpr int kExponentShift = 52;
};

template <typename T, std::size_t... I>
HWY_INLINE Vector<T> Series(Vector<T> f, std::index_sequence<I...>) {
  using S = Exp2Series<T>;
  const Tag<T> d;
  constexpr std::size_t kLast = sizeof...(I);
  auto p = hn::Set(d, S::kTerms[kLast]);
  ((p = hn::MulAdd(p, f, hn::Set(d, S::kTerms[kLast - 1 - I]))), ...);
  return hn::MulAdd(p, f, hn::Set(d, T{1}));
}

template <typename T>
HWY_INLINE Vector<T> Series(Vector<T> f) {
  return Series<T>(
      f, std::make_index_sequence<std::size(Exp2Series<T>::kTerms) - 1>());
}

#if HWY_TARGET <= HWY_AVX3
// t - floor(t), and p 2^floor(t) with a gradual underflow.
constexpr int kReduceDown = 0x09;
HWY_INLINE Vector<float> Exp2(Vector<float> t) {
  const auto f = Vector<float>{_mm512_reduce_ps(t.raw, kReduceDown)};
  return Vector<float>{_mm512_scalef_ps(Series<float>(f).raw, t.raw)};
}
HWY_INLINE Vector<double> Exp2(Vector<double> t) {
  const auto f = Vector<double>{_mm512_reduce_pd(t.raw, kReduceDown)};
  return Vector<double>{_mm512_scalef_pd(Series<double>(f).raw, t.raw)};
}
#else
template <class V, typename T = hn::TFromV<V>>
HWY_INLINE V Exp2(V t) {
  using S = Exp2Series<T>;
  const Tag<T> d;
  const auto n = hn::Floor(t);
  const auto bits = hn::BitCast(hn::RebindToUnsigned<Tag<T>>(),
                                hn::Add(n, hn::Set(d, S::kMagic)));
  const auto power = hn::BitCast(d, hn::ShiftLeft<S::kExponentShift>(bits));
  const auto value = hn::Mul(Series<T>(hn::Sub(t, n)), power);
  return hn::IfThenElseZero(hn::Ge(t, hn::Set(d, S::kLeast)), value);
}
#endif

// kRows rows by kVectors vectors of columns.
template <typename T>
struct Step {
  Vector<T> e[kRows * kVectors];

  using All = std::make_index_sequence<kRows * kVectors>;
  using Rows = std::make_index_sequence<kRows>;
  using Vectors = std::make_index_sequence<kVectors>;

  HWY_INLINE void Clear() { Clear(All()); }
  HWY_INLINE void Load(const T* from) { Load(from, All()); }
  HWY_INLINE void Store(T* to) const { Store(to, All()); }

  // e += products of `depth` coordinates.
  HWY_INLINE void AddDots(const T* HWY_RESTRICT rows,
                          const T* HWY_RESTRICT cols, std::int64_t depth) {
    Vector<T> right[kVectors];
    for (std::int64_t k = 0; k < depth; ++k) {
      LoadVectors(cols, right, Vectors());
      AddOuter(rows, right, Rows());
      rows += kFusedStrip<T>;
      cols += kFusedStrip<T>;
    }
  }

  // e := 2^min(0, scale e + row_offset + col_offset)
  HWY_INLINE void Exponentiate(T scale, const T* HWY_RESTRICT row_offset,
                               const T* HWY_RESTRICT col_offset) {
    Exponentiate(hn::Set(Tag<T>(), scale), row_offset, col_offset, Rows());
  }

  // sums[i] (a vector each) += e_i right
  HWY_INLINE void AddRowSums(const T* HWY_RESTRICT right,
                             T* HWY_RESTRICT sums) const {
    Vector<T> v[kVectors];
    LoadVectors(right, v, Vectors());
    AddRowSums(v, sums, Rows());
  }

  // sums += left' e
  HWY_INLINE void AddColSums(const T* HWY_RESTRICT left,
                             T* HWY_RESTRICT sums) const {
    Vector<T> sum[kVectors];
    LoadVectors(sums, sum, Vectors());
    AddColSums(left, sum, Rows());
    StoreVectors(sum, sums, Vectors());
  }

  HWY_INLINE void StoreRows(T* out, std::int64_t stride) const {
    StoreRows(out, stride, Rows());
  }

 private:
  static constexpr Tag<T> kTag{};

  template <std::size_t... I>
  HWY_INLINE void Clear(std::index_sequence<I...>) {
    ((e[I] = hn::Zero(kTag)), ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Load(const T* from, std::index_sequence<I...>) {
    ((e[I] = hn::Load(kTag, from + static_cast<std::int64_t>(I) * kLanes<T>)),
     ...);
  }
  template <std::size_t... I>
  HWY_INLINE void Store(T* to, std::index_sequence<I...>) const {
    (hn::Store(e[I], kTag, to + static_cast<std::int64_t>(I) * kLanes<T>), ...);
  }
  template <std::size_t... V>
  static HWY_INLINE void LoadVectors(const T* from, Vector<T>* out,
                                     std::index_sequence<V...>) {
    ((out[V] =
          hn::LoadU(kTag, from + static_cast<std::int64_t>(V) * kLanes<T>)),
     ...);
  }
  template <std::size_t... V>
  static HWY_INLINE void StoreVectors(const Vector<T>* from, T* out,
                                      std::index_sequence<V...>) {
    (hn::StoreU(from[V], kTag, out + static_cast<std::int64_t>(V) * kLanes<T>),
     ...);
  }

  template <std::size_t... R>
  HWY_INLINE void AddOuter(const T* rows, const Vector<T>* right,
                           std::index_sequence<R...>) {
    (AddOuterRow<R>(hn::Set(kTag, rows[R]), right, Vectors()), ...);
  }
  template <std::size_t R, std::size_t... V>
  HWY_INLINE void AddOuterRow(Vector<T> left, const Vector<T>* right,
                              std::index_sequence<V...>) {
    ((e[R * kVectors + V] = hn::MulAdd(left, right[V], e[R * kVectors + V])),
     ...);
  }

  template <std::size_t... R>
  HWY_INLINE void Exponentiate(Vector<T> scale, const T* row_offset,
                               const T* col_offset, std::index_sequence<R...>) {
    (ExponentiateRow<R>(scale, hn::Set(kTag, row_offset[R]), col_offset,
                        Vectors()),
     ...);
  }
  template <std::size_t R, std::size_t... V>
  HWY_INLINE void ExponentiateRow(Vector<T> scale, Vector<T> row_offset,
                                  const T* col_offset,
                                  std::index_sequence<V...>) {
    ((e[R * kVectors + V] = ExponentiateOne(
          e[R * kVectors + V], scale, row_offset,
          hn::LoadU(kTag,
                    col_offset + static_cast<std::int64_t>(V) * kLanes<T>))),
     ...);
  }
  static HWY_INLINE Vector<T> ExponentiateOne(Vector<T> dot, Vector<T> scale,
                                              Vector<T> row_offset,
                                              Vector<T> col_offset) {
    const auto t = hn::MulAdd(dot, scale, hn::Add(row_offset, col_offset));
    return Exp2(hn::Min(t, hn::Zero(kTag)));
  }

  template <std::size_t... R>
  HWY_INLINE void AddRowSums(const Vector<T>* v, T* sums,
                             std::index_sequence<R...>) const {
    (AddRowSum<R>(v, sums + static_cast<std::int64_t>(R) * kLanes<T>,
                  Vectors()),
     ...);
  }
  template <std::size_t R, std::size_t... V>
  HWY_INLINE void AddRowSum(const Vector<T>* v, T* sums,
                            std::index_sequence<V...>) const {
    auto sum = hn::Load(kTag, sums);
    ((sum = hn::MulAdd(e[R * kVectors + V], v[V], sum)), ...);
    hn::Store(sum, kTag, sums);
  }

  template <std::size_t... R>
  HWY_INLINE void AddColSums(const T* left, Vector<T>* sum,
                             std::index_sequence<R...>) const {
    (AddColSum<R>(hn::Set(kTag, left[R]), sum, Vectors()), ...);
  }
  template <std::size_t R, std::size_t... V>
  HWY_INLINE void AddColSum(Vector<T> left, Vector<T>* sum,
                            std::index_sequence<V...>) const {
    ((sum[V] = hn::MulAdd(e[R * kVectors + V], left, sum[V])), ...);
  }

  template <std::size_t... R>
  HWY_INLINE void StoreRows(T* out, std::int64_t stride,
                            std::index_sequence<R...>) const {
    (StoreVectors(e + R * kVectors, out + static_cast<std::int64_t>(R) * stride,
                  Vectors()),
     ...);
  }
};

// Entries of the diagonal of a tile whose rows are its columns.
template <typename T>
HWY_NOINLINE void SetDiagonal(std::int64_t row, std::int64_t col, T value,
                              T* step) {
  for (std::int64_t i = 0; i < kRows; ++i) {
    const std::int64_t j = row + i - col;
    if (j >= 0 && j < kColumns<T>) step[i * kColumns<T> + j] = value;
  }
}

// Makes the step at (row, col); false: there is a round to come.
template <typename T>
HWY_INLINE bool MakeStep(const FusedTile<T>& tile, std::int64_t row,
                         std::int64_t col, std::int64_t first, Step<T>& step) {
  constexpr std::int64_t kStrip = kFusedStrip<T>;
  const std::int64_t depth = std::min(kFusedDepth, tile.d - first);
  const std::int64_t all = tile.col_strips * kStrip;
  if (tile.made) {
    step.Load(tile.kept + row * all + col * kRows);
    return true;
  }
  const auto at = [&](const T* strips, std::int64_t i) {
    return strips + (i / kStrip * tile.d + first) * kStrip + i % kStrip;
  };
  T* partial = tile.partial + row * all + col * kRows;
  if (first == 0) {
    step.Clear();
  } else {
    step.Load(partial);
  }
  step.AddDots(at(tile.rows, row), at(tile.cols, col), depth);
  if (first + depth < tile.d) {
    step.Store(partial);
    return false;
  }
  step.Exponentiate(tile.scale, tile.row_offset + row, tile.col_offset + col);
  if (tile.unit_diagonal && row < col + kColumns<T> && col < row + kRows) {
    HWY_ALIGN T entries[kRows * kColumns<T>];
    step.Store(entries);
    SetDiagonal(row, col, tile.diagonal, entries);
    step.Load(entries);
  }
  if (tile.kept != nullptr) step.Store(tile.kept + row * all + col * kRows);
  return true;
}

template <typename T>
HWY_INLINE void MultiplyTile(const FusedTile<T>& tile,
                             const FusedProduct<T>& product) {
  const Tag<T> tag;
  constexpr std::int64_t kSums = kRows * kLanes<T>;
  HWY_ALIGN T sums[kFusedVectorsMax * kSums];
  const std::int64_t rows = tile.row_strips * kFusedStrip<T>;
  const std::int64_t cols = tile.col_strips * kFusedStrip<T>;
  // One round will do where nothing is to be made.
  const std::int64_t d = tile.made ? 1 : tile.d;
  for (std::int64_t first = 0; first < d; first += kFusedDepth) {
    const bool last = first + kFusedDepth >= d;
    for (std::int64_t i = 0; i < rows; i += kRows) {
      std::fill(sums, sums + product.vectors * kSums, T{0});
      for (std::int64_t j = 0; j < cols; j += kColumns<T>) {
        Step<T> step;
        if (!MakeStep(tile, i, j, first, step)) continue;
        for (std::int64_t c = 0; c < product.vectors; ++c) {
          step.AddRowSums(product.right + c * product.right_stride + j,
                          sums + c * kSums);
          if (product.left == nullptr) continue;
          step.AddColSums(product.left + c * product.left_stride + i,
                          product.col_sums + c * product.col_stride + j);
        }
      }
      if (!last) continue;
      for (std::int64_t c = 0; c < product.vectors; ++c) {
        for (std::int64_t r = 0; r < kRows; ++r) {
          product.row_sums[c * product.row_stride + i + r] +=
              hn::GetLane(hn::SumOfLanes(
                  tag, hn::Load(tag, sums + c * kSums + r * kLanes<T>)));
        }
      }
    }
  }
}

template <typename T>
HWY_INLINE void FillTile(const FusedTile<T>& tile, T* out,
                         std::int64_t stride) {
  const std::int64_t rows = tile.row_strips * kFusedStrip<T>;
  const std::int64_t cols = tile.col_strips * kFusedStrip<T>;
  for (std::int64_t first = 0; first < tile.d; first += kFusedDepth) {
    for (std::int64_t i = 0; i < rows; i += kRows) {
      for (std::int64_t j = 0; j < cols; j += kColumns<T>) {
        Step<T> step;
        if (!MakeStep(tile, i, j, first, step)) continue;
        step.StoreRows(out + i * stride + j, stride);
      }
    }
  }
}

template <typename T>
HWY_INLINE void Exp2All(const T* t, std::int64_t count, T* out) {
  const Tag<T> tag;
  HWY_ALIGN T block[kLanes<T>];
  for (std::int64_t i = 0; i < count; i += kLanes<T>) {
    const std::int64_t some = std::min(kLanes<T>, count - i);
    std::fill(std::copy_n(t + i, some, block), block + kLanes<T>, T{0});
    hn::Store(Exp2(hn::Load(tag, block)), tag, block);
    std::copy_n(block, some, out + i);
  }
}

}  // namespace

void MultiplyF64(const FusedTile<double>& tile,
                 const FusedProduct<double>& product) {
  MultiplyTile(tile, product);
}
void MultiplyF32(const FusedTile<float>& tile,
                 const FusedProduct<float>& product) {
  MultiplyTile(tile, product);
}
void FillF64(const FusedTile<double>& tile, double* out, std::int64_t stride) {
  FillTile(tile, out, stride);
}
void FillF32(const FusedTile<float>& tile, float* out, std::int64_t stride) {
  FillTile(tile, out, stride);
}
void Exp2F64(const double* t, std::int64_t count, double* out) {
  Exp2All(t, count, out);
}
void Exp2F32(const float* t, std::int64_t count, float* out) {
  Exp2All(t, count, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(MultiplyF64);
HWY_EXPORT(MultiplyF32);
HWY_EXPORT(FillF64);
HWY_EXPORT(FillF32);
HWY_EXPORT(Exp2F64);
HWY_EXPORT(Exp2F32);

void MultiplyFusedTile(const FusedTile<double>& tile,
                       const FusedProduct<double>& product) {
  HWY_DYNAMIC_DISPATCH(MultiplyF64)(tile, product);
}

void MultiplyFusedTile(const FusedTile<float>& tile,
                       const FusedProduct<float>& product) {
  HWY_DYNAMIC_DISPATCH(MultiplyF32)(tile, product);
}

void FillFusedTile(const FusedTile<double>& tile, double* out,
                   std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(FillF64)(tile, out, stride);
}

void FillFusedTile(const FusedTile<float>& tile, float* out,
                   std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(FillF32)(tile, out, stride);
}

void FusedExp2(const double* t, std::int64_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(Exp2F64)(t, count, out);
}

void FusedExp2(const float* t, std::int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Exp2F32)(t, count, out);
}

namespace {

template <typename T>
void Pack(const double* rows, std::int64_t stride, std::int64_t count,
          std::int64_t d, T* strip) {
  constexpr std::int64_t kStrip = kFusedStrip<T>;
  std::fill(strip, strip + kStrip * d, T{0});
  // A few coordinates at a time: a line of every row is read once.
  constexpr std::int64_t kCoordinates = 8;
  for (std::int64_t first = 0; first < d; first += kCoordinates) {
    const std::int64_t last = std::min(d, first + kCoordinates);
    for (std::int64_t r = 0; r < count; ++r) {
      const double* row = rows + r * stride;
      for (std::int64_t k = first; k < last; ++k) {
        strip[k * kStrip + r] = static_cast<T>(row[k]);
      }
    }
  }
}

}  // namespace

void PackFusedStrip(const double* rows, std::int64_t stride, std::int64_t count,
                    std::int64_t d, double* strip) {
  Pack(rows, stride, count, d, strip);
}

void PackFusedStrip(const double* rows, std::int64_t stride, std::int64_t count,
                    std::int64_t d, float* strip) {
  Pack(rows, stride, count, d, strip);
}

}  // namespace steelyard
#endif  // HWY_ONCE
