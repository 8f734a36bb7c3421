#include "power/largest_singular_value.h"

#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "linalg/stopped.h"
#include "steelyard/random.h"

namespace steelyard {
namespace {

constexpr Index kStepsMax = 128;
constexpr Index kStepsBetweenChecks = 8;
// ||M|| = sigma_1^p with p <= 129: 1e-10 leaves phi right to 8 digits.
constexpr double kRelativeError = 1e-10;
// With A itself, from the vector that a sketch gave: a product is a pass.
constexpr Index kStepsOfA = 24;
constexpr double kErrorOfA = 0.01;
constexpr Seed kStartSeed{0x5741};

double Dot(const Matrix<double>& a, const Matrix<double>& b) {
  double sum = 0.0;
  for (Index i = 0; i < a.rows(); ++i) sum += a(i, 0) * b(i, 0);
  return sum;
}

void Subtract(double factor, const Matrix<double>& a, Matrix<double>& b) {
  for (Index i = 0; i < a.rows(); ++i) b(i, 0) -= factor * a(i, 0);
}

void ShiftRows(const std::vector<int>& exponents, int top, Matrix<double>& x) {
  for (Index i = 0; i < x.rows(); ++i) {
    x(i, 0) = std::ldexp(x(i, 0), exponents[static_cast<std::size_t>(i)] - top);
  }
}

// Largest eigenvalue of the tridiagonal matrix and the residual of its vector.
std::pair<double, double> TopOf(std::vector<double> diagonal,
                                std::vector<double> beside,
                                std::vector<double>* weights) {
  const auto k = static_cast<lapack_int>(diagonal.size());
  const double last = beside.back();
  std::vector<double> vectors(diagonal.size() * diagonal.size());
  LAPACKE_dstev(LAPACK_COL_MAJOR, 'V', k, diagonal.data(), beside.data(),
                vectors.data(), k);
  weights->assign(vectors.end() - k, vectors.end());
  return {diagonal.back(), std::abs(last * vectors.back())};
}

// Of (A S)'(A S) / 4^top, S = diag(2^exponents).
struct TopEigenpair {
  double theta = 0.0;     // from below
  double residual = 0.0;  // |theta - eigenvalue| at most
  Matrix<double> vector;  // d x 1
};

struct LanczosRules {
  Index steps_max;
  Index steps_between_checks;
  double relative_error;
};

class Lanczos {
 public:
  Lanczos(const GramSolver& solver, const std::vector<int>& exponents, int top)
      : solver_(solver), exponents_(exponents), top_(top) {}

  absl::StatusOr<TopEigenpair> Run(Matrix<double> q, const LanczosRules& rules,
                                   const ComputeContext& context) {
    const Index d = q.rows();
    double theta = 0.0;
    double residual = 0.0;
    for (Index step = 1; step <= std::min(d, rules.steps_max); ++step) {
      absl::Status done = Step(q, context);
      if (!done.ok()) return done;
      theta = std::max(theta, diagonal_.back());
      const bool exhausted = beside_.back() <= 0x1p-52 * theta;
      if (step % rules.steps_between_checks != 0 && step < d && !exhausted) {
        continue;
      }
      std::tie(theta, residual) = TopOf(diagonal_, beside_, &weights_);
      if (residual <= rules.relative_error * theta || exhausted) break;
    }
    return TopEigenpair{theta, residual, Vector(d)};
  }

 private:
  absl::Status Step(Matrix<double>& q, const ComputeContext& context) {
    const double norm = std::sqrt(Dot(q, q));
    for (Index i = 0; i < q.rows(); ++i) q(i, 0) /= norm;
    basis_.push_back(q);
    ShiftRows(exponents_, top_, q);
    absl::Status done = solver_.MultiplyGram(q, context);
    if (!done.ok()) return done;
    ShiftRows(exponents_, top_, q);
    diagonal_.push_back(Dot(q, basis_.back()));
    for (int twice = 0; twice < 2; ++twice) {
      for (const Matrix<double>& other : basis_) {
        Subtract(Dot(q, other), other, q);
      }
    }
    beside_.push_back(std::sqrt(Dot(q, q)));
    return absl::OkStatus();
  }

  Matrix<double> Vector(Index d) const {
    Matrix<double> vector(d, 1);
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      Subtract(-weights_[k], basis_[k], vector);
    }
    return vector;
  }

  const GramSolver& solver_;
  const std::vector<int>& exponents_;
  int top_;
  std::vector<Matrix<double>> basis_;
  std::vector<double> diagonal_;
  std::vector<double> beside_;
  std::vector<double> weights_;  // of the eigenvector in the basis
};

}  // namespace

absl::StatusOr<double> Log2LargestSingularValue(const Factor& factor,
                                                const GramSolver& solver,
                                                const GramSolver* closer,
                                                const ComputeContext& context) {
  const std::vector<int>& exponents = factor.scales.exponents;
  const Index d = factor.r.cols();
  const auto [low, top] =
      std::minmax_element(exponents.begin(), exponents.end());
  if (closer == nullptr && *low == *top && !factor.singular_values.empty()) {
    return std::log2(factor.singular_values.front()) + *top;
  }
  Matrix<double> start(d, 1);
  for (Index i = 0; i < d; ++i) {
    start(i, 0) =
        RandomStream{kStartSeed}.Normal(static_cast<std::uint64_t>(i));
  }
  absl::StatusOr<TopEigenpair> of_r =
      Lanczos(solver, exponents, *top)
          .Run(std::move(start),
               {kStepsMax, kStepsBetweenChecks, kRelativeError}, context);
  if (!of_r.ok()) return of_r.status();
  if (closer == nullptr || !(of_r->theta > 0.0)) {
    return 0.5 * std::log2(of_r->theta + of_r->residual) + *top;
  }
  const absl::StatusOr<TopEigenpair> of_a =
      Lanczos(*closer, exponents, *top)
          .Run(std::move(of_r->vector), {kStepsOfA, 1, kErrorOfA}, context);
  if (!of_a.ok()) return of_a.status();
  // Kato and Temple: the eigenvalue is theta + residual^2 / gap; a gap of a
  // tenth.
  const double above = of_a->residual * of_a->residual / (0.1 * of_a->theta);
  return 0.5 * std::log2(of_a->theta + std::min(of_a->residual, above)) + *top;
}

}  // namespace steelyard
