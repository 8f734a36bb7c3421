// d x k blocks of vectors whose size does not fit a double: kappa^(2j) exceeds
// 1e308 long before x is lost, and A may hold entries of 1e300 or 1e-300.
//
// A column is (hi + lo) * 2^exponent, one integer exponent a column. Scaling by
// powers of two is exact; what falls 2^-1000 below the largest entry of its
// column becomes 0.
//
// SOURCE  NUMERICS N1, "renormalise after every level".
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/matrix.h"

namespace steelyard {

struct ScaledBlock {
  Matrix<double> hi;                    // d x k
  Matrix<double> lo;                    // d x k, or empty: zero
  std::vector<std::int64_t> exponents;  // k

  ScaledBlock() = default;
  ScaledBlock(Index d, Index k)
      : hi(d, k), exponents(static_cast<std::size_t>(k), 0) {}

  Index rows() const { return hi.rows(); }
  Index cols() const { return hi.cols(); }
  bool has_low() const { return !lo.empty(); }
};

// Row i *= 2^(times * row_exponents[i]); then every column is brought to a
// largest entry in [1, 2). The value changes by exactly the row scaling.
void ScaleRows(const std::vector<int>& row_exponents, int times,
               ScaledBlock& block);

// a += b, both as they are (no low parts). The sum takes the larger exponent.
void AddTo(const ScaledBlock& b, ScaledBlock& a);

// Sums of squares and Euclidean norms of the columns, in row order.
std::vector<double> SquaresOfColumns(const Matrix<double>& block);
std::vector<double> NormsOfColumns(const Matrix<double>& block);

// log2 of the Euclidean norm of each column; -infinity for a zero column.
std::vector<double> Log2Norms(const ScaledBlock& block);

}  // namespace steelyard
