#include "tests/support/power_oracle.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace steelyard::test {
namespace {

using Vector = std::vector<long double>;

// Golden sections: 0.618^46 = 2e-10 of the first interval is left.
constexpr int kSections = 46;

std::size_t At(Index i) { return static_cast<std::size_t>(i); }

// x of A x = b by Gaussian elimination with row pivoting; empty: singular.
Vector Solve(Matrix<long double> a, Vector b) {
  const Index d = a.rows();
  for (Index k = 0; k < d; ++k) {
    Index pivot = k;
    for (Index i = k + 1; i < d; ++i) {
      if (std::abs(a(i, k)) > std::abs(a(pivot, k))) pivot = i;
    }
    if (a(pivot, k) == 0.0L) return {};
    for (Index c = 0; c < d; ++c) std::swap(a(k, c), a(pivot, c));
    std::swap(b[At(k)], b[At(pivot)]);
    for (Index i = k + 1; i < d; ++i) {
      const long double factor = a(i, k) / a(k, k);
      for (Index c = k; c < d; ++c) a(i, c) -= factor * a(k, c);
      b[At(i)] -= factor * b[At(k)];
    }
  }
  for (Index i = d - 1; i >= 0; --i) {
    for (Index c = i + 1; c < d; ++c) b[At(i)] -= a(i, c) * b[At(c)];
    b[At(i)] /= a(i, i);
  }
  return b;
}

long double Product(const Matrix<long double>& keys, Index j, const Vector& y) {
  long double sum = 0.0L;
  for (Index c = 0; c < keys.cols(); ++c) sum += keys(j, c) * y[At(c)];
  return sum;
}

long double Ratio(const Matrix<long double>& keys, Index j, const Vector& y,
                  double p) {
  const long double own = std::abs(Product(keys, j, y));
  if (own == 0.0L) return 0.0L;
  long double sum = 0.0L;
  for (Index i = 0; i < keys.rows(); ++i) {
    sum += std::pow(std::abs(Product(keys, i, y)) / own,
                    static_cast<long double>(p));
  }
  return 1.0L / sum;
}

// All y with <k_i, y> = 0 for the chosen d - 1 rows and <k_j, y> = 1.
void TryVertices(const Matrix<long double>& keys, Index j, Index first,
                 std::vector<Index>* rows, PowerOptimum* best) {
  const Index d = keys.cols();
  if (static_cast<Index>(rows->size()) == d - 1) {
    Matrix<long double> system(d, d);
    Vector right(At(d), 0.0L);
    for (Index i = 0; i < d; ++i) {
      const Index row = i + 1 < d ? (*rows)[At(i)] : j;
      for (Index c = 0; c < d; ++c) system(i, c) = keys(row, c);
    }
    right.back() = 1.0L;
    const Vector y = Solve(system, right);
    if (y.empty()) return;
    const long double ratio = Ratio(keys, j, y, 1.0);
    if (ratio > best->sensitivity) *best = {ratio, y};
    return;
  }
  for (Index i = first; i < keys.rows(); ++i) {
    if (i == j) continue;
    rows->push_back(i);
    TryVertices(keys, j, i + 1, rows, best);
    rows->pop_back();
  }
}

// G = K'K, and x'G y.
Matrix<long double> GramOf(const Matrix<long double>& keys) {
  Matrix<long double> gram(keys.cols(), keys.cols());
  for (Index i = 0; i < keys.rows(); ++i) {
    for (Index a = 0; a < keys.cols(); ++a) {
      for (Index b = 0; b < keys.cols(); ++b) {
        gram(a, b) += keys(i, a) * keys(i, b);
      }
    }
  }
  return gram;
}

long double Inner(const Matrix<long double>& gram, const Vector& x,
                  const Vector& y) {
  long double sum = 0.0L;
  for (Index a = 0; a < gram.rows(); ++a) {
    for (Index b = 0; b < gram.cols(); ++b) {
      sum += x[At(a)] * gram(a, b) * y[At(b)];
    }
  }
  return sum;
}

void Add(long double factor, const Vector& x, Vector* y) {
  for (std::size_t c = 0; c < x.size(); ++c) (*y)[c] += factor * x[c];
}

// The plane <k_j, y> = 1: its point of least ||K y||_2 and d - 1 directions in
// it, orthonormal in G and as long as that point.
struct Plane {
  Vector centre;
  std::vector<Vector> directions;
};

Plane PlaneOf(const Matrix<long double>& keys, Index j) {
  const Index d = keys.cols();
  const Matrix<long double> gram = GramOf(keys);
  Vector key(At(d));
  for (Index c = 0; c < d; ++c) key[At(c)] = keys(j, c);
  Plane plane{Solve(gram, key), {}};
  const long double own = Product(keys, j, plane.centre);
  for (long double& entry : plane.centre) entry /= own;
  const long double length = std::sqrt(Inner(gram, plane.centre, plane.centre));
  // Gram-Schmidt, the longest remainder first: one of the d axes is left out.
  std::vector<bool> used(At(d), false);
  for (Index k = 0; k + 1 < d; ++k) {
    long double longest = 0.0L;
    Index chosen = 0;
    Vector best;
    for (Index c = 0; c < d; ++c) {
      if (used[At(c)]) continue;
      Vector u(At(d), 0.0L);
      u[At(c)] = 1.0L / std::sqrt(gram(c, c));
      for (int pass = 0; pass < 2; ++pass) {
        Add(-Product(keys, j, u), plane.centre, &u);
        for (const Vector& v : plane.directions) {
          Add(-Inner(gram, u, v) / (length * length), v, &u);
        }
      }
      const long double left = std::sqrt(Inner(gram, u, u));
      if (left > longest) {
        longest = left;
        chosen = c;
        best = u;
      }
    }
    used[At(chosen)] = true;
    for (long double& entry : best) entry *= length / longest;
    plane.directions.push_back(best);
  }
  return plane;
}

struct Search {
  const Matrix<long double>& keys;
  Index j;
  double p;
  const Plane& plane;
  long double radius;
};

// The largest ratio over y + span(directions from `axis` on), by golden
// sections one inside the other: the inverse of a convex function has one peak.
PowerOptimum SearchFrom(const Search& search, std::size_t axis,
                        const Vector& y) {
  if (axis == search.plane.directions.size()) {
    return {Ratio(search.keys, search.j, y, search.p), y};
  }
  const auto at = [&](long double v) {
    Vector moved = y;
    Add(v, search.plane.directions[axis], &moved);
    return SearchFrom(search, axis + 1, moved);
  };
  const long double golden = (std::sqrt(5.0L) - 1.0L) / 2.0L;
  long double low = -search.radius;
  long double high = search.radius;
  long double a = high - golden * (high - low);
  long double b = low + golden * (high - low);
  PowerOptimum left = at(a);
  PowerOptimum right = at(b);
  for (int step = 0; step < kSections; ++step) {
    if (left.sensitivity > right.sensitivity) {
      high = b;
      b = a;
      right = std::move(left);
      a = high - golden * (high - low);
      left = at(a);
    } else {
      low = a;
      a = b;
      left = std::move(right);
      b = low + golden * (high - low);
      right = at(b);
    }
  }
  return left.sensitivity > right.sensitivity ? left : right;
}

}  // namespace

