// Tolerances of tests, as formulas with their source. A test that needs
// another bound adds it here; literals in tests are exact values only.
//
// SOURCE  Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.
#pragma once

#include <cmath>
#include <limits>

#include "steelyard/matrix_view.h"

namespace steelyard::test {

inline constexpr double kUnitRoundoff = 0x1p-53;
// Of the x87 long double that the oracles use.
inline constexpr double kLongDoubleRoundoff = 0x1p-64;

// gamma_k = k u / (1 - k u): k roundings one after the other. Higham, (3.1).
inline double Gamma(Index k) {
  const double ku = static_cast<double>(k) * kUnitRoundoff;
  return ku < 1.0 ? ku / (1.0 - ku) : std::numeric_limits<double>::infinity();
}

// Relative error of numbers that storage type T rounded: half its epsilon.
template <KeyScalar T>
constexpr double StorageRoundoff() {
  if constexpr (std::same_as<T, Half>) return 0x1p-11;
  if constexpr (std::same_as<T, BFloat16>) return 0x1p-8;
  if constexpr (std::same_as<T, float>) return 0x1p-24;
  return kUnitRoundoff;
}

// Relative error of the Gram and of the leverage scores by a Householder R:
// 40 sqrt(d) u ||A||_F ||R^-1||_F, which is at most 40 sqrt(d) u d kappa.
// NUMERICS N4.
inline double HouseholderBound(Index d, double cond) {
  const double columns = static_cast<double>(d);
  return 40.0 * std::sqrt(columns) * kUnitRoundoff * columns * cond;
}

// The same of a Gram from panels of `panel_rows` rows and its Cholesky factor:
// c u ||A||_F^2 ||R^-1||_F^2 <= c u d^2 kappa^2. NUMERICS N4.
inline double GramBound(Index panel_rows, Index d, double cond) {
  const double c = static_cast<double>(panel_rows + d + 4);
  const double columns = static_cast<double>(d);
  return c * kUnitRoundoff * columns * columns * cond * cond;
}

// Relative error of the oracle's own leverage scores: Householder in long
// double.
inline double OracleBound(Index d, double cond) {
  return HouseholderBound(d, cond) * kLongDoubleRoundoff / kUnitRoundoff;
}

}  // namespace steelyard::test
