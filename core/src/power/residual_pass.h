// One pass over A that computes s = A'(b - A z) for k columns at once, block by
// block while the block is in cache.
//
// Everything is in scaled coordinates: column c of A is taken times
// 2^-exponents[c] (factor/factor.h).
//
// METHOD  Rows are cut into blocks and at most 64 slots by n and d alone;
//   every slot sums its blocks in order, with compensation, and slots are added
//   by a fixed tree: the same bits for any number of threads. Products are
//   those of power/pass_kernels.h, which read a block once, and the cut does
//   not look at k: a column has the bits that it has alone.
//
// SOURCE  NUMERICS N1 ("one pass"), N2 (level residuals).
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/csr_view.h"
#include "steelyard/matrix.h"

namespace steelyard {

struct ScaledMatrix {
  DenseOrCsr view;
  std::vector<int> exponents;  // one a column; the matrix times 2^-exponents
};

// The same of b, which is always dense.
struct ScaledRightSides {
  AnyMatrixView view;
  std::vector<int> exponents;
};

// Right-hand sides side by side, perhaps those of several callers.
struct ColumnSlice {
  // Columns [first, first + count) of `matrix`.
  struct Piece {
    const ScaledRightSides* matrix;
    Index first;
    Index count;
  };

  std::vector<Piece> pieces;
  // Columns; those past the pieces are zero.
  Index count = 0;

  ColumnSlice() = default;
  ColumnSlice(const ScaledRightSides& matrix, Index first, Index columns)
      : pieces{{&matrix, first, columns}}, count(columns) {}

  // Of every column; 0 for those past the pieces.
  std::vector<int> Exponents() const;
};

enum class Precision { kDouble, kDoubleDouble };

struct PassInput {
  const ScaledMatrix& a;                 // n x d
  std::optional<ColumnSlice> b;          // n x k; unset: zero
  const Matrix<double>* z_hi = nullptr;  // d x k; null: zero
  const Matrix<double>* z_lo = nullptr;  // d x k; null: zero
  Index k = 1;
};

struct PassResult {
  Matrix<double> hi;            // d x k
  Matrix<double> lo;            // d x k, what hi lost
  std::vector<double> squares;  // |b - A z|^2 of every column
};

// COST    4 n d k flops (double-double: some 40 n d k).
// MEMORY  BytesOfPass.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between blocks.
absl::StatusOr<PassResult> ResidualPass(const PassInput& input,
                                        Precision precision,
                                        const ComputeContext& context);

double BytesOfPass(Index n, Index d, Index k, int workers);

}  // namespace steelyard
