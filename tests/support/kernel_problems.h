// A kernel regression loaded as the solver loads it, for the tests of its
// parts.
#pragma once

#include <utility>
#include <vector>

#include "kernel/kernel_problem.h"
#include "tests/support/kernel_cases.h"

namespace steelyard::test {

// Every column of b becomes a right-hand side.
inline KernelProblem LoadProblem(const Matrix<double>& a,
                                 const Matrix<double>& b,
                                 const AttentionKernelOptions& options,
                                 const ComputeContext& context) {
  KernelProblem problem;
  problem.options = options;
  problem.rows =
      LoadKernelRows(a.view(), options.scale, options.normalization, context)
          .value();
  if (options.normalization == KernelNormalization::kSoftmaxRows) {
    problem.softmax = FindSoftmaxRows(problem.rows, context).value();
  }
  problem.form = MakeSymmetricForm(
      problem.rows, options.normalization, options.ridge,
      problem.softmax.has_value() ? &*problem.softmax : nullptr);
  for (Index c = 0; c < b.cols(); ++c) {
    ScaledVector column;
    for (Index i = 0; i < b.rows(); ++i) column.push_back(MakeScaled(b(i, c)));
    problem.b.push_back(std::move(column));
  }
  return problem;
}

inline KernelProduct ProductOf(const KernelProblem& problem) {
  return KernelProduct(problem.rows, problem.form.offsets,
                       problem.form.unit_diagonal);
}

}  // namespace steelyard::test
