#include "preconditioner/preconditioner.h"

#include <algorithm>
#include <cmath>

#include "kernel/dense_solver.h"
#include "preconditioner/diagonal_preconditioner.h"
#include "preconditioner/polynomial_sketch.h"
#include "preconditioner/random_pivots.h"

namespace steelyard {

const char* NameOf(KernelPreconditioner preconditioner) {
  switch (preconditioner) {
    case KernelPreconditioner::kNone:
      return "none";
    case KernelPreconditioner::kJacobi:
      return "Jacobi";
    case KernelPreconditioner::kRpCholesky:
      return "randomly pivoted Cholesky";
    case KernelPreconditioner::kPolynomialSketch:
      return "polynomial sketch";
  }
  return "none";
}

absl::StatusOr<std::unique_ptr<Preconditioner>> MakePreconditioner(
    KernelPreconditioner kind, Index rank, const PreconditionerSource& source,
    const ComputeContext& context) {
  switch (kind) {
    case KernelPreconditioner::kNone:
      return std::make_unique<DiagonalPreconditioner>(
          DiagonalPreconditioner::None(source.form));
    case KernelPreconditioner::kJacobi:
      return std::make_unique<DiagonalPreconditioner>(
          DiagonalPreconditioner::Jacobi());
    case KernelPreconditioner::kRpCholesky: {
      RandomPivots pivots(source);
      absl::Status done = pivots.Grow(rank, context);
      if (!done.ok()) return done;
      return MakeRpCholesky(pivots, rank, source, context);
    }
    case KernelPreconditioner::kPolynomialSketch:
      return MakePolynomialSketch(rank, source, context);
  }
  return absl::InternalError("unknown preconditioner");
}

Cost CostOfPreconditioner(KernelPreconditioner kind, Index rank, Index n,
                          Index d, int workers) {
  const auto rows = static_cast<double>(n);
  switch (kind) {
    case KernelPreconditioner::kNone:
      return {.flops = rows, .bytes = 8.0 * rows + 4096.0};
    case KernelPreconditioner::kJacobi:
      return {.flops = 0.0, .bytes = 4096.0};
    case KernelPreconditioner::kRpCholesky:
    case KernelPreconditioner::kPolynomialSketch:
      return CostOfRpCholesky(rank, n, d, workers);
  }
  return {};
}

FactorPrecision PrecisionOfFactor(KernelPreconditioner kind, Index rank,
                                  const PreconditionerSource& source) {
  constexpr double kUnitRoundoff32 = 0x1p-24;
  constexpr double kKeptErrorMax = 0.02;
  constexpr double kGrownErrorMax = 0.5;
  const auto n = static_cast<double>(source.rows.rows());
  // sum_i S_ii / D_i, S_ii <= 1; min D_i.
  double sum = 0.0;
  double least = 1.0;
  for (Index i = 0; i < source.rows.rows(); ++i) {
    const double shift = source.form.shift[static_cast<std::size_t>(i)];
    const double d = std::max(shift, DiagonalFloor(source.rows, i));
    sum += 1.0 / d;
    least = std::min(least, d);
  }
  bool harmless = false;
  if (kind == KernelPreconditioner::kPolynomialSketch) {
    harmless = kUnitRoundoff32 * std::sqrt(sum) <= kKeptErrorMax;
  } else if (kind == KernelPreconditioner::kRpCholesky) {
    const double error =
        kUnitRoundoff32 * std::sqrt(n * static_cast<double>(rank));
    harmless = error <= kGrownErrorMax * least;
  }
  return harmless ? FactorPrecision::kFloat32 : FactorPrecision::kFloat64;
}

double DiagonalFloor(const KernelRows& rows, Index i) {
  constexpr double kOfPivotFloor = 64.0;
  constexpr double kLargest = 0.01;
  return std::min(kLargest, kOfPivotFloor * PivotFloor(rows, i));
}

}  // namespace steelyard
