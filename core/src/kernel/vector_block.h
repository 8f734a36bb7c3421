// Small algebra with blocks of long vectors: k x n, one vector a row, k small.
//
// METHOD  BLAS on panels of columns that depend on n alone, sums over panels in
//   order: the bits do not depend on the number of threads.
#pragma once

#include <vector>

#include "absl/functional/function_ref.h"
#include "steelyard/matrix.h"
#include "steelyard/workers.h"

namespace steelyard {

// Calls body(panel, first, count) for panels of the columns [0, n).
inline constexpr Index kVectorPanel = 4096;
void ForVectorPanels(
    Index n, const Workers& workers,
    absl::FunctionRef<void(Index panel, Index first, Index count)> body);

// A B', k x m. COST 2 n k m flops.
Matrix<double> GramOf(const Matrix<double>& a, const Matrix<double>& b,
                      const Workers& workers);

// B += T A: T is k x m, A m x n, B k x n.
void AddCombinations(const Matrix<double>& t, const Matrix<double>& a,
                     Matrix<double>& b, const Workers& workers);

struct OrthonormalRows {
  Matrix<double> rows;
  double first_length = 0.0;  // of the first row of what was given
};

// Orthonormal rows that span those of D. A row of which less than 1e-5 is new
// beside the others is dropped, and so is one that is zero or not finite.
// METHOD  Cholesky of the Gram of the rows at unit length, largest pivot first;
//   twice.
OrthonormalRows Orthonormalise(const Matrix<double>& d, const Workers& workers);

// B := A^-1 B by Cholesky; A is m x m symmetric, B m x k. False (and B as it
// was): a pivot at or below `floor`.
bool SolvePositive(const Matrix<double>& a, double floor, Matrix<double>& b);

// Some rows of a block.
Matrix<double> TakeRows(const Matrix<double>& from,
                        const std::vector<Index>& rows, const Workers& workers);

}  // namespace steelyard
