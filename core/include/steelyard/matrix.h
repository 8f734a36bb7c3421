// Dense row-major float64 and float32 matrices that own their memory.
#pragma once

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#include "steelyard/matrix_view.h"

namespace steelyard {

// 64-byte aligned storage: one cache line, one AVX-512 register.
template <typename T>
struct CacheAlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheAlignedAllocator() = default;
  template <typename U>
  CacheAlignedAllocator(const CacheAlignedAllocator<U>&) {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* pointer, std::size_t) {
    ::operator delete(pointer, kAlignment);
  }
  bool operator==(const CacheAlignedAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, CacheAlignedAllocator<T>>;

// The same, whose elements have no value until they are given one.
template <typename T>
struct UnsetAllocator : CacheAlignedAllocator<T> {
  template <typename U>
  struct rebind {
    using other = UnsetAllocator<U>;
  };
  template <typename U, typename... Arguments>
  void construct(U* element, Arguments&&... arguments) {
    if constexpr (sizeof...(Arguments) == 0) {
      ::new (static_cast<void*>(element)) U;
    } else {
      ::new (static_cast<void*>(element))
          U(std::forward<Arguments>(arguments)...);
    }
  }
};

// rows x cols, row-major, zero at birth. Extents may be 0 (no answer yet).
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index cols)
      : rows_(rows),
        cols_(cols),
        data_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols),
              T{}) {}

  // Not zeroed: for matrices so large that filling them with zeros would hold
  // up a stop. Whoever makes one writes before reading.
  static Matrix Unset(Index rows, Index cols) {
    Matrix matrix;
    matrix.rows_ = rows;
    matrix.cols_ = cols;
    matrix.data_.resize(static_cast<std::size_t>(rows) *
                        static_cast<std::size_t>(cols));
    return matrix;
  }

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index size() const { return rows_ * cols_; }
  bool empty() const { return data_.empty(); }
  T* data() { return data_.data(); }
  const T* data() const { return data_.data(); }
  T* row(Index i) { return data_.data() + i * cols_; }
  const T* row(Index i) const { return data_.data() + i * cols_; }
  T& operator()(Index i, Index j) { return row(i)[j]; }
  const T& operator()(Index i, Index j) const { return row(i)[j]; }

  auto view() const  // MatrixView<T>, where T is a storage type
    requires KeyScalar<T>
  {
    return MatrixView<T>(data(), rows_, cols_);
  }

 private:
  Index rows_ = 0;
  Index cols_ = 0;
  std::vector<T, UnsetAllocator<T>> data_;
};

}  // namespace steelyard
