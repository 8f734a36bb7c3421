// Weights that float64 cannot hold, as columns that it can: a prediction is
// linear in its weights.
//
//     x = sum_b 2^(1024 b) x_b,   y = sum_b 2^(1024 b) y_b
//
// Entry x_i is in the one band with 1024 b <= log2 |x_i| < 1024 (b + 1), so
// that its number there is x_i without rounding, in [1, 2^1024).
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/client/prediction.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

class WeightBands {
 public:
  // `exponents`: one per entry of x, n or n x k, in row-major order.
  // ERRORS  those of a tensor of field "x" (tensor_codec.h). InvalidArgument
  //   WRONG_SIZE, field "x_exponents".
  static absl::StatusOr<WeightBands> Cut(
      const TensorView& x, const std::vector<std::int32_t>& exponents,
      std::int64_t bytes_max);

  // n x (bands of all columns); a column of zeros has one band.
  const RowMajorMatrix& columns() const { return columns_; }

  // The prediction of x from that of columns().
  Prediction Joined(const Prediction& part) const;

 private:
  struct Band {
    Eigen::Index column = 0;    // Of x.
    std::int64_t exponent = 0;  // Of all its numbers.
  };

  RowMajorMatrix columns_;
  std::vector<Band> bands_;  // By column.
  Eigen::Index width_ = 0;   // Columns of x.
};

}  // namespace steelyard::client
