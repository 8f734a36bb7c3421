#include "tests/support/long_double_householder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <variant>

#include "tests/support/matrices.h"

namespace steelyard::test {
namespace {

using Wide = Matrix<long double>;

long double ColumnSquare(const Wide& a, Index column, Index first_row) {
  long double sum = 0.0L;
  for (Index i = first_row; i < a.rows(); ++i) {
    sum += a(i, column) * a(i, column);
  }
  return sum;
}

void SwapColumns(Wide& a, Index j, Index k) {
  for (Index i = 0; i < a.rows(); ++i) std::swap(a(i, j), a(i, k));
}

// Column `column` of `to` gets (I - 2 v v') applied; v is in column k of
// `vectors` from row k down, of length 1 (or 0: the identity).
void Reflect(const Wide& vectors, Index k, Wide& to, Index column) {
  long double dot = 0.0L;
  for (Index i = k; i < to.rows(); ++i) dot += vectors(i, k) * to(i, column);
  for (Index i = k; i < to.rows(); ++i) {
    to(i, column) -= 2.0L * dot * vectors(i, k);
  }
}

// Puts the unit vector whose reflection clears column k of `work` below row k
// into `vectors`.
void MakeReflector(const Wide& work, Index k, Wide& vectors) {
  const long double norm = std::sqrt(ColumnSquare(work, k, k));
  if (norm == 0.0L) return;
  for (Index i = k; i < work.rows(); ++i) vectors(i, k) = work(i, k) / norm;
  vectors(k, k) += vectors(k, k) < 0.0L ? -1.0L : 1.0L;
  const long double length = std::sqrt(ColumnSquare(vectors, k, k));
  for (Index i = k; i < work.rows(); ++i) vectors(i, k) /= length;
}

// Turns columns j and k of a until they are orthogonal; true if they were not.
bool JacobiRotate(Wide& a, Index j, Index k) {
  long double jj = 0.0L;
  long double kk = 0.0L;
  long double jk = 0.0L;
  for (Index i = 0; i < a.rows(); ++i) {
    jj += a(i, j) * a(i, j);
    kk += a(i, k) * a(i, k);
    jk += a(i, j) * a(i, k);
  }
  if (std::abs(jk) <= 0x1p-63L * std::sqrt(jj * kk)) return false;
  const long double zeta = (kk - jj) / (2.0L * jk);
  const long double t = (zeta < 0.0L ? -1.0L : 1.0L) /
                        (std::abs(zeta) + std::sqrt(1.0L + zeta * zeta));
  const long double c = 1.0L / std::sqrt(1.0L + t * t);
  for (Index i = 0; i < a.rows(); ++i) {
    const long double x = a(i, j);
    a(i, j) = c * (x - t * a(i, k));
    a(i, k) = c * (t * x + a(i, k));
  }
  return true;
}

}  // namespace

Matrix<long double> Widened(const AnyMatrixView& a) {
  Wide wide(Rows(a), Cols(a));
  std::visit(
      [&](const auto& view) {
        for (Index i = 0; i < view.rows(); ++i) {
          for (Index j = 0; j < view.cols(); ++j) {
            wide(i, j) = static_cast<long double>(ValueOf(view(i, j)));
          }
        }
      },
      a);
  return wide;
}

LongDoubleQr LongDoubleHouseholder(const Matrix<long double>& a) {
  const Index steps = std::min(a.rows(), a.cols());
  Wide work = a;
  Wide vectors(a.rows(), steps);
  LongDoubleQr qr{Wide(steps, a.cols()), {}, Wide(a.rows(), steps)};
  qr.order.resize(static_cast<std::size_t>(a.cols()));
  std::iota(qr.order.begin(), qr.order.end(), Index{0});
  for (Index k = 0; k < steps; ++k) {
    Index pivot = k;
    long double largest = -1.0L;
    for (Index j = k; j < a.cols(); ++j) {
      const long double square = ColumnSquare(work, j, k);
      if (square > largest) {
        largest = square;
        pivot = j;
      }
    }
    SwapColumns(work, k, pivot);
    std::swap(qr.order[static_cast<std::size_t>(k)],
              qr.order[static_cast<std::size_t>(pivot)]);
    MakeReflector(work, k, vectors);
    for (Index j = k; j < a.cols(); ++j) Reflect(vectors, k, work, j);
  }
  for (Index i = 0; i < steps; ++i) {
    for (Index j = i; j < a.cols(); ++j) qr.r(i, j) = work(i, j);
    qr.q(i, i) = 1.0L;
  }
  for (Index k = steps - 1; k >= 0; --k) {
    for (Index j = 0; j < steps; ++j) Reflect(vectors, k, qr.q, j);
  }
  return qr;
}

std::vector<long double> LongDoubleLeverages(const AnyMatrixView& keys,
                                             Index rank) {
  const LongDoubleQr qr = LongDoubleHouseholder(Widened(keys));
  const Index columns = rank == 0 ? qr.q.cols() : rank;
  std::vector<long double> leverages;
  for (Index i = 0; i < qr.q.rows(); ++i) {
    long double sum = 0.0L;
    for (Index j = 0; j < columns; ++j) sum += qr.q(i, j) * qr.q(i, j);
    leverages.push_back(sum);
  }
  return leverages;
}

std::vector<long double> LongDoubleSingularValues(const AnyMatrixView& a) {
  return LongDoubleSingularValues(Widened(a));
}

std::vector<long double> LongDoubleSingularValues(
    const Matrix<long double>& a) {
  const LongDoubleQr qr = LongDoubleHouseholder(a);
  // Columns of R' : its rows, already graded by the pivoting.
  Wide turned(qr.r.cols(), qr.r.rows());
  for (Index i = 0; i < qr.r.rows(); ++i) {
    for (Index j = 0; j < qr.r.cols(); ++j) turned(j, i) = qr.r(i, j);
  }
  constexpr int kSweeps = 60;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool turned_any = false;
    for (Index j = 0; j < turned.cols(); ++j) {
      for (Index k = j + 1; k < turned.cols(); ++k) {
        turned_any = JacobiRotate(turned, j, k) || turned_any;
      }
    }
    if (!turned_any) break;
  }
  std::vector<long double> values(static_cast<std::size_t>(a.cols()), 0.0L);
  for (Index j = 0; j < turned.cols(); ++j) {
    values[static_cast<std::size_t>(j)] = std::sqrt(ColumnSquare(turned, j, 0));
  }
  std::sort(values.rbegin(), values.rend());
  return values;
}

