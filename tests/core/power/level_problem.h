// A PowerProblem that owns what it refers to, for tests of levels and
// certificates.
#pragma once

#include <memory>
#include <utility>

#include "power/levels.h"
#include "tests/core/power/power_problems.h"

namespace steelyard::test {

struct LevelProblem {
  Matrix<double> a;
  Matrix<double> b;
  ComputeContext context{OneWorker()};
  Factor factor;
  ScaledMatrix scaled_a;
  ScaledRightSides scaled_b;
  std::vector<double> ridge_diagonal;
  std::unique_ptr<GramSolver> solver;
  bool odd = false;
  int exponent = 1;

  LevelProblem(Matrix<double> matrix, Matrix<double> right_side, bool is_odd,
               int j)
      : a(std::move(matrix)),
        b(std::move(right_side)),
        scaled_a{a.view(), {}},
        scaled_b{b.view(), {}},
        odd(is_odd),
        exponent(j) {
    const auto scales = ScanColumns(a.view(), "a", context);
    factor = *FactorMatrix(a.view(), *scales, {}, context);
    scaled_a.exponents = factor.scales.exponents;
    scaled_b.exponents = ScanColumns(b.view(), "b", context)->exponents;
    solver = std::make_unique<GramSolver>(*GramSolver::Make(factor, context));
  }

  PowerProblem Problem(int refinements_max = 1000) const {
    return {.a = scaled_a,
            .ridge_diagonal = ridge_diagonal,
            .solver = *solver,
            .b = {scaled_b, 0, b.cols()},
            .odd = odd,
            .exponent = exponent,
            .refinements_max = refinements_max};
  }
};

}  // namespace steelyard::test
