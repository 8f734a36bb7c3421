// I + F' D^-1 F of a factor, the small matrix of Woodbury.
//
// METHOD  Tiles of 256 columns of F side by side, panels of 512 rows. Two tiles
//   that are kept in float32 are multiplied in float32 where that costs less
//   than a per cent of the identity; panels are added in float64. Rows whose
//   |F_i|^2 / D_i is three times the mean, the pivots of a kernel of little
//   else, are left out there and multiplied in float64: in float32 they alone
//   would spread the eigenvalues 1 of P^-1 S to a cluster, two more steps of
//   some ten. Same bits for any number of workers.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "preconditioner/factor_columns.h"
#include "steelyard/compute_context.h"

namespace steelyard {

// |F_i|^2 / D_i of every row of F. `inverse`: D^-1.
std::vector<double> RowSquares(const FactorColumns& factor,
                               const std::vector<double>& inverse,
                               const ComputeContext& context);

// The upper triangle. `squares`: RowSquares.
// COST    n r^2 flops; FactorGramBytes beside the result.
// ERRORS  The stop token.
absl::StatusOr<Matrix<double>> GramPlusIdentity(
    const FactorColumns& factor, const std::vector<double>& inverse,
    const std::vector<double>& squares, const ComputeContext& context);

double FactorGramBytes(Index rank, Index n, int workers);

}  // namespace steelyard
