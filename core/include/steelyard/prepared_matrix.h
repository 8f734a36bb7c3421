// The part of a power regression that depends on A alone, kept: pay once for a
// matrix, then solve as often as right-hand sides arrive.
//
// METHOD  R'R = A'A of QR grade (N1: where the Gram or a sketch gave R0, one
//   repair X = A R0^-1, R = chol(X'X) R0), its certificate, its norm. The odd
//   family reads A for its residuals. The even family does not: the singular
//   vectors V of R are kept, and what A'A has that R'R has not, measured once
//   with A in double-double along the smallest of them; x = V S^-2j V'b with a
//   forward error that follows from that (core/src/power/spectral_factor.h).
//   Columns for which it would be a guess (condition beyond 1e7, rank < d,
//   d < 8, extended output, a b along the leading singular vectors, a tolerance
//   that is not met) are refined with A; the report's method says so.
//
// BITS   The same for any neighbours, place and workers, and for every solve
//   by one PreparedMatrix or another of the same A and options.
//   SolvePowerRegression has the same for kMatrixExponential and where both
//   read A with the same R: a method that is named, a matrix that the ladder
//   gives to QR. Else its last bits are others: it stops at the Gram (saves
//   2 n d^2 flops and the measurement) and refines even powers with A.
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
  // Whether a solve with `options` on the same A may use it: same ridge, made
  // by the same method (unset is one, too) and, where a sketch was drawn, the
  // same sketch and seed; e^(A'A) or powers; made for the even family if that
  // asks (what is made for the even family serves the odd one with the same
  // bits).
  bool Serves(const PowerRegressionOptions& options) const;

  const PowerFactor& factor() const { return *factor_; }

 private:
  std::shared_ptr<const PowerFactor> factor_;
};

// Whether `options` are of a kind that has something to keep: not kSeries, not
// kSketchPublished.
bool CanPrepare(const PowerRegressionOptions& options);

// COST    6 n d^2 flops; even: 80 n d m more, m = max(16, d / 8) or all d where
//         n d is small, and some 120 d^3.
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
// COST     even: 7 d^2 k flops whatever j, A is not read; exponent 0: three
//          reads of A a slice of 48 columns where one correction is enough.
std::vector<absl::StatusOr<Solution>> SolveTogether(
    const PreparedMatrix& prepared, const DenseOrCsr& a,
    absl::Span<const AnyMatrixView> bs, const PowerRegressionOptions& options,
    const ComputeContext& context);
// shape.k: columns of all b together.
Cost CostOfSolvingTogether(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
