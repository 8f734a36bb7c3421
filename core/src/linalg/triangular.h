// Solves with a large upper triangular R, and the size of its inverse.
//
// METHOD  Square tiles of R that depend on its size alone; after each diagonal
//   tile the rest is updated side by side. Same bits for any thread count.
//
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//   between tiles. What lies below the diagonal of R is never read.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// B := R^-1 B; for Transposed(R): R^-T B. R is n x n, B is n x k.
// COST  n^2 k flops, no memory.
absl::Status SolveUpper(Operand<double> r, Block<double> b,
                        const ComputeContext& context);

// B := B R^-1; for Transposed(R): B R^-T. B is m x n: rows of keys become
// whitened keys. On the calling thread alone: callers run panels side by side.
// COST  m n^2 flops, no memory; a look every 2 m 256^2 flops.
absl::Status SolveUpperFromRight(Block<double> b, Operand<double> r,
                                 const StopToken& stop);

// C := R B; for Transposed(R): R' B. B and C are n x k and do not overlap.
// COST  n^2 k flops, no memory.
absl::Status MultiplyUpper(Operand<double> r, Block<const double> b,
                           Block<double> c, const ComputeContext& context);

// ||R^-1||_F with R^-1 really formed, some columns at a time. Infinite when a
// diagonal entry is 0 or the inverse overflows.
// COST  n^3 / 3 flops; memory 256 n words a worker.
absl::StatusOr<double> InverseFrobeniusNorm(Block<const double> r,
                                            const ComputeContext& context);

// S with |R S - I| <= gamma_d |R||S|: R without a zero on its diagonal, column
// by column.
// COST  n^3 flops.
absl::StatusOr<Matrix<double>> UpperInverse(const Matrix<double>& r,
                                            const ComputeContext& context);

}  // namespace steelyard
