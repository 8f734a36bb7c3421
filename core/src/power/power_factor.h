// What a power regression knows of A once it has been factored: everything that
// does not depend on right-hand sides.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "power/gram_solver.h"
#include "power/spectral_factor.h"
#include "steelyard/compute_context.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// A'A = V diag(s^2) V', for e^(A'A).
struct ExponentialBasis {
  Matrix<double> v_transposed;  // d x d
  std::vector<double> s;        // descending
  std::vector<double> shifts;   // (s_i - s_d)(s_i + s_d)
};

struct PowerFactor {
  Factor factor;
  // Powers; where R is a preconditioner, estimates only. Keeps a pointer to
  // `factor`: a PowerFactor never moves.
  std::optional<GramSolver> solver;
  // kMatrixExponential.
  std::optional<ExponentialBasis> exponential;
  // l 4^-exponents; empty for l = 0.
  std::vector<double> ridge_diagonal;
  // Powers without levels; FactorGrade::kQr looked for it.
  std::optional<SpectralFactor> spectral;
  double log2_norm = 0.0;  // log2 ||A||_2
  // What it was made with.
  double ridge = 0.0;
  std::optional<PowerMethod> method;
  // Whether `factor` is that of a sketch: then the two below have part in its
  // bits, and its rank and condition are those of A with high probability.
  bool sketched = false;
  // R is that of the sketch: SketchedSolver needs A for every solve.
  bool preconditioner = false;
  double distortion = 0.0;  // of that sketch
  SketchOptions sketch;
  Seed seed;

  PowerFactor() = default;
  PowerFactor(const PowerFactor&) = delete;
  PowerFactor& operator=(const PowerFactor&) = delete;

  // Memory that it holds.
  std::int64_t bytes() const;
};

// Factors A, whose columns were scanned, for the family of `options`.
// kQr: R serves many right-hand sides, and powers get what solves them without
// levels; kLadder: one call.
// ERRORS  Cancelled, DeadlineExceeded; Aborted: a stop that wants the best
//         answer.
absl::StatusOr<std::shared_ptr<const PowerFactor>> MakePowerFactor(
    const DenseOrCsr& a, const ColumnScales& scales,
    const PowerRegressionOptions& options, FactorGrade grade,
    const ComputeContext& context);

// ScanColumns of a dense or sparse matrix.
absl::StatusOr<ColumnScales> ScanMatrix(const DenseOrCsr& a,
                                        std::string_view field,
                                        const ComputeContext& context);

// The way to R that a method of a power regression takes; unset: the ladder.
std::optional<FactorMethod> FactorMethodOf(std::optional<PowerMethod> method);

}  // namespace steelyard
