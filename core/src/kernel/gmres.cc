#include "kernel/gmres.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace steelyard {
namespace {

double Dot(const Matrix<double>& x, const Matrix<double>& y) {
  double sum = 0.0;
  for (Index i = 0; i < x.cols(); ++i) sum += x(0, i) * y(0, i);
  return sum;
}

void AddTimes(double factor, const Matrix<double>& x, Matrix<double>& y) {
  for (Index i = 0; i < x.cols(); ++i) y(0, i) += factor * x(0, i);
}

void Scale(double factor, Matrix<double>& x) {
  for (Index i = 0; i < x.cols(); ++i) x(0, i) *= factor;
}

// The Hessenberg matrix of the Arnoldi process, kept triangular by rotations.
class Hessenberg {
 public:
  explicit Hessenberg(double norm) : rhs_{norm} {}

  // Adds a column of h_0 .. h_j and h_{j+1} below. Returns the new residual.
  double Append(std::vector<double> h, double below) {
    const std::size_t j = columns_.size();
    for (std::size_t i = 0; i < j; ++i) {
      const double upper = cosines_[i] * h[i] + sines_[i] * h[i + 1];
      h[i + 1] = -sines_[i] * h[i] + cosines_[i] * h[i + 1];
      h[i] = upper;
    }
    const double length = std::hypot(h[j], below);
    const double cosine = length > 0.0 ? h[j] / length : 1.0;
    const double sine = length > 0.0 ? below / length : 0.0;
    cosines_.push_back(cosine);
    sines_.push_back(sine);
    h[j] = length;
    columns_.push_back(std::move(h));
    rhs_.push_back(-sine * rhs_[j]);
    rhs_[j] *= cosine;
    return std::abs(rhs_.back());
  }

  // Coefficients of the basis. A column without a pivot gets none.
  std::vector<double> Solve() const {
    std::vector<double> y(columns_.size());
    for (std::size_t row = columns_.size(); row-- > 0;) {
      double sum = rhs_[row];
      for (std::size_t c = row + 1; c < columns_.size(); ++c) {
        sum -= columns_[c][row] * y[c];
      }
      const double pivot = columns_[row][row];
      y[row] = pivot != 0.0 ? sum / pivot : 0.0;
    }
    return y;
  }

 private:
  std::vector<std::vector<double>> columns_;
  std::vector<double> cosines_;
  std::vector<double> sines_;
  std::vector<double> rhs_;
};

}  // namespace

absl::StatusOr<GmresCycle> RunGmresCycle(const GmresOperators& operators,
                                         const Matrix<double>& r, double goal,
                                         int iterations_max,
                                         Matrix<double>& x) {
  const Index n = r.cols();
  const int steps = std::min(kGmresRestart, iterations_max);
  const double norm = std::sqrt(Dot(r, r));
  GmresCycle cycle{.residual = norm};
  if (norm == 0.0) return cycle;
  std::vector<Matrix<double>> basis{r};
  Scale(1.0 / norm, basis[0]);
  Hessenberg hessenberg(norm);
  while (cycle.iterations < steps && cycle.residual > goal) {
    Matrix<double> v = basis.back();
    if (absl::Status done = operators.precondition(v); !done.ok()) return done;
    Matrix<double> w(1, n);
    if (absl::Status done = operators.apply(v, w); !done.ok()) return done;
    std::vector<double> h(basis.size());
    for (std::size_t i = 0; i < basis.size(); ++i) {
      h[i] = Dot(w, basis[i]);
      AddTimes(-h[i], basis[i], w);
    }
    const double below = std::sqrt(Dot(w, w));
    if (!std::isfinite(below)) break;
    cycle.residual = hessenberg.Append(std::move(h), below);
    ++cycle.iterations;
    if (below == 0.0) break;
    Scale(1.0 / below, w);
    basis.push_back(std::move(w));
  }
  const std::vector<double> y = hessenberg.Solve();
  Matrix<double> correction(1, n);
  for (std::size_t i = 0; i < y.size(); ++i) {
    AddTimes(y[i], basis[i], correction);
  }
  if (absl::Status done = operators.precondition(correction); !done.ok()) {
    return done;
  }
  AddTimes(1.0, correction, x);
  return cycle;
}

}  // namespace steelyard
