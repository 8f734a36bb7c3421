// SolveRequest -> a regression of core. solve_answer.h has the way back.
//
// A problem has passed every check of the contract that needs no number of a
// tensor; nobody checks again. The request message must outlive its problem.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/matrix_input.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/cost.h"
#include "steelyard/power_regression.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::server {

class SolveProblem {
 public:
  // n x d. Sparse for power regressions only.
  const MatrixInput& a() const { return a_; }
  // rows(M) x k; extents() is 1 where it was given as a vector.
  const TensorInput& b() const { return b_; }
  // Which of the two says which family. Without the numbers of row_ridge.
  const std::variant<PowerRegressionOptions, AttentionKernelOptions>& options()
      const {
    return options_;
  }
  // n numbers; unset: none, or no kernel. RowRidgeNumbers reads them.
  const std::optional<TensorInput>& row_ridge() const { return row_ridge_; }
  // The caller's, or this process's: told in the report.
  std::uint64_t seed() const { return seed_; }
  // Of the work, from its start. Unset: none.
  std::optional<std::chrono::nanoseconds> time_limit() const {
    return time_limit_;
  }
  std::int64_t max_response_bytes() const { return max_response_bytes_; }

  // Rows of x: d, or n for the attention kernel.
  Index solution_rows() const;
  // k.
  Index right_hand_sides() const { return b_.cols(); }
  bool extended_output() const;

 private:
  friend absl::StatusOr<SolveProblem> SolveProblemFromProto(
      const v1::SolveRequest& request, const Limits& limits,
      const MatrixLookup& matrices);
  SolveProblem(MatrixInput a, TensorInput b)
      : a_(std::move(a)), b_(std::move(b)) {}

  MatrixInput a_;
  TensorInput b_;
  std::variant<PowerRegressionOptions, AttentionKernelOptions> options_;
  std::optional<TensorInput> row_ridge_;
  std::uint64_t seed_ = 0;
  std::optional<std::chrono::nanoseconds> time_limit_;
  std::int64_t max_response_bytes_ = 0;
};

// `matrices`: empty where the server keeps none.
absl::StatusOr<SolveProblem> SolveProblemFromProto(
    const v1::SolveRequest& request, const Limits& limits,
    const MatrixLookup& matrices = {});

// What core knows of the extents before it reads a number.
PowerShape ShapeOf(const SolveProblem& problem);

// Of aligned copies of tensors, the answer's message and its wire form.
double BytesBesideCore(const SolveProblem& problem);
// Flops, and bytes beyond the request message: the work of core and
// BytesBesideCore.
Cost CostOf(const SolveProblem& problem, int workers);

// "gram_power 3: a 1000x32 FLOAT32, b 32 FLOAT64", for logs.
std::string DescriptionOf(const SolveProblem& problem);

// An error of core with core's argument ("a") replaced by the proto path
// (`a.dense.data`).
absl::Status AtProtoPath(const absl::Status& status,
                         const SolveProblem& problem);

// RESPONSE_TOO_LARGE before any work: x alone is larger than the caller takes.
// For Solve; StreamSolve has no such limit.
absl::Status CheckResponseSize(const SolveProblem& problem);

}  // namespace steelyard::server
