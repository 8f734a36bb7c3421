// The part of a power regression that depends on A alone, kept: pay once for a
// matrix, then solve as often as right-hand sides arrive.
//
// METHOD  R'R = A'A of QR grade (N1: where the Gram or a sketch gave R0, one
//   repair X = A R0^-1, R = chol(X'X) R0), its certificate, its norm. The even
//   family then needs R alone; the odd family reads A for its residuals.
//
// SOURCE  NUMERICS N1, N2.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/power_regression.h"

namespace steelyard {

struct PowerFactor;  // core/src/power/power_factor.h

// Immutable; copies share it. Does not keep A.
class PreparedMatrix {
 public:
  explicit PreparedMatrix(std::shared_ptr<const PowerFactor> factor)
      : factor_(std::move(factor)) {}

  // Memory it holds.
  std::int64_t bytes() const;
  // Whether a solve with `options` on the same A may use it: same ridge, and
  // made by the method, sketch and seed that `options` ask for, if any.
  bool Serves(const PowerRegressionOptions& options) const;

  const PowerFactor& factor() const { return *factor_; }

 private:
  std::shared_ptr<const PowerFactor> factor_;
};

// Whether `options` are of a kind that has something to keep: not kSeries, not
// kSketchPublished.
bool CanPrepare(const PowerRegressionOptions& options);

// ERRORS  as SolvePowerRegression, field "a"; Aborted where the stop reason
//         wants the best answer: there is none yet.
absl::StatusOr<PreparedMatrix> PrepareMatrix(
    const DenseOrCsr& a, const PowerRegressionOptions& options,
    const ComputeContext& context);
Cost CostOfPreparing(const PowerShape& shape,
                     const PowerRegressionOptions& options, int workers);

// As SolvePowerRegression, for several callers at once: the right-hand sides of
// every b go through the levels in blocks of one fixed width. Every column gets
// the bits that it would get alone. One answer or error (a NaN in its b) a
// caller.
//
// SHAPES   bs[i]: rows(M) x k_i. `a` is the matrix that was prepared.
// COST     even: 4 d^2 j k flops, A is not read; odd: at most three reads of A.
std::vector<absl::StatusOr<Solution>> SolveTogether(
    const PreparedMatrix& prepared, const DenseOrCsr& a,
    absl::Span<const AnyMatrixView> bs, const PowerRegressionOptions& options,
    const ComputeContext& context);
// shape.k: columns of all b together.
Cost CostOfSolvingTogether(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
