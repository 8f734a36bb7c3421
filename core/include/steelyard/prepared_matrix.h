// The part of a power regression that depends on A alone, kept: pay once for a
// matrix, then solve as often as right-hand sides arrive.
//
// METHOD  R'R = A'A of QR grade (N1: where the Gram or a sketch gave R0, one
//   repair X = A R0^-1, R = chol(X'X) R0), its certificate, its norm, its
//   singular vectors V, and what A'A, formed to 75 bits, has that V S^2 V' has
//   not (core/src/power/spectral_factor.h).
//   Even: x = V S^-2j V'b with a forward error that follows from that; A is not
//   read. Odd: A is read once, for A'b to 75 bits; x is the rounded solution
//   but for what those bits miss (core/src/power/odd_power.h); again where |b -
//   M x| is below some 4e-6 |b|.
//   Columns of which nothing is certain in this way are refined with A: a
//   condition beyond 1e7, rank < d, d < 8, extended output, sparse A in the odd
//   family; even: b along the leading singular vectors; odd: errors of the 75
//   bits that count and lie in a few directions; a tolerance that is not met.
//   The report's method says so.
//
// BITS   The same for any neighbours, place and workers, and for every solve
//   by one PreparedMatrix or another of the same A and options.
//   SolvePowerRegression has the same for kMatrixExponential and where both
//   refine with A by the same R: rank < d, d < 8, a matrix that the ladder
//   gives to QR. Else its last bits are others: it stops at the Gram (saves
//   5 n d^2 flops) and refines with A.
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
  // same sketch and seed; e^(A'A) or powers, of both families.
  bool Serves(const PowerRegressionOptions& options) const;

  const PowerFactor& factor() const { return *factor_; }

 private:
  std::shared_ptr<const PowerFactor> factor_;
};

// Whether `options` are of a kind that has something to keep: not kSeries, not
// kSketchPublished.
bool CanPrepare(const PowerRegressionOptions& options);

// COST    9 n d^2 flops and some 180 d^3 (sparse A: 80 an entry and direction,
//         max(16, d / 8) of those, and 120 d^3).
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
// COST     even: 7 d^2 k flops whatever j, A is not read; odd: 6 n d k + (28 +
//          2 j) d^2 k, one read of A for 240 columns (fewer where d > 256).
//          Refined with A: some 100 n d a level and column.
std::vector<absl::StatusOr<Solution>> SolveTogether(
    const PreparedMatrix& prepared, const DenseOrCsr& a,
    absl::Span<const AnyMatrixView> bs, const PowerRegressionOptions& options,
    const ComputeContext& context);
// shape.k: columns of all b together. `flops`: of columns that need not be
// refined with A.
Cost CostOfSolvingTogether(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
