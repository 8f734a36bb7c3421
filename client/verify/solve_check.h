// Does an answer to a regression do what its report says?
#pragma once

#include <vector>

#include "client/tensor_files/sparse_file.h"
#include "client/tensor_files/stored_tensor.h"
#include "client/verify/solve_figures.h"
#include "client/verify/verdict.h"
#include "steelyard/client/regression.h"

namespace steelyard::verify {

struct SolveCheck {
  Verdict verdict;
  std::vector<SolveFigures> right_hand_sides;
};

// Recomputes every right-hand side from A, b and x alone and holds the report
// against it:
//
//   shapes; the reported residual is the recomputed one, up to 8 (j+1) floors;
//   CONVERGED: the recomputed residual is within the tolerance;
//   PRECISION_FLOOR: it is within 8 (j+1) floors (kernel: times L, N3);
//   the floor is the recomputed floor, the backward error the recomputed one;
//   x is no further from a refined solution than 10 times the reported forward
//     error (it is promised to its first digit below 0.1, nothing above).
SolveCheck CheckSolve(const tensor_files::StoredTensor& a,
                      const tensor_files::StoredTensor& b,
                      const client::Problem& problem,
                      const client::SolveOptions& options,
                      const client::Solution& solution);

// The same for a sparse A, which is written out for it: one of more than 2^28
// numbers is not checked.
SolveCheck CheckSolve(const tensor_files::StoredCsr& a,
                      const tensor_files::StoredTensor& b,
                      const client::Problem& problem,
                      const client::SolveOptions& options,
                      const client::Solution& solution);

}  // namespace steelyard::verify
