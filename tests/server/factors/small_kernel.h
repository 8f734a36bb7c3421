// A kernel of eight rows: small enough to be prepared everywhere.
#pragma once

#include <vector>

#include "steelyard/matrix_view.h"
#include "steelyard/prepared_kernel.h"
#include "steelyard/workers.h"

namespace steelyard::server::test {

inline constexpr Index kKernelRows = 8;

inline AnyMatrixView SmallKernelRows() {
  static const std::vector<double> rows = [] {
    std::vector<double> numbers;
    for (int i = 0; i < 2 * kKernelRows; ++i) {
      numbers.push_back(0.1 * (i * 7 % 13) - 0.5);
    }
    return numbers;
  }();
  return MatrixView<double>(rows.data(), kKernelRows, 2);
}

inline PreparedKernel SmallKernel(const AttentionKernelOptions& options) {
  const Workers workers(1);
  return PrepareKernel(SmallKernelRows(), options, {.workers = workers})
      .value();
}

}  // namespace steelyard::server::test
