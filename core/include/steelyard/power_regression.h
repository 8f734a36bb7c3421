// Regressions against powers of A'A and against its matrix exponential.
//
//     even   (A'A)^j x = b             j in [1, 64], b of length d
//     odd    min ||A (A'A)^j x - b||   j in [0, 64], b of length n
//     exp    e^(A'A) x = b             b of length d
//
// METHOD  One factorisation R'R = A'A (ladder of N1), then level by level:
//   y_i solves A'A y_i = y_{i-1} by R^-T, R^-1, refined with the true A; the
//   odd family starts from y_0 = argmin ||A z - b||. Residuals that certify are
//   computed in double-double. The exponential goes through the SVD of R.
//
// SOURCE  NUMERICS N1, N2; [SYZ24] arXiv 2308.14304; [EMN24] arXiv 2406.03468.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/csr_view.h"
#include "steelyard/matrix_view.h"
#include "steelyard/random.h"
#include "steelyard/sketch.h"
#include "steelyard/solution.h"

namespace steelyard {

enum class PowerMethod {
  kGram,  // Gram, Cholesky, refinement with the true A
  kQr,    // blocked tall-skinny Householder QR
  kSvd,   // SVD of R, truncated at the numerical rank: minimum norm
  // Sketch, QR of the sketch, preconditioned iteration with an outer loop that
  // makes it backward stable [EMN24]. kGramPower and kLeftGramPower.
  kSketch,
  // [SYZ24] as written. kGramPower and kLeftGramPower.
  kSketchPublished,
  // sum_k (-A'A)^k b / k!, term by term. kMatrixExponential.
  kSeries,
};

enum class PowerFamily { kGramPower, kLeftGramPower, kMatrixExponential };

struct PowerRegressionOptions {
  PowerFamily family = PowerFamily::kGramPower;
  // j. Ignored by kMatrixExponential.
  int exponent = 1;
  // Goal on the residual of the family (odd: the excess). In (0, 1). Unset:
  // 8 (j+1) max(phi, u), as good as float64 allows.
  std::optional<double> tolerance;
  // Refinement steps a level. >= 1.
  int max_iterations = 1000;
  // Unset: the ladder of N1 chooses.
  std::optional<PowerMethod> method;
  // Of kSketch and kSketchPublished, and of the ladder where it sketches.
  SketchOptions sketch = {};
  Seed seed = {};
  // kSeries: how many terms. Unset: as many as the tolerance takes.
  std::optional<int> terms;
  // l >= 0: (A'A + l I)^j x = b; odd: z = argmin |Az-b|^2 + l |z|^2 first.
  // 0 for kMatrixExponential.
  double ridge = 0.0;
  // Also x_low, so that x + x_low holds about 106 bits; phi is then that of 106
  // bits, an unset tolerance stays that of float64. Rank < d: the row space is
  // known to float64 only, and forward_error says so. Not for
  // kMatrixExponential.
  bool extended_output = false;
};

// SHAPES   a: n x d, any n, d >= 1, dense or sparse (CheckCsr was OK).
//          b: rows(M) x k. x: d x k.
// SCALARS  any storage types; all arithmetic float64 or better.
// COST     2 n d^2 + O(n d k) flops a refinement; sparse: pairs of entries of a
//          row and d^3 for R (or a sketch and some 60 reads of A a level, where
//          that is less), O(nonzeros k) a refinement, nothing of n x d in
//          memory; CostOfPowerRegression.
// RANDOM   the sketch, if any: options.seed.
// ERRORS   InvalidArgument: a NaN or infinity (field "a", sparse
//          "a.values", or "b").
//          Cancelled, DeadlineExceeded: `context.stop`. A time limit or a
//          draining server is a Termination with the best x so far.
absl::StatusOr<Solution> SolvePowerRegression(
    const DenseOrCsr& a, const AnyMatrixView& b,
    const PowerRegressionOptions& options, const ComputeContext& context);

// What is known of the extents of A and b before they are read.
struct PowerShape {
  Index n = 1;
  Index d = 1;
  Index k = 1;  // right-hand sides
  // Entries of a sparse A; unset: dense.
  std::optional<Index> nonzeros = std::nullopt;
};
Cost CostOfPowerRegression(const PowerShape& shape,
                           const PowerRegressionOptions& options, int workers);

}  // namespace steelyard
