// R with R'R = A'A of a sparse A, which is never made dense as a whole.
//
// METHOD  The ladder of N1 for rows with few entries. The Gram is summed in
//   double-double from pairs of entries (csr_gram.h), which costs little more
//   than in float64. Rounded, it gives R by Cholesky in float64 up to
//   `gram_condition_max`; above, Cholesky in double-double gives an R of QR
//   grade without a look at A (linalg/double_double_cholesky.h). Rows so full
//   that their pairs cost more than a QR (csr_cost_model.h): blocks of rows are
//   made dense, one at a time, for tall-skinny Householder QR.
//
// SOURCE  NUMERICS N1. The error of the double-double route: R'R = G + E with
//   |E| <= (h + d) 2^-104 |A|'|A| before R is rounded to float64, entry by
//   entry: f <= 2 sqrt(d) u ||R||_F ||R^-1||_F + what is below u for kappa to
//   1e14. The constant of QR, 40 sqrt(d), is used.
#pragma once

#include "factor/factor.h"
#include "sparse/csr_cost_model.h"
#include "sparse/sparse_rows.h"
#include "steelyard/csr_view.h"

namespace steelyard {

// What the cost model looks at.
CsrCounts CountsOf(const SparseRows& a);

// As FactorMatrix. options.method: kGram, kQr (blocks made dense) and kSvd (QR
// grade with singular values and vectors); delta_max is not looked at, and
// gram_condition_max unset asks for QR grade, as options.grade does.
absl::StatusOr<Factor> FactorCsr(const AnyCsrView& a,
                                 const ColumnScales& scales,
                                 const FactorOptions& options,
                                 const ComputeContext& context);

// The exponents of [A; sqrt(ridge) I]: no row is longer than 2, and a column
// that the ridge alone fills has norm in [1, 2).
ColumnScales RaisedForRidge(const AnyCsrView& a, ColumnScales scales,
                            double ridge);

// Of FactorCsr and one AddSvd; the Factor itself included.
Cost CostOfCsrFactor(Index n, Index d, Index nonzeros, int workers);

}  // namespace steelyard