long double LongDoubleGramError(const AnyMatrixView& a,
                                const std::vector<int>& exponents,
                                const Matrix<double>& r) {
  Wide scaled = Widened(a);
  for (Index i = 0; i < scaled.rows(); ++i) {
    for (Index j = 0; j < scaled.cols(); ++j) {
      scaled(i, j) =
          std::ldexp(scaled(i, j), -exponents[static_cast<std::size_t>(j)]);
    }
  }
  const LongDoubleQr qr = LongDoubleHouseholder(scaled);
  const Index d = r.cols();
  // M R = R_exact, columns of R_exact back in their own order.
  Wide m(d, d);
  for (Index k = 0; k < d; ++k) {
    const Index column = qr.order[static_cast<std::size_t>(k)];
    for (Index i = 0; i < d; ++i) m(i, column) = qr.r(i, k);
  }
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < d; ++j) {
      for (Index k = 0; k < j; ++k) {
        m(i, j) -= m(i, k) * static_cast<long double>(r(k, j));
      }
      m(i, j) /= static_cast<long double>(r(j, j));
    }
  }
  long double square = 0.0L;
  for (Index i = 0; i < d; ++i) {
    for (Index j = 0; j < d; ++j) {
      long double entry = i == j ? -1.0L : 0.0L;
      for (Index k = 0; k < d; ++k) entry += m(k, i) * m(k, j);
      square += entry * entry;
    }
  }
  return std::sqrt(square);
}

}  // namespace steelyard::test
