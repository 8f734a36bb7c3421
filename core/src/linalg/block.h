// Rectangles of row-major matrices: what every routine of this room reads and
// writes.
#pragma once

#include <type_traits>

#include "steelyard/matrix.h"

namespace steelyard {

// rows x cols numbers at `data`, row i starting at data + i * stride. Extents
// may be 0. Copies of a block are the same rectangle.
template <typename T>
struct Block {
  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  T* row(Index i) const { return data + i * stride; }
  T& operator()(Index i, Index j) const { return row(i)[j]; }

  operator Block<const T>() const  // NOLINT: what is written may be read
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }

  // The part that starts at (i, j).
  Block Part(Index i, Index j, Index part_rows, Index part_cols) const {
    return {data + i * stride + j, part_rows, part_cols, stride};
  }
};

template <typename T>
Block<T> BlockOf(Matrix<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols(), matrix.cols()};
}

template <typename T>
Block<const T> BlockOf(const Matrix<T>& matrix) {
  return {matrix.data(), matrix.rows(), matrix.cols(), matrix.cols()};
}

// A block that is read, perhaps as its transpose.
template <typename T>
struct Operand {
  Block<const T> block;
  bool transposed = false;

  // NOLINTBEGIN(google-explicit-constructor): a block reads as itself.
  Operand(const Block<T>& b) : block{b.data, b.rows, b.cols, b.stride} {}
  Operand(const Block<const T>& b) : block(b) {}
  // NOLINTEND(google-explicit-constructor)

  Index rows() const { return transposed ? block.cols : block.rows; }
  Index cols() const { return transposed ? block.rows : block.cols; }
};

template <typename T>
Operand<std::remove_const_t<T>> Transposed(const Block<T>& block) {
  Operand<std::remove_const_t<T>> operand(block);
  operand.transposed = true;
  return operand;
}

}  // namespace steelyard
