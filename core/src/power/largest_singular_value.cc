#include "power/largest_singular_value.h"

#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
                                std::vector<double> beside) {
  const auto k = static_cast<lapack_int>(diagonal.size());
  const double last = beside.back();
  std::vector<double> vectors(diagonal.size() * diagonal.size());
  LAPACKE_dstev(LAPACK_COL_MAJOR, 'V', k, diagonal.data(), beside.data(),
                vectors.data(), k);
  return {diagonal.back(), std::abs(last * vectors.back())};
}

}  // namespace

absl::StatusOr<double> Log2LargestSingularValue(const Factor& factor,
                                                const GramSolver& solver,
                                                const ComputeContext& context) {
  const std::vector<int>& exponents = factor.scales.exponents;
  const Index d = factor.r.cols();
  const auto [low, top] =
      std::minmax_element(exponents.begin(), exponents.end());
  if (*low == *top && !factor.singular_values.empty()) {
    return std::log2(factor.singular_values.front()) + *top;
  }
  Matrix<double> q(d, 1);
  for (Index i = 0; i < d; ++i) {
    q(i, 0) = RandomStream{kStartSeed}.Normal(static_cast<std::uint64_t>(i));
  }
  std::vector<Matrix<double>> basis;
  std::vector<double> diagonal;
  std::vector<double> beside;
  double best = 0.0;
  for (Index step = 0; step < std::min(d, kStepsMax); ++step) {
    const double norm = std::sqrt(Dot(q, q));
    for (Index i = 0; i < d; ++i) q(i, 0) /= norm;
    basis.push_back(q);
    // q := (R S)'(R S) q
    ShiftRows(exponents, *top, q);
    absl::Status done = solver.MultiplyGram(q, context);
    if (!done.ok()) return done;
    ShiftRows(exponents, *top, q);
    diagonal.push_back(Dot(q, basis.back()));
    for (int twice = 0; twice < 2; ++twice) {
      for (const Matrix<double>& other : basis) {
        Subtract(Dot(q, other), other, q);
      }
    }
    beside.push_back(std::sqrt(Dot(q, q)));
    best = std::max(best, diagonal.back());
    const bool exhausted = beside.back() <= 0x1p-52 * best;
    if ((step + 1) % kStepsBetweenChecks != 0 && step + 1 < d && !exhausted) {
      continue;
    }
    const auto [theta, residual] = TopOf(diagonal, beside);
    best = theta + residual;
    if (residual <= kRelativeError * theta || exhausted) break;
  }
  return 0.5 * std::log2(best) + *top;
}

}  // namespace steelyard
