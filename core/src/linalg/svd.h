// Singular values and right singular vectors of a square matrix.
//
// METHOD  LAPACK dgesdd (divide and conquer). One call, one thread, and the one
//   call of this room that cannot be stopped: some 9 n^3 flops with vectors,
//   8/3 n^3 without.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct RightSvd {
  std::vector<double> singular_values;  // n, descending
  Matrix<double> v_transposed;          // n x n, rows are the vectors
};

// `a` is used up.
// ERRORS  Internal: the iteration did not converge (never seen).
absl::StatusOr<std::vector<double>> SingularValues(Matrix<double> a);
absl::StatusOr<RightSvd> ComputeRightSvd(Matrix<double> a);

// Of ComputeRightSvd, `a` included.
Cost CostOfRightSvd(Index n);

}  // namespace steelyard
