// Dense row-major float64 and float32 matrices that own their memory.
#pragma once

#include <cstddef>
#include <new>
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

// rows x cols, row-major, zero at birth. Extents may be 0 (no answer yet).
template <typename T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(Index rows, Index cols)
      : rows_(rows),
        cols_(cols),
        data_(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols)) {
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
  AlignedVector<T> data_;
};

}  // namespace steelyard
