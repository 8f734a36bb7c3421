// Matrices of the test support as the tensors that the checks read.
#pragma once

#include <cmath>
#include <vector>

#include "client/tensor_files/stored_tensor.h"
#include "tests/support/matrices.h"

namespace steelyard::test {

inline tensor_files::StoredTensor TensorOf(const Matrix<double>& matrix) {
  std::vector<double> numbers;
  for (Index i = 0; i < matrix.rows(); ++i) {
    for (Index j = 0; j < matrix.cols(); ++j) numbers.push_back(matrix(i, j));
  }
  return tensor_files::StoredTensor::Of(numbers,
                                        {matrix.rows(), matrix.cols()});
}

// n x d normal keys of which the first `loud` are 10 times as long: some of
// their leverage scores are far above d / n.
inline Matrix<double> UnevenKeys(Index n, Index d, Index loud, Seed seed) {
  Matrix<double> keys = NormalMatrix(n, d, seed);
  for (Index i = 0; i < loud; ++i) {
    for (Index j = 0; j < d; ++j) keys(i, j) *= 10.0;
  }
  return keys;
}

}  // namespace steelyard::test
