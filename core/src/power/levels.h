// The level vectors y_0, y_1, ..., y_j of a power regression, and what is left
// of the equation of every level.
//
//     even   y_0 = b                        A'A y_i = y_{i-1},  x = y_j
//     odd    y_0 = argmin ||A z - b||       the same
//
// All vectors stand in scaled coordinates, z_i = S y_i (power/gram_solver.h),
// with one exponent a column. A ridge l adds l y_i to A'A y_i (odd: also in
// y_0).
//
// METHOD  z = G^-1 w, then refined with the true A while the corrections halve;
//   residuals in float64 or double-double. Powers of A'A are never formed.
//   Columns never meet: what one is given, and when it is left alone, depends
//   on that column only.
//
// SOURCE  NUMERICS N2; [SYZ24].
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "power/gram_solver.h"
#include "power/least_squares_error.h"
#include "power/residual_pass.h"
#include "power/scaled_block.h"

namespace steelyard {

// What is solved, for one slice of right-hand sides.
struct PowerProblem {
  const ScaledMatrix& a;
  // l 4^-exponents; empty for l = 0.
  const std::vector<double>& ridge_diagonal;
  const GramSolver& solver;
  ColumnSlice b;  // columns scaled to norms in [1, 2)
  bool odd = false;
  int exponent = 1;  // j
  int refinements_max = 1000;
  // Of `solver`, where slices share one. Exponent 0 of the odd family.
  LeastSquaresErrors* least_squares = nullptr;
};

struct Levels {
  // z[i], i = 0 .. j; even: z[0] is empty, y_0 is b.
  std::vector<ScaledBlock> z;
  // rho[i] = y_{i-1} - A'A y_i as S^-1 rho; odd: rho[0] = A'(b - A y_0).
  // Rounded to float64, computed as `residuals_of_a` says. Even: rho[0] is
  // empty.
  std::vector<ScaledBlock> rho;
  std::vector<double> b_squares;  // |b|^2 of the scaled columns
  std::vector<double> r_squares;  // odd: |b - A y_0|^2
  // The limit on refinements was met while corrections still halved.
  std::vector<bool> limited;
  std::vector<int> refinements;  // corrections of all levels, a column
};

// First level that is solved: 0 (odd) or 1 (even).
inline int FirstLevel(const PowerProblem& problem) {
  return problem.odd ? 0 : 1;
}

// The columns of `b` times their scales. `out` has as many rows and columns.
void LoadColumns(const ColumnSlice& b, Matrix<double>& out);

// b in scaled coordinates and its norms: even S^-1 b, odd A_s'b.
// ERRORS  here and below: Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<ScaledBlock> StartingBlock(const PowerProblem& problem,
                                          Levels& levels,
                                          const ComputeContext& context);

// Right-hand side w of G z_i = w: `start` for the first level, else z_{i-1}.
ScaledBlock RightSideOfLevel(const PowerProblem& problem, int level,
                             const ScaledBlock& start, const Levels& levels);

// z_i refined in float64.
absl::Status SolveLevel(const PowerProblem& problem, int level,
                        const ScaledBlock& start, Levels& levels,
                        const ComputeContext& context);

// rho_i of z_i as it stands, in double-double.
absl::Status MeasureLevel(const PowerProblem& problem, int level,
                          const ScaledBlock& start, Levels& levels,
                          const ComputeContext& context);

struct PolishGoal {
  double correction;          // not worth a pass, relative to z
  std::vector<bool> columns;  // others stay as they are; empty: all
};

// z_i = hi + lo refined in double-double until the correction falls below that
// of `goal` or no longer halves; rho_i belongs to the final z_i.
absl::Status PolishLevel(const PowerProblem& problem, int level,
                         const ScaledBlock& start, const PolishGoal& goal,
                         Levels& levels, const ComputeContext& context);

// z_j := its high part; rho_j follows.
absl::Status DropLowPart(const PowerProblem& problem, Levels& levels,
                         const ComputeContext& context);

// z_i = G^-1 w without refinement and rho_i by R in place of A: what is left
// to do when time is up. No pass over A.
absl::Status FinishLevel(const PowerProblem& problem, int level,
                         const ScaledBlock& start, Levels& levels,
                         const ComputeContext& context);

}  // namespace steelyard
