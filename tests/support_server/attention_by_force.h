// Attention scores of the tensors of a request, by their definition and in long
// double: nothing of ours is asked.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "steelyard/v1/score_function.pb.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::test {

using ForceRow = std::vector<long double>;

// heads x rows x cols of a FLOAT64 tensor of 2 or 3 extents.
struct ForceTensor {
  explicit ForceTensor(const v1::Tensor& tensor)
      : heads(tensor.shape_size() == 3 ? tensor.shape(0) : 1),
        rows(tensor.shape(tensor.shape_size() - 2)),
        cols(tensor.shape(tensor.shape_size() - 1)),
        numbers(static_cast<std::size_t>(heads * rows * cols)) {
    std::memcpy(numbers.data(), tensor.data().data(), tensor.data().size());
  }

  const double* row(std::int64_t head, std::int64_t i) const {
    return numbers.data() + (head * rows + i) * cols;
  }

  std::int64_t heads;
  std::int64_t rows;
  std::int64_t cols;
  std::vector<double> numbers;
};

inline long double ForceInner(const double* a, const double* b,
                              std::int64_t d) {
  long double sum = 0.0L;
  for (std::int64_t c = 0; c < d; ++c) {
    sum += static_cast<long double>(a[c]) * static_cast<long double>(b[c]);
  }
  return sum;
}

// f(x), for logits that do not overflow.
inline long double ForceValue(const v1::ScoreFunction& function, long double x,
                              std::int64_t d) {
  if (function.has_softmax()) {
    const long double scale =
        function.softmax().has_scale()
            ? static_cast<long double>(function.softmax().scale())
            : 1.0L / std::sqrt(static_cast<long double>(d));
    return std::exp(scale * x);
  }
  if (function.has_power_sum()) {
    long double sum = 0.0L;
    for (const v1::PowerTerm& term : function.power_sum().terms()) {
      sum += static_cast<long double>(term.coefficient()) *
             std::pow(std::abs(x), static_cast<long double>(term.p()));
    }
    return sum;
  }
  const double p = function.has_power() ? function.power().p() : 2.0;
  return std::pow(std::abs(x), static_cast<long double>(p));
}

// f(<q, k_j>) for the first `seen` keys of a head; 0 for the others.
inline ForceRow ForceValues(const v1::ScoreFunction& function, const double* q,
                            const ForceTensor& keys, std::int64_t head,
                            std::int64_t seen) {
  ForceRow values(static_cast<std::size_t>(keys.rows), 0.0L);
  for (std::int64_t j = 0; j < seen; ++j) {
    values[static_cast<std::size_t>(j)] = ForceValue(
        function, ForceInner(q, keys.row(head, j), keys.cols), keys.cols);
  }
  return values;
}

inline long double ForceSum(const ForceRow& values) {
  long double sum = 0.0L;
  for (const long double value : values) sum += value;
  return sum;
}

}  // namespace steelyard::test
