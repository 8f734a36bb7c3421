#include "preconditioner/factor_product.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "preconditioner/factor_product.cc"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace steelyard {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<double>;
using Vector = hn::Vec<Tag>;

HWY_INLINE Vector Load(const double* from) { return hn::LoadU(Tag(), from); }

HWY_INLINE Vector Load(const float* from) {
  const Tag d;
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, Tag>(), from));
}

HWY_INLINE std::int64_t Lanes() {
  return static_cast<std::int64_t>(hn::Lanes(Tag()));
}

// Two sums a row, as a sum waits for the one before it.
template <typename T>
HWY_INLINE void AddFourProducts(const T* HWY_RESTRICT f, std::int64_t stride,
                                std::int64_t cols, const double* HWY_RESTRICT v,
                                double* HWY_RESTRICT sums) {
  const Tag d;
  const std::int64_t lanes = Lanes();
  const T* const f0 = f;
  const T* const f1 = f + stride;
  const T* const f2 = f + 2 * stride;
  const T* const f3 = f + 3 * stride;
  auto even0 = hn::Zero(d);
  auto even1 = hn::Zero(d);
  auto even2 = hn::Zero(d);
  auto even3 = hn::Zero(d);
  auto odd0 = hn::Zero(d);
  auto odd1 = hn::Zero(d);
  auto odd2 = hn::Zero(d);
  auto odd3 = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= cols; i += 2 * lanes) {
    const auto v0 = hn::LoadU(d, v + i);
    even0 = hn::MulAdd(Load(f0 + i), v0, even0);
    even1 = hn::MulAdd(Load(f1 + i), v0, even1);
    even2 = hn::MulAdd(Load(f2 + i), v0, even2);
    even3 = hn::MulAdd(Load(f3 + i), v0, even3);
    const auto v1 = hn::LoadU(d, v + i + lanes);
    odd0 = hn::MulAdd(Load(f0 + i + lanes), v1, odd0);
    odd1 = hn::MulAdd(Load(f1 + i + lanes), v1, odd1);
    odd2 = hn::MulAdd(Load(f2 + i + lanes), v1, odd2);
    odd3 = hn::MulAdd(Load(f3 + i + lanes), v1, odd3);
  }
  double total0 = hn::GetLane(hn::SumOfLanes(d, hn::Add(even0, odd0)));
  double total1 = hn::GetLane(hn::SumOfLanes(d, hn::Add(even1, odd1)));
  double total2 = hn::GetLane(hn::SumOfLanes(d, hn::Add(even2, odd2)));
  double total3 = hn::GetLane(hn::SumOfLanes(d, hn::Add(even3, odd3)));
  for (; i < cols; ++i) {
    total0 += static_cast<double>(f0[i]) * v[i];
    total1 += static_cast<double>(f1[i]) * v[i];
    total2 += static_cast<double>(f2[i]) * v[i];
    total3 += static_cast<double>(f3[i]) * v[i];
  }
  sums[0] += total0;
  sums[1] += total1;
  sums[2] += total2;
  sums[3] += total3;
}

template <typename T>
HWY_INLINE void AddProduct(const T* HWY_RESTRICT f, std::int64_t cols,
                           const double* HWY_RESTRICT v, double* sum) {
  const Tag d;
  const std::int64_t lanes = Lanes();
  auto lane_sums = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    lane_sums = hn::MulAdd(Load(f + i), hn::LoadU(d, v + i), lane_sums);
  }
  double total = hn::GetLane(hn::SumOfLanes(d, lane_sums));
  for (; i < cols; ++i) total += static_cast<double>(f[i]) * v[i];
  *sum += total;
}

template <typename T>
HWY_INLINE void Products(const FactorTile<T>& tile, const double* v,
                         double* sums) {
  std::int64_t j = 0;
  for (; j + 4 <= tile.rows; j += 4) {
    AddFourProducts(tile.data + j * tile.stride, tile.stride, tile.cols, v,
                    sums + j);
  }
  for (; j < tile.rows; ++j) {
    AddProduct(tile.data + j * tile.stride, tile.cols, v, sums + j);
  }
}

template <typename T>
HWY_INLINE void AddFour(const T* HWY_RESTRICT f, std::int64_t stride,
                        std::int64_t cols, const double* HWY_RESTRICT y,
                        double* HWY_RESTRICT out) {
  const Tag d;
  const std::int64_t lanes = Lanes();
  const T* const f0 = f;
  const T* const f1 = f + stride;
  const T* const f2 = f + 2 * stride;
  const T* const f3 = f + 3 * stride;
  const auto y0 = hn::Set(d, y[0]);
  const auto y1 = hn::Set(d, y[1]);
  const auto y2 = hn::Set(d, y[2]);
  const auto y3 = hn::Set(d, y[3]);
  std::int64_t i = 0;
  for (; i + lanes <= cols; i += lanes) {
    const auto first = hn::MulAdd(Load(f1 + i), y1, hn::Mul(Load(f0 + i), y0));
    const auto second = hn::MulAdd(Load(f3 + i), y3, hn::Mul(Load(f2 + i), y2));
    hn::StoreU(hn::Add(hn::LoadU(d, out + i), hn::Add(first, second)), d,
               out + i);
  }
  for (; i < cols; ++i) {
    out[i] +=
        (static_cast<double>(f0[i]) * y[0] +
         static_cast<double>(f1[i]) * y[1]) +
        (static_cast<double>(f2[i]) * y[2] + static_cast<double>(f3[i]) * y[3]);
  }
}

template <typename T>
HWY_INLINE void Combination(const FactorTile<T>& tile, const double* y,
                            double* HWY_RESTRICT out) {
  std::int64_t j = 0;
  for (; j + 4 <= tile.rows; j += 4) {
    AddFour(tile.data + j * tile.stride, tile.stride, tile.cols, y + j, out);
  }
  for (; j < tile.rows; ++j) {
    const T* const row = tile.data + j * tile.stride;
    for (std::int64_t i = 0; i < tile.cols; ++i) {
      out[i] += y[j] * static_cast<double>(row[i]);
    }
  }
}

void ProductsF64(const FactorTile<double>& tile, const double* v,
                 double* sums) {
  Products(tile, v, sums);
}

void ProductsF32(const FactorTile<float>& tile, const double* v, double* sums) {
  Products(tile, v, sums);
}

void CombinationF64(const FactorTile<double>& tile, const double* y,
                    double* out) {
  Combination(tile, y, out);
}

void CombinationF32(const FactorTile<float>& tile, const double* y,
                    double* out) {
  Combination(tile, y, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace steelyard
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace steelyard {

HWY_EXPORT(ProductsF64);
HWY_EXPORT(ProductsF32);
HWY_EXPORT(CombinationF64);
HWY_EXPORT(CombinationF32);

void AddProducts(const FactorTile<double>& tile, const double* v,
                 double* sums) {
  HWY_DYNAMIC_DISPATCH(ProductsF64)(tile, v, sums);
}

void AddProducts(const FactorTile<float>& tile, const double* v, double* sums) {
  HWY_DYNAMIC_DISPATCH(ProductsF32)(tile, v, sums);
}

void AddCombination(const FactorTile<double>& tile, const double* y,
                    double* out) {
  HWY_DYNAMIC_DISPATCH(CombinationF64)(tile, y, out);
}

void AddCombination(const FactorTile<float>& tile, const double* y,
                    double* out) {
  HWY_DYNAMIC_DISPATCH(CombinationF32)(tile, y, out);
}

}  // namespace steelyard
#endif  // HWY_ONCE
