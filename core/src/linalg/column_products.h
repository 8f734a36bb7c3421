// Products of a matrix with a block of vectors, and triangular solves, whose
// bits do not depend on the block.
//
// METHOD  Every number of a result is one chain of fused multiply-adds in the
//   order of the inner index (targets without: a product and a sum). Columns
//   are vector lanes and never meet; rows and columns are cut into register
//   tiles of any shape. So a column gets the same bits alone, at any place of a
//   block, beside any neighbours, on any number of threads.
//
// SHAPES   Blocks of vectors have a multiple of kColumnGroup columns: who has
//          fewer adds zeros (PaddedColumns).
#pragma once

#include "absl/status/status.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

inline constexpr Index kColumnGroup = 8;

constexpr Index PaddedColumns(Index cols) {
  return (cols + kColumnGroup - 1) / kColumnGroup * kColumnGroup;
}

// C += A B, C -= A B; the chain starts with C. One call on one core: callers
// cut it into blocks of at most some 1e9 flops.
void AddProduct(Operand<double> a, Block<const double> b, Block<double> c);
void SubtractProduct(Operand<double> a, Block<const double> b, Block<double> c);

// C := A B, rows of A and groups of columns side by side.
// ERRORS  Cancelled, DeadlineExceeded, Aborted here and below: the stop token.
absl::Status MultiplyColumns(Operand<double> a, Block<const double> b,
                             Block<double> c, const ComputeContext& context);

// B := R^-1 B; for Transposed(R): R^-T B. R is n x n, upper; what lies below
// its diagonal is not read. Groups of columns side by side.
// COST  n^2 k flops, no memory.
absl::Status SolveColumns(Operand<double> r, Block<double> b,
                          const ComputeContext& context);

}  // namespace steelyard
