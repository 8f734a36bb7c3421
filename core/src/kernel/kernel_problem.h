// One kernel regression, loaded and scaled, and what a route through it
// answers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel/certificate.h"
#include "kernel/kernel_factor.h"
#include "kernel/scaled_system.h"
#include "kernel/scaled_vector.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/solution.h"

namespace steelyard {

struct KernelProblem {
  AttentionKernelOptions options;
  std::shared_ptr<const KernelFactor> factor;
  std::vector<ScaledVector> b;  // right-hand sides, none of them zero

  const KernelRows& rows() const { return factor->rows; }
  const std::optional<SoftmaxRows>& softmax() const { return factor->softmax; }
  const SymmetricForm& form() const { return factor->form; }
  Index n() const { return factor->n(); }
  Index k() const { return static_cast<Index>(b.size()); }
};

struct ColumnAnswer {
  ScaledVector x;
  Certificate certificate = kNoAnswerCertificate;
  double forward_error = 1.0;  // 1: no digit
  Termination termination = Termination::kIllConditioned;
  int iterations = 0;
};

struct RouteAnswer {
  std::vector<ColumnAnswer> columns;
  std::string method;
  double condition = 0.0;
  double log_smallest_ridge = 0.0;
  std::optional<Index> rank;  // where it was found to be below n
};

// All zero, n rows and k right-hand sides, with one termination.
RouteAnswer ZeroAnswer(Index n, Index k, Termination termination);

// kTimeLimit or kStopped.
Termination StoppedTermination(const StopToken& stop);

// c = e^{log_left} b, every column divided by a power of two of its own.
struct ScaledRightHandSides {
  Matrix<double> c;                    // k x n, largest entry in [0.5, 1)
  std::vector<std::int64_t> exponent;  // of each column
};
ScaledRightHandSides ScaleRightHandSides(const KernelProblem& problem,
                                         const ComputeContext& context);

// e^{log_scale_i} v_i.
ScaledVector TimesExpOf(const ScaledVector& v,
                        const std::vector<double>& log_scale);

// x = e^{log_right} z 2^exponent.
ScaledVector SolutionOf(const KernelProblem& problem, const double* z,
                        std::int64_t exponent);

// What stopped improving is converged, at the floor, or `otherwise`.
Termination Judge(const KernelProblem& problem, const Certificate& certificate,
                  Termination otherwise);

// (|r| + |e|) / l as a bound on |x - x*|, relative to |x|; SOFTMAX_ROWS: in the
// norm in which P is symmetric. 1 without a ridge. r, e, z of S z = c.
double RidgeErrorBound(const KernelProblem& problem, const double* residual,
                       const double* error, const double* z);

}  // namespace steelyard
