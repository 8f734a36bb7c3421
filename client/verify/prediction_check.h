// Are the values of a kernel regression at new rows what they should be?
#pragma once

#include <cstdint>
#include <vector>

#include "client/tensor_files/stored_tensor.h"
#include "client/verify/verdict.h"
#include "steelyard/client/prediction.h"

namespace steelyard::verify {

struct PredictionInputs {
  const tensor_files::StoredTensor& a;
  const tensor_files::StoredTensor& x;
  const std::vector<std::int32_t>& x_exponents;  // Empty, or one an entry.
  const tensor_files::StoredTensor& queries;
};

struct PredictionCheck {
  Verdict verdict;
  // Over the rows that were recomputed: |y - z| / sum_j |M_ij x_j|, z the row
  // in 80-bit arithmetic.
  double largest_error = 0.0;
};

// Recomputes all rows, or 256 of them spread evenly where there are more, and
// holds each entry to
//
//   |y_ik - z_ik| <= u (n + (d + 16) L_i) sum_j |M_ij x_jk|,
//   L_i = max(1, max_j s |q_i| |a_j|), u = 2^-53:
//
// n for the sum, (d + 16) L_i for a logit in float64 and its exponential.
//
// COST  rows n (d + k) in 80-bit arithmetic.
PredictionCheck CheckPrediction(const PredictionInputs& inputs,
                                const client::PredictOptions& options,
                                const client::Prediction& prediction);

}  // namespace steelyard::verify
