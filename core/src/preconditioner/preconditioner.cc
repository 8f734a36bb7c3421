#include "preconditioner/preconditioner.h"

#include <algorithm>

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

double DiagonalFloor(const KernelRows& rows, Index i) {
  constexpr double kOfPivotFloor = 64.0;
  constexpr double kLargest = 0.01;
  return std::min(kLargest, kOfPivotFloor * PivotFloor(rows, i));
}

}  // namespace steelyard
