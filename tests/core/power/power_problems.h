// What the tests of power regressions share: problems with known singular
// values, and one call to the solver.
#pragma once

#include <cmath>

#include "steelyard/power_regression.h"
#include "tests/support/matrices.h"
#include "tests/support/mpfr_power_oracle.h"

namespace steelyard::test {

inline const Workers& OneWorker() {
  static const Workers workers(1);
  return workers;
}

inline Matrix<double> Column(const Matrix<double>& matrix, Index c) {
  Matrix<double> column(matrix.rows(), 1);
  for (Index i = 0; i < matrix.rows(); ++i) column(i, 0) = matrix(i, c);
  return column;
}

// kappa = cond, geometric singular values from 1 down.
inline Matrix<double> MatrixOfCondition(Index n, Index d, double cond,
                                        Seed seed = {11}) {
  return MatrixWithSingularValues(n, GeometricValues(d, cond), seed);
}

inline absl::StatusOr<Solution> SolvePower(
    const Matrix<double>& a, const Matrix<double>& b,
    const PowerRegressionOptions& options,
    const Workers& workers = OneWorker()) {
  return SolvePowerRegression(a.view(), b.view(), options, {workers});
}

inline MpfrPowerOracle OracleOf(const Matrix<double>& a,
                                const Matrix<double>& b,
                                const PowerRegressionOptions& options,
                                double condition) {
  return MpfrPowerOracle(PowerOracleProblem{.a = a,
                                            .b = b,
                                            .family = options.family,
                                            .exponent = options.exponent,
                                            .ridge = options.ridge,
                                            .condition = condition});
}

}  // namespace steelyard::test
