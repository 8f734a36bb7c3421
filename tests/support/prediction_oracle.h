// Predictions of attention kernels by their definition.
#pragma once

#include <vector>

#include "steelyard/matrix.h"
#include "tests/support/kernel_oracle.h"

namespace steelyard::test {

struct PredictedEntry {
  long double value = 0.0L;
  long double size = 0.0L;  // the same with |x|
};

// Entry i * k + c of the answer: row i of y = E x, x n x k, whatever
// system.ridge is. Logits up to 11,000 beside entries of x that float64 holds.
std::vector<PredictedEntry> PredictInLongDouble(const KernelSystem& system,
                                                const Matrix<double>& x,
                                                const Matrix<double>& queries);

}  // namespace steelyard::test
