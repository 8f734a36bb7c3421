// What a kernel regression is for: its values at new rows. The calls are in
// client.h.
//
//     kNone           y = exp(s Q A') x
//     kUnitDiagonal   y_i = sum_j exp(-s |q_i - a_j|^2 / 2) x_j
//     kSoftmaxRows    y_i = sum_j exp(s q_i.a_j) x_j / sum_j exp(s q_i.a_j)
//
//     auto fit = client.StreamSolve(a, b, kernel, options, {});
//     auto values = client.Predict({.a = a, .x = fit->x, .queries = q,
//                                   .x_exponents = fit->x_exponents},
//                                  {.scale = kernel.scale});
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "steelyard/client/matrix_source.h"
#include "steelyard/client/regression.h"

namespace steelyard::client {

// Dense, all of them. Matrices in memory must fit in one request together; for
// more queries, store them (UploadMatrix).
struct PredictInputs {
  DenseSource a;        // n x d, that the regression was solved with.
  DenseSource x;        // n, or n x k: its solution.
  DenseSource queries;  // m x d.

  // Solution::x_exponents: empty, or one per entry of x, in row-major order;
  // not beside a stored x. With them a column of x travels as one column for
  // every 1024 powers of two between its entries.
  std::vector<std::int32_t> x_exponents = {};
};

// As the regression was solved. Its ridges are no part of a prediction.
struct PredictOptions {
  double scale = 1.0;  // s > 0, finite.
  KernelNormalization normalization = KernelNormalization::kNone;
};

struct Prediction {
  RowMajorMatrix y;  // m x k; k = 1 also where x was a vector.

  // Empty, or one per entry of y in row-major order: the entry is
  // y[i] * 2^y_exponents[i]. Used only when some entry of y lies outside the
  // range of float64.
  std::vector<std::int32_t> y_exponents;
};

// Takes rows [first_row, first_row + part.y.rows()) of the answer, each row
// once, in order. Called on the thread that made the call: the stream waits
// while it runs.
using PredictionCallback =
    std::function<void(std::int64_t first_row, Prediction part)>;

}  // namespace steelyard::client
