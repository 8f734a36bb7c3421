// Inputs and answers that the tests of kernel regressions share.
#pragma once

#include <cmath>
#include <vector>

#include "kernel/scaled_vector.h"
#include "steelyard/matrix.h"
#include "steelyard/random.h"
#include "steelyard/solution.h"

namespace steelyard::test {

// Rows of N(0, norm^2 / d I): of length about `norm`.
inline Matrix<double> RowsOfNorm(Index n, Index d, double norm,
                                 std::uint64_t seed) {
  const RandomStream stream{.seed = {seed}, .stream = 7};
  Matrix<double> a(n, d);
  for (Index i = 0; i < a.size(); ++i) {
    a.data()[i] = norm / std::sqrt(static_cast<double>(d)) *
                  stream.Normal(static_cast<std::uint64_t>(i));
  }
  return a;
}

inline void CopyRow(Matrix<double>& a, Index from, Index to) {
  for (Index c = 0; c < a.cols(); ++c) a(to, c) = a(from, c);
}

inline std::vector<double> ColumnOf(const Matrix<double>& b, Index column) {
  std::vector<double> out;
  for (Index i = 0; i < b.rows(); ++i) out.push_back(b(i, column));
  return out;
}

inline ScaledVector ScaledColumnOf(const Solution& solution, Index column) {
  ScaledVector out;
  const Index k = solution.x.cols();
  for (Index i = 0; i < solution.x.rows(); ++i) {
    const int exponent =
        solution.x_exponents.empty()
            ? 0
            : solution.x_exponents[static_cast<std::size_t>(i * k + column)];
    out.push_back(MakeScaled(solution.x(i, column), exponent));
  }
  return out;
}

}  // namespace steelyard::test
