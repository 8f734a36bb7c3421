// A kernel regression loaded as the solver loads it, for the tests of its
// parts.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "kernel/kernel_problem.h"
#include "tests/support/kernel_cases.h"

namespace steelyard::test {

// Every column of b becomes a right-hand side. No road is prepared.
inline KernelProblem LoadProblem(const Matrix<double>& a,
                                 const Matrix<double>& b,
                                 const AttentionKernelOptions& options,
                                 const ComputeContext& context) {
  KernelProblem problem;
  problem.options = options;
  problem.factor = std::make_shared<const KernelFactor>(
      LoadKernelFactor(a.view(), options, context).value());
  for (Index c = 0; c < b.cols(); ++c) {
    ScaledVector column;
    for (Index i = 0; i < b.rows(); ++i) column.push_back(MakeScaled(b(i, c)));
    problem.b.push_back(std::move(column));
  }
  return problem;
}

// The same with the road that its options name.
inline absl::Status PrepareRoadOf(KernelProblem& problem, KernelMethod method,
                                  const ComputeContext& context) {
  const SymmetricForm& form = problem.form();
  const auto factor = std::make_shared<KernelFactor>(
      KernelFactor{.options = problem.options,
                   .rows = problem.rows(),
                   .softmax = problem.softmax(),
                   .form = form});
  factor->options.method = method;
  const absl::Status done = PrepareRoad(*factor, context);
  problem.factor = factor;
  return done;
}

inline KernelProduct ProductOf(const KernelProblem& problem) {
  return KernelProduct(problem.rows(), problem.form().offsets,
                       problem.form().unit_diagonal);
}

}  // namespace steelyard::test
