#include "kernel/ritz_values.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace steelyard {
namespace {

struct Tridiagonal {
  std::vector<double> diagonal;
  std::vector<double> off_square;  // entry j: T_{j-1,j}^2, entry 0 is 0
};

Tridiagonal LanczosMatrix(const LanczosCoefficients& coefficients) {
  Tridiagonal t;
  double carried = 0.0;
  double off_square = 0.0;
  for (std::size_t j = 0; j < coefficients.alpha.size(); ++j) {
    const double inverse = 1.0 / coefficients.alpha[j];
    t.diagonal.push_back(inverse + carried);
    t.off_square.push_back(off_square);
    carried = coefficients.beta[j] * inverse;
    off_square = coefficients.beta[j] * inverse * inverse;
  }
  return t;
}

// Eigenvalues below x: negative pivots of T - x I.
std::size_t CountBelow(const Tridiagonal& t, double x) {
  constexpr double kTiny = 1e-300;
  std::size_t count = 0;
  double pivot = 1.0;
  for (std::size_t j = 0; j < t.diagonal.size(); ++j) {
    pivot = t.diagonal[j] - x - t.off_square[j] / pivot;
    if (std::abs(pivot) < kTiny) pivot = -kTiny;
    if (pivot < 0.0) ++count;
  }
  return count;
}

// The smallest x with more than `index` eigenvalues below it, by its logarithm.
double Eigenvalue(const Tridiagonal& t, std::size_t index, double most) {
  constexpr int kSteps = 60;
  double low = std::log(most) - 100.0;
  double high = std::log(most) + 1e-3;
  for (int step = 0; step < kSteps; ++step) {
    const double middle = 0.5 * (low + high);
    (CountBelow(t, std::exp(middle)) > index ? high : low) = middle;
  }
  return std::exp(high);
}

}  // namespace

RitzValues FindRitzValues(const LanczosCoefficients& coefficients) {
  const Tridiagonal t = LanczosMatrix(coefficients);
  if (t.diagonal.empty()) return {};
  // Gershgorin.
  double most = 0.0;
  for (std::size_t j = 0; j < t.diagonal.size(); ++j) {
    const double next =
        j + 1 < t.off_square.size() ? std::sqrt(t.off_square[j + 1]) : 0.0;
    most = std::max(most, t.diagonal[j] + std::sqrt(t.off_square[j]) + next);
  }
  if (!(most > 0.0) || !std::isfinite(most)) return {};
  return {Eigenvalue(t, 0, most), Eigenvalue(t, t.diagonal.size() - 1, most)};
}

}  // namespace steelyard
