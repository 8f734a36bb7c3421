// What is done with the entries of a block of rows. Vectors of whatever this
// processor has, chosen at run time, along the columns of right-hand sides; the
// same order of additions within one processor type.
#pragma once

#include "linalg/double_double.h"
#include "sparse/sparse_rows.h"

namespace steelyard {

// All row-major with k columns: r has block.count rows, z and s have d.

// r -= A z (z null: nothing), s += A'r, squares[c] += |r_c|^2.
void AddResidual(const SparseBlock& block, Index k, const double* z, double* r,
                 double* s, double* squares);

// The same with r = b - A (z_hi + z_lo) and s_hi + s_lo in double-double, as
// accurate as linalg/double_double_rows.h says. r_hi: b on entry; r_lo: what is
// left there does not matter. z_hi null: zero.
struct ResidualTwice {
  Index k;
  const double* z_hi;
  const double* z_lo;
  double* r_hi;
  double* r_lo;
  double* s_hi;
  double* s_lo;
  double* squares;
};
void AddResidualTwice(const SparseBlock& block, const ResidualTwice& in);

// Which products AddGramTwice adds: of entries [from, to) of the block with
// themselves and those to their right. Row c of the triangle begins at
// gram[starts[c]] with column 0 (never touched below the diagonal).
struct GramPart {
  Index from;
  Index to;
  const Index* starts;
};

// Upper triangle of A'A += the block's. Products are exact; sums hi + lo, whose
// parts may overlap.
void AddGramTwice(const SparseBlock& block, const GramPart& part,
                  DoubleDouble* gram);

}  // namespace steelyard
