#include "universal_set/norm_bound.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "linalg/blas.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;

double Real(Index i) { return static_cast<double>(i); }

double SquaredFrobenius(Block<const double> upper) {
  double sum = 0.0;
  for (Index i = 0; i < upper.rows; ++i) {
    for (Index j = i; j < upper.cols; ++j) sum += upper(i, j) * upper(i, j);
  }
  return sum;
}

// Upper triangle of A A' for an upper triangle A, whose zeros are not
// multiplied.
Matrix<double> UpperSquare(Block<const double> a) {
  constexpr Index kStep = 64;
  const Index m = a.rows;
  Matrix<double> square(m, m);
  for (Index j = 0; j < m; j += kStep) {
    const Index cols = std::min(kStep, m - j);
    Gemm(1.0, a.Part(0, j, j + cols, m - j),
         Transposed(a.Part(j, j, cols, m - j)), 0.0,
         BlockOf(square).Part(0, j, j + cols, cols));
  }
  return square;
}

// Does Cholesky of c I - T go through? `work` is as large as T.
bool Dominates(double c, const Matrix<double>& t, Matrix<double>& work) {
  const Index m = t.rows();
  for (Index i = 0; i < m; ++i) {
    for (Index j = i; j < m; ++j) work(i, j) = -t(i, j);
    work(i, i) += c;
  }
  return PotrfUpper(BlockOf(work)) < 0;
}

}  // namespace

double LargestSquareEstimate(Block<const double> upper) {
  constexpr int kSteps = 8;
  const Index m = upper.rows;
  std::vector<double> x(static_cast<std::size_t>(m), 1.0);
  std::vector<double> y(static_cast<std::size_t>(m));
  double square = 0.0;
  for (int step = 0; step < kSteps; ++step) {
    // x := A'A x / ||A'A x||
    for (Index i = 0; i < m; ++i) {
      y[static_cast<std::size_t>(i)] =
          Dot(upper.row(i) + i, x.data() + i, m - i);
    }
    std::fill(x.begin(), x.end(), 0.0);
    for (Index i = 0; i < m; ++i) {
      AddScaled(y[static_cast<std::size_t>(i)], upper.row(i) + i, x.data() + i,
                m - i);
    }
    const double norm = std::sqrt(Dot(x.data(), x.data(), m));
    // The first x has norm sqrt(m).
    square = step == 0 ? norm / std::sqrt(Real(m)) : norm;
    if (!(norm > 0.0 && std::isfinite(norm))) return norm;
    Scale(1.0 / norm, x.data(), m);
  }
  return square;
}

double LargestSquareBound(Block<const double> upper) {
  constexpr double kAbove = 1.05;
  constexpr double kGrowth = 1.1;
  const Index m = upper.rows;
  // T is off by m u ||A||_F^2 <= m^2 u ||A||_2^2 in norm (Higham, 3.5); Rump's
  // term is (m + 2) u m c; 8 m^2 u c covers both and the subtraction.
  const double rounding = 1.0 + 8.0 * Real(m + 1) * Real(m + 1) * kUnitRoundoff;
  const double most = SquaredFrobenius(upper) * rounding;
  const double least = LargestSquareEstimate(upper);
  // Where products might overflow or lose digits, nothing is said.
  constexpr double kExtreme = 0x1p900;
  if (!(most < kExtreme && least > 1.0 / kExtreme)) {
    return std::numeric_limits<double>::infinity();
  }
  const Matrix<double> t = UpperSquare(upper);
  Matrix<double> work(m, m);
  for (double c = kAbove * least; c < most; c *= kGrowth) {
    if (Dominates(c, t, work)) return c * rounding;
  }
  return most;
}

Matrix<double> InverseForLengths(const Matrix<double>& inverse,
                                 const ColumnScales& scales,
                                 const RowLengths& lengths) {
  // k' 2^-e S = (k' F) (F^-1 2^-e S), F the factors of the lengths.
  const Index d = inverse.cols();
  Matrix<double> right(d, d);
  for (Index i = 0; i < d; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double factor =
        std::ldexp(1.0 / lengths.factors[at], -scales.exponents[at]);
    for (Index j = i; j < d; ++j) right(i, j) = factor * inverse(i, j);
  }
  return right;
}

}  // namespace steelyard
