// Dense row-major matrices that somebody else owns, in the four storage types.
//
// Numbers are taken as exact whatever type stores them: every kernel widens
// them to float64 as it reads.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <variant>

#include "absl/base/macros.h"

namespace steelyard {

// Rows, columns, positions. Signed, so that differences are safe.
using Index = std::int64_t;

// IEEE binary16, by its bits.
struct Half {
  std::uint16_t bits;
};

// Upper half of an IEEE binary32, by its bits.
struct BFloat16 {
  std::uint16_t bits;
};

template <typename T>
concept KeyScalar =
    std::same_as<T, Half> || std::same_as<T, BFloat16> ||
    std::same_as<T, float> || std::same_as<T, double>;

// rows x cols numbers, row-major, without padding. Both extents are >= 1 and
// `data` is aligned for T; whoever makes a view guarantees that the memory
// outlives it.
template <KeyScalar T>
class MatrixView {
 public:
  MatrixView(const T* data, Index rows, Index cols)
      : data_(data), rows_(rows), cols_(cols) {
    ABSL_ASSERT(data != nullptr && rows >= 1 && cols >= 1);
  }

  const T* data() const { return data_; }
  const T* row(Index i) const { return data_ + i * cols_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  const T& operator()(Index i, Index j) const { return data_[i * cols_ + j]; }

 private:
  const T* data_;
  Index rows_;
  Index cols_;
};

// A matrix whose storage type is known at run time. One visit, at the place
// that reads panels of rows, decides it.
using AnyMatrixView = std::variant<MatrixView<double>, MatrixView<float>,
                                   MatrixView<Half>, MatrixView<BFloat16>>;

// How a stored number looks; the alternatives of AnyMatrixView, in its order.
enum class StorageType { kFloat64, kFloat32, kFloat16, kBFloat16 };

inline Index Rows(const AnyMatrixView& matrix) {
  return std::visit([](const auto& view) { return view.rows(); }, matrix);
}

inline Index Cols(const AnyMatrixView& matrix) {
  return std::visit([](const auto& view) { return view.cols(); }, matrix);
}

}  // namespace steelyard
