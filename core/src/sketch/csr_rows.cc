#include "sketch/csr_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>
#include <variant>

#include "factor/row_kernels.h"

namespace steelyard {
namespace {

// 2^-e is a normal double for |e| up to this.
constexpr int kOneFactor = 1022;

// Values of one type, one after the other, as float64.
template <typename T>
void Widen(const T* in, Index count, double* out) {
  constexpr Index kWidth = 64;
  std::array<double, kWidth> ones;
  ones.fill(1.0);
  const Index rows = count / kWidth;
  WidenRows(in, kWidth, ones.data(), {out, rows, kWidth, kWidth});
  const Index done = rows * kWidth;
  WidenRows(in + done, 0, ones.data(), {out + done, 1, count - done, 0});
}

}  // namespace

CsrRows::CsrRows(const AnyCsrView& a, const std::vector<int>& exponents)
    : a_(a) {
  if (std::all_of(exponents.begin(), exponents.end(),
                  [](int e) { return e == 0; })) {
    return;
  }
  for (const int e : exponents) {
    const int half = std::abs(e) <= kOneFactor ? 0 : e / 2;
    first_.push_back(std::ldexp(1.0, half - e));
    second_.push_back(std::ldexp(1.0, -half));
  }
}

CsrBlock CsrRows::Load(Index first, Index last, Index rows_max,
                       Index entries_max, AlignedVector<double>& values) const {
  return std::visit(
      [&](const auto& view) {
        const std::int64_t* const offsets = view.row_offsets() + first;
        const Index most = std::min(rows_max, last - first);
        // The last row whose entries end within the limit.
        const std::int64_t* const end =
            std::upper_bound(offsets + 1, offsets + most + 1,
                             offsets[0] + entries_max) -
            1;
        CsrBlock block{.first = first,
                       .rows = std::max<Index>(end - offsets, 1),
                       .offsets = offsets,
                       .columns = view.column_indices() + offsets[0]};
        const Index count = offsets[block.rows] - offsets[0];
        using T = std::remove_cvref_t<decltype(*view.values())>;
        if constexpr (std::is_same_v<T, double>) {
          block.values = view.values() + offsets[0];
          if (first_.empty()) return block;
        }
        if (static_cast<Index>(values.size()) < count) {
          values.resize(static_cast<std::size_t>(count));
        }
        Widen(view.values() + offsets[0], count, values.data());
        if (!first_.empty()) {
          for (Index e = 0; e < count; ++e) {
            const auto c = static_cast<std::size_t>(block.columns[e]);
            double& value = values[static_cast<std::size_t>(e)];
            value = value * first_[c] * second_[c];
          }
        }
        block.values = values.data();
        return block;
      },
      a_);
}

}  // namespace steelyard
