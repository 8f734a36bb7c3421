// One matrix of a stored tensor, row-major, read as float64 by blocks of rows.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "client/tensor_files/sparse_file.h"
#include "client/tensor_files/stored_tensor.h"

namespace steelyard::verify {

using RowMatrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A view: the tensor must outlive it.
class Rows {
 public:
  // rows x columns from element `first` of the tensor.
  Rows(const tensor_files::StoredTensor& tensor, int64_t first, int64_t rows,
       int64_t columns)
      : tensor_(&tensor), first_(first), rows_(rows), columns_(columns) {}

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

  // The first `count` rows.
  Rows First(int64_t count) const {
    return {*tensor_, first_, count, columns_};
  }

  // Rows [first, first + count).
  RowMatrix Block(int64_t first, int64_t count) const;
  RowMatrix All() const { return Block(0, rows_); }

 private:
  const tensor_files::StoredTensor* tensor_;
  int64_t first_;
  int64_t rows_;
  int64_t columns_;
};

// The matrices of a tensor of 2 extents (one) or 3 (heads first).
std::vector<Rows> HeadsOf(const tensor_files::StoredTensor& tensor);

// All of a sparse matrix, zeros included.
RowMatrix WrittenOut(const tensor_files::StoredCsr& matrix);

}  // namespace steelyard::verify
