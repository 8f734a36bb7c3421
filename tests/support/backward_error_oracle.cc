#include "tests/support/backward_error_oracle.h"

#include <algorithm>
#include <cmath>

#include "tests/support/long_double_householder.h"

namespace steelyard::test {
namespace {

using Wide = Matrix<long double>;

long double Norm(const std::vector<long double>& v) {
  long double square = 0.0L;
  for (const long double x : v) square += x * x;
  return std::sqrt(square);
}

// Column j times 2^-exponents[j].
std::vector<int> ScaleColumns(Wide& a) {
  std::vector<int> exponents;
  for (Index j = 0; j < a.cols(); ++j) {
    std::vector<long double> column;
    for (Index i = 0; i < a.rows(); ++i) column.push_back(a(i, j));
    const long double norm = Norm(column);
    exponents.push_back(norm > 0.0L ? std::ilogb(norm) : 0);
    for (Index i = 0; i < a.rows(); ++i) {
      a(i, j) = std::ldexp(a(i, j), -exponents.back());
    }
  }
  return exponents;
}

}  // namespace

double LeastSquaresBackwardError(const Matrix<double>& a,
                                 const Matrix<double>& b,
                                 const std::vector<double>& x) {
  Wide scaled = Widened(a.view());
  const std::vector<int> exponents = ScaleColumns(scaled);
  std::vector<long double> z;
  for (std::size_t j = 0; j < x.size(); ++j) {
    z.push_back(std::ldexp(static_cast<long double>(x[j]), exponents[j]));
  }
  std::vector<long double> r;
  std::vector<long double> entries;
  for (Index i = 0; i < a.rows(); ++i) {
    long double sum = b(i, 0);
    for (Index j = 0; j < a.cols(); ++j) {
      entries.push_back(scaled(i, j));
      sum -= scaled(i, j) * z[static_cast<std::size_t>(j)];
    }
    r.push_back(sum);
  }
  const long double r_norm = Norm(r);
  const long double nu = r_norm / Norm(z);
  // Orthogonal to A and r the singular values are nu: only the span Q of both
  // is looked at, Q'[A, nu (I - w w')] with w = r / |r|, transposed.
  Wide joined(a.rows(), a.cols() + 1);
  for (Index i = 0; i < a.rows(); ++i) {
    std::copy_n(scaled.row(i), a.cols(), joined.row(i));
    joined(i, a.cols()) = r[static_cast<std::size_t>(i)] / r_norm;
  }
  const Wide q = LongDoubleHouseholder(joined).q;
  Wide inner(joined.cols(), q.cols());  // [A, w]'Q
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < joined.cols(); ++j) {
      for (Index k = 0; k < q.cols(); ++k) {
        inner(j, k) += joined(i, j) * q(i, k);
      }
    }
  }
  Wide stacked(a.cols() + q.cols(), q.cols());
  for (Index k = 0; k < q.cols(); ++k) {
    for (Index j = 0; j < a.cols(); ++j) stacked(j, k) = inner(j, k);
    for (Index l = 0; l < q.cols(); ++l) {
      stacked(a.cols() + l, k) = nu * ((k == l ? 1.0L : 0.0L) -
                                       inner(a.cols(), k) * inner(a.cols(), l));
    }
  }
  const long double least = LongDoubleSingularValues(stacked).back();
  return static_cast<double>(std::min(nu, least) / Norm(entries));
}

}  // namespace steelyard::test
