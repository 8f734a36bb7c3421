// Sparse matrices for tests: made from a dense one, and made dense again.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "steelyard/csr_view.h"
#include "tests/support/matrices.h"

namespace steelyard::test {

// Owns what a CsrView refers to.
template <KeyScalar T>
struct SparseMatrix {
  Index rows = 1;
  Index cols = 1;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> columns;
  std::vector<T> values;

  CsrView<T> view() const {
    // An empty vector has no memory to point to, and none is read.
    return {offsets.data(), columns.data(), values.data(),
            rows,           cols,           static_cast<Index>(values.size())};
  }

  // The oracle: every stored number where it belongs.
  Matrix<double> Dense() const {
    Matrix<double> dense(rows, cols);
    for (Index i = 0; i < rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      for (auto e = offsets[row]; e < offsets[row + 1]; ++e) {
        const auto at = static_cast<std::size_t>(e);
        dense(i, columns[at]) = ValueOf(values[at]);
      }
    }
    return dense;
  }
};

// Entries of `dense` that are not zero, rounded to T. `stored_zeros`: every
// seventh zero is stored as one.
template <KeyScalar T>
SparseMatrix<T> SparseOf(const Matrix<double>& dense,
                         bool stored_zeros = false) {
  SparseMatrix<T> sparse;
  sparse.rows = dense.rows();
  sparse.cols = dense.cols();
  sparse.offsets.push_back(0);
  Index zeros = 0;
  for (Index i = 0; i < dense.rows(); ++i) {
    for (Index j = 0; j < dense.cols(); ++j) {
      const double x = dense(i, j);
      if (x == 0.0 && !(stored_zeros && ++zeros % 7 == 0)) continue;
      sparse.columns.push_back(static_cast<std::int32_t>(j));
      sparse.values.push_back(RoundTo<T>(x));
    }
    sparse.offsets.push_back(static_cast<std::int64_t>(sparse.values.size()));
  }
  return sparse;
}

// Independent normals where a coin of probability `density` says so. Column
// 2 i + 1 is then turned towards its neighbour until only delta_i of its own
// entries is left, delta_i falling geometrically from 1 to about 1 / cond.
inline Matrix<double> SparseNumbers(Index rows, Index cols, double density,
                                    double cond, Seed seed) {
  Matrix<double> a(rows, cols);
  const RandomStream coins{seed, 1};
  const RandomStream numbers{seed, 2};
  for (Index e = 0; e < a.size(); ++e) {
    const auto at = static_cast<std::uint64_t>(e);
    if (coins.Uniform(at) < density) a.data()[e] = numbers.Normal(at);
  }
  const std::vector<double> delta =
      GeometricValues(std::max<Index>(2, cols / 2), cond);
  for (Index pair = 0; 2 * pair + 1 < cols; ++pair) {
    for (Index i = 0; i < rows; ++i) {
      double& x = a(i, 2 * pair + 1);
      x = a(i, 2 * pair) + delta[static_cast<std::size_t>(pair)] * x;
    }
  }
  return a;
}

}  // namespace steelyard::test
