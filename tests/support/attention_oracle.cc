#include "tests/support/attention_oracle.h"

#include <cmath>

#include "tests/support/long_double_householder.h"

namespace steelyard::test {

Matrix<long double> BruteForceScores(const Matrix<long double>& queries,
                                     const Matrix<long double>& keys) {
  Matrix<long double> scores(queries.rows(), keys.rows());
  for (Index i = 0; i < queries.rows(); ++i) {
    long double total = 0.0L;
    for (Index j = 0; j < keys.rows(); ++j) {
      long double product = 0.0L;
      for (Index c = 0; c < keys.cols(); ++c) {
        product += queries(i, c) * keys(j, c);
      }
      scores(i, j) = product * product;
      total += scores(i, j);
    }
    for (Index j = 0; total > 0.0L && j < keys.rows(); ++j) {
      scores(i, j) /= total;
    }
  }
  return scores;
}

Matrix<long double> AttainingQueries(const AnyMatrixView& keys, Index rank) {
  const Matrix<long double> k = Widened(keys);
  const LongDoubleQr qr = LongDoubleHouseholder(k);
  const Index d = k.cols();
  const Index r = rank > 0 ? rank : std::min(k.rows(), d);
  // K P = Q R: the query x with R x = Q' e_j in pivoted order solves K x = the
  // projection of e_j, which is what (K'K)^+ k_j does up to its null space.
  Matrix<long double> queries(k.rows(), d);
  for (Index j = 0; j < k.rows(); ++j) {
    for (Index row = r - 1; row >= 0; --row) {
      long double value = qr.q(j, row);
      for (Index c = row + 1; c < r; ++c) {
        value -= qr.r(row, c) * queries(j, qr.order[static_cast<size_t>(c)]);
      }
      queries(j, qr.order[static_cast<size_t>(row)]) = value / qr.r(row, row);
    }
  }
  return queries;
}

}  // namespace steelyard::test