PowerOptimum BestQuery(const Matrix<long double>& keys, Index j, double p) {
  PowerOptimum best;
  if (p == 1.0) {
    std::vector<Index> rows;
    TryVertices(keys, j, 0, &rows, &best);
    return best;
  }
  // ||K y||_2 of the best y is at most n^|1/2-1/p| times the least there is.
  const long double radius =
      2.0L * std::pow(static_cast<long double>(keys.rows()),
                      std::abs(0.5L - 1.0L / static_cast<long double>(p)));
  const Plane plane = PlaneOf(keys, j);
  return SearchFrom({keys, j, p, plane, radius}, 0, plane.centre);
}

std::vector<long double> PowerScores(const std::vector<long double>& query,
                                     const Matrix<long double>& keys,
                                     const ScoreFunction& function) {
  PowerSum sum;
  if (const auto* power = std::get_if<Power>(&function)) {
    sum.terms.push_back({.coefficient = 1.0, .p = power->p});
  } else {
    sum = std::get<PowerSum>(function);
  }
  Vector scores(At(keys.rows()), 0.0L);
  long double total = 0.0L;
  for (Index j = 0; j < keys.rows(); ++j) {
    const long double product = std::abs(Product(keys, j, query));
    for (const PowerTerm& term : sum.terms) {
      scores[At(j)] += term.coefficient *
                       std::pow(product, static_cast<long double>(term.p));
    }
    total += scores[At(j)];
  }
  for (long double& score : scores) score = total > 0.0L ? score / total : 0.0L;
  return scores;
}

}  // namespace steelyard::test
