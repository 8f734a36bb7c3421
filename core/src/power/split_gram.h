// A'A of a dense matrix to some 75 bits, in scaled coordinates.
//
// METHOD  Products of linalg/split_products.h, block of rows after block;
//   slots by n and d alone, added by a fixed tree; the upper triangle, in
//   panels of columns.
//
// SOURCE  See linalg/split_products.h.
#pragma once

#include "absl/status/statusor.h"
#include "power/residual_pass.h"
#include "steelyard/cost.h"

namespace steelyard {

struct SplitGram {
  Matrix<double> hi;  // d x d, symmetric
  Matrix<double> lo;  // what hi lost
  // About the size of the error of an entry (ExpectedSquare).
  double rounding = 0.0;
};

// `a` is dense.
// COST    3 n d^2 flops and a panel.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between blocks of at most 4e8 flops.
absl::StatusOr<SplitGram> MakeSplitGram(const ScaledMatrix& a,
                                        const ComputeContext& context);

Cost CostOfSplitGram(Index n, Index d, int workers);

}  // namespace steelyard
