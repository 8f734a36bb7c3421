#include "kernel/vector_block.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

// What is new in a row must have this square of its length.
constexpr double kNewSquare = 1e-10;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

Block<const double> Columns(const Matrix<double>& m, Index first, Index count) {
  return {m.data() + first, m.rows(), count, m.cols()};
}

// Rows chosen, and the triangle T with T T' = their Gram (lower, m x m).
struct Pivots {
  std::vector<Index> rows;
  Matrix<double> lower;
};

Pivots PivotedCholesky(Matrix<double> gram) {
  const Index k = gram.rows();
  Pivots pivots;
  std::vector<double> rest(At(k));
  for (Index i = 0; i < k; ++i) rest[At(i)] = gram(i, i);
  // Column j of the factor of all rows.
  Matrix<double> factor(k, k);
  for (Index j = 0; j < k; ++j) {
    const auto largest = std::max_element(rest.begin(), rest.end());
    if (!(*largest > kNewSquare)) break;
    const auto pivot = static_cast<Index>(largest - rest.begin());
    const double root = std::sqrt(*largest);
    for (Index i = 0; i < k; ++i) {
      double value = gram(i, pivot);
      for (Index t = 0; t < j; ++t) value -= factor(i, t) * factor(pivot, t);
      factor(i, j) = value / root;
    }
    factor(pivot, j) = root;
    for (Index i = 0; i < k; ++i) {
      rest[At(i)] -= factor(i, j) * factor(i, j);
    }
    rest[At(pivot)] = -1.0;
    for (const Index taken : pivots.rows) rest[At(taken)] = -1.0;
    pivots.rows.push_back(pivot);
  }
  const auto m = static_cast<Index>(pivots.rows.size());
  pivots.lower = Matrix<double>(m, m);
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j <= i; ++j) {
      pivots.lower(i, j) = factor(pivots.rows[At(i)], j);
    }
  }
  return pivots;
}

// T^-1 of a lower triangle.
Matrix<double> LowerInverse(const Matrix<double>& t) {
  const Index m = t.rows();
  Matrix<double> inverse(m, m);
  for (Index c = 0; c < m; ++c) {
    for (Index i = c; i < m; ++i) {
      double value = i == c ? 1.0 : 0.0;
      for (Index j = c; j < i; ++j) value -= t(i, j) * inverse(j, c);
      inverse(i, c) = value / t(i, i);
    }
  }
  return inverse;
}

// One round: independent rows of `d`, times a triangle.
Matrix<double> OneRound(const Matrix<double>& d, const Workers& workers) {
  Matrix<double> gram = GramOf(d, d, workers);
  const Index k = d.rows();
  std::vector<double> length(At(k));
  for (Index i = 0; i < k; ++i) {
    const double square = gram(i, i);
    length[At(i)] =
        square > 0.0 && std::isfinite(square) ? std::sqrt(square) : 0.0;
  }
  for (Index i = 0; i < k; ++i) {
    for (Index j = 0; j < k; ++j) {
      const double scale = length[At(i)] * length[At(j)];
      gram(i, j) = scale > 0.0 ? gram(i, j) / scale : 0.0;
    }
  }
  const Pivots pivots = PivotedCholesky(std::move(gram));
  const auto m = static_cast<Index>(pivots.rows.size());
  Matrix<double> t = LowerInverse(pivots.lower);
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < m; ++j) t(i, j) /= length[At(pivots.rows[At(j)])];
  }
  Matrix<double> rows(m, d.cols());
  AddCombinations(t, TakeRows(d, pivots.rows, workers), rows, workers);
  return rows;
}

}  // namespace

void ForVectorPanels(
    Index n, const Workers& workers,
    absl::FunctionRef<void(Index panel, Index first, Index count)> body) {
  workers.ParallelFor((n + kVectorPanel - 1) / kVectorPanel, StopToken(),
                      [&](Index panel) {
                        const Index first = panel * kVectorPanel;
                        body(panel, first, std::min(kVectorPanel, n - first));
                      });
}

Matrix<double> GramOf(const Matrix<double>& a, const Matrix<double>& b,
                      const Workers& workers) {
  const Index n = a.cols();
  const Index panels = (n + kVectorPanel - 1) / kVectorPanel;
  Matrix<double> gram(a.rows(), b.rows());
  if (gram.size() == 0) return gram;
  Matrix<double> parts(panels, gram.size());
  ForVectorPanels(n, workers, [&](Index panel, Index first, Index count) {
    Gemm(1.0, Operand<double>(Columns(a, first, count)),
         Transposed(Columns(b, first, count)), 0.0,
         Block<double>{parts.row(panel), a.rows(), b.rows(), b.rows()});
  });
  for (Index panel = 0; panel < panels; ++panel) {
    AddScaled(1.0, parts.row(panel), gram.data(), gram.size());
  }
  return gram;
}

void AddCombinations(const Matrix<double>& t, const Matrix<double>& a,
                     Matrix<double>& b, const Workers& workers) {
  if (t.size() == 0) return;
  const Block<const double> factors{t.data(), t.rows(), t.cols(), t.cols()};
  ForVectorPanels(b.cols(), workers, [&](Index, Index first, Index count) {
    Gemm(1.0, Operand<double>(factors),
         Operand<double>(Columns(a, first, count)), 1.0,
         Block<double>{b.data() + first, b.rows(), count, b.cols()});
  });
}

OrthonormalRows Orthonormalise(const Matrix<double>& d,
                               const Workers& workers) {
  OrthonormalRows out;
  double square = 0.0;
  for (Index i = 0; i < d.cols(); ++i) square += d(0, i) * d(0, i);
  out.first_length = std::sqrt(square);
  out.rows = OneRound(OneRound(d, workers), workers);
  return out;
}

bool SolvePositive(const Matrix<double>& a, double floor, Matrix<double>& b) {
  const Index m = a.rows();
  Matrix<double> l(m, m);
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j <= i; ++j) {
      double value = 0.5 * (a(i, j) + a(j, i));
      for (Index t = 0; t < j; ++t) value -= l(i, t) * l(j, t);
      if (i != j) {
        l(i, j) = value / l(j, j);
      } else if (value > floor && std::isfinite(value)) {
        l(i, i) = std::sqrt(value);
      } else {
        return false;
      }
    }
  }
  for (Index c = 0; c < b.cols(); ++c) {
    for (Index i = 0; i < m; ++i) {
      double value = b(i, c);
      for (Index t = 0; t < i; ++t) value -= l(i, t) * b(t, c);
      b(i, c) = value / l(i, i);
    }
    for (Index i = m; i-- > 0;) {
      double value = b(i, c);
      for (Index t = i + 1; t < m; ++t) value -= l(t, i) * b(t, c);
      b(i, c) = value / l(i, i);
    }
  }
  return true;
}

Matrix<double> TakeRows(const Matrix<double>& from,
                        const std::vector<Index>& rows,
                        const Workers& workers) {
  Matrix<double> taken(static_cast<Index>(rows.size()), from.cols());
  workers.ParallelFor(taken.rows(), StopToken(), [&](Index c) {
    const double* row = from.row(rows[At(c)]);
    std::copy(row, row + from.cols(), taken.row(c));
  });
  return taken;
}

}  // namespace steelyard
