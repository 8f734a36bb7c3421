// Kernels that preconditioners are tested on, and their symmetric form in long
// double.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "preconditioner/preconditioner.h"
#include "tests/support/kernel_problems.h"

namespace steelyard::test {

using LongMatrix = std::vector<std::vector<long double>>;

struct PreconditionerCase {
  std::string name;
  Matrix<double> a;
  AttentionKernelOptions options;
};

// A kernel and what a preconditioner is made from. Not movable: it refers to
// itself.
struct LoadedKernel {
  LoadedKernel(const Matrix<double>& a, const AttentionKernelOptions& options,
               const ComputeContext& context)
      : problem(LoadProblem(a, Matrix<double>(a.rows(), 1), options, context)),
        product(ProductOf(problem)) {}
  LoadedKernel(const LoadedKernel&) = delete;
  LoadedKernel& operator=(const LoadedKernel&) = delete;

  Index n() const { return problem.rows().rows(); }
  PreconditionerSource Source(std::uint64_t seed = 3) const {
    return {problem.rows(), problem.form(), product, seed};
  }

  KernelProblem problem;
  KernelProduct product;
};

// w E w (shift: + diag(shift)), from the rows as they were loaded.
inline LongMatrix DenseForm(const KernelRows& rows, const SymmetricForm& form,
                            bool shift) {
  const auto n = static_cast<std::size_t>(rows.rows());
  LongMatrix s(n, std::vector<long double>(n));
  for (std::size_t i = 0; i < n; ++i) {
    const double* x = rows.centred.row(static_cast<Index>(i));
    for (std::size_t j = 0; j < n; ++j) {
      const double* y = rows.centred.row(static_cast<Index>(j));
      long double logit = 0.0L;
      for (Index c = 0; c < rows.cols(); ++c) {
        logit += static_cast<long double>(x[c]) * y[c];
      }
      logit = rows.scale * logit + form.offsets[i] + form.offsets[j];
      if (i == j && form.unit_diagonal) logit = 0.0L;
      s[i][j] = static_cast<long double>(form.weight[i]) * form.weight[j] *
                std::exp(std::min(0.0L, logit));
    }
    if (shift) s[i][i] += form.shift[i];
  }
  return s;
}

// Row i: P^-1 e_i.
inline absl::StatusOr<Matrix<double>> DenseInverse(
    const Preconditioner& preconditioner, Index n,
    const ComputeContext& context) {
  Matrix<double> inverse(n, n);
  for (Index i = 0; i < n; ++i) inverse(i, i) = 1.0;
  const absl::Status done = preconditioner.Apply(inverse, context);
  if (!done.ok()) return done;
  return inverse;
}

inline AttentionKernelOptions KernelOptionsOf(KernelNormalization kind,
                                              double ridge) {
  AttentionKernelOptions options;
  options.normalization = kind;
  options.ridge = ridge;
  return options;
}

// Rows of every awkward sort, under every normalisation.
inline std::vector<PreconditionerCase> AwkwardKernels() {
  constexpr auto kNone = KernelNormalization::kNone;
  constexpr auto kUnit = KernelNormalization::kUnitDiagonal;
  constexpr auto kSoftmax = KernelNormalization::kSoftmaxRows;
  std::vector<PreconditionerCase> cases;
  const auto add = [&](std::string name, Matrix<double> a,
                       KernelNormalization kind, double ridge) {
    cases.push_back(
        {std::move(name), std::move(a), KernelOptionsOf(kind, ridge)});
  };
  const Matrix<double> plain = RowsOfNorm(45, 3, 2.0, 1);
  add("Plain", plain, kUnit, 1e-2);
  add("NoRidge", RowsOfNorm(45, 6, 3.0, 1), kUnit, 0.0);
  add("Unscaled", plain, kNone, 1e-2);
  add("Softmax", plain, kSoftmax, 1e-3);
  Matrix<double> twice = plain;
  for (Index i = 0; i < 20; ++i) CopyRow(twice, 2 * i, 2 * i + 1);
  add("Duplicates", twice, kUnit, 1e-3);
  Matrix<double> zeros = plain;
  for (Index i = 0; i < 60; ++i) zeros.data()[i] = 0.0;
  add("ZeroRows", zeros, kNone, 1e-2);
  Matrix<double> huge = plain;
  for (Index c = 0; c < 3; ++c) huge(7, c) *= 5.0;
  add("HugeRow", huge, kNone, 1.0);
  add("One", RowsOfNorm(1, 4, 1.0, 2), kNone, 0.5);
  add("Two", RowsOfNorm(2, 4, 1.0, 2), kSoftmax, 0.1);
  return cases;
}

}  // namespace steelyard::test
