#include "kernel/ritz_values.h"

#include <cmath>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(RitzValuesTest, NoStepsGiveNothing) {
  EXPECT_EQ(FindRitzValues({}).largest, 0.0);
}

TEST(RitzValuesTest, ConjugateGradientsOnADiagonalFindItsEnds) {
  // CG in full on diag(1e-3, 0.5, 2, 7), every component of the right-hand side
  // one.
  const std::vector<double> eigenvalues = {1e-3, 0.5, 2.0, 7.0};
  std::vector<double> r(4, 1.0);
  std::vector<double> p = r;
  LanczosCoefficients lanczos;
  double square = 4.0;
  for (int step = 0; step < 4; ++step) {
    double curvature = 0.0;
    for (std::size_t i = 0; i < 4; ++i) {
      curvature += p[i] * p[i] * eigenvalues[i];
    }
    const double alpha = square / curvature;
    double next = 0.0;
    for (std::size_t i = 0; i < 4; ++i) {
      r[i] -= alpha * eigenvalues[i] * p[i];
      next += r[i] * r[i];
    }
    const double beta = next / square;
    for (std::size_t i = 0; i < 4; ++i) p[i] = r[i] + beta * p[i];
    square = next;
    lanczos.alpha.push_back(alpha);
    lanczos.beta.push_back(beta);
  }
  const RitzValues ritz = FindRitzValues(lanczos);
  // Bisection of the logarithm to 2^-60 of 100; four steps in full.
  EXPECT_NEAR(ritz.least, 1e-3, 1e-9);
  EXPECT_NEAR(ritz.largest, 7.0, 1e-9);
}

}  // namespace
}  // namespace steelyard
