// An approximation P of the symmetric form S of a kernel (unit diagonal,
// kernel/symmetric_form.h) whose inverse is cheap.
//
// Every kind is symmetric positive definite and deterministic: same rows, form,
// rank and seed, same bits, for any number of workers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/kernel_preconditioner.h"
#include "steelyard/matrix.h"

namespace steelyard {

class Preconditioner {
 public:
  virtual ~Preconditioner() = default;

  virtual KernelPreconditioner kind() const = 0;
  // Columns of the factor; 0: a diagonal.
  virtual Index rank() const = 0;
  virtual std::int64_t bytes() const = 0;
  // In words, with sizes, for SolveReport::method.
  virtual std::string Describe() const = 0;

  // v := P^-1 v; v is k x n.
  // COST    4 n r k flops.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  virtual absl::Status Apply(Matrix<double>& v,
                             const ComputeContext& context) const = 0;
};

// What a preconditioner is made from. Everything must outlive the making, not
// the preconditioner.
struct PreconditionerSource {
  const KernelRows& rows;
  const SymmetricForm& form;
  const KernelProduct& product;
  std::uint64_t seed = 0;
};

// What a factor F is kept, grown and squared in.
enum class FactorPrecision { kFloat64, kFloat32 };

// Known before any work. kFloat32 where its errors are harmless; flops cost
// half there, memory and applications, too.
//   P = F F' + D is positive definite whatever F is off by. What counts is how
//   far x'Px changes, relatively.
//   kPolynomialSketch: entries of F are off by u_32 of themselves. D^-1/2 F is
//   then off by e <= u_32 sqrt(sum_i S_ii / D_i), x'Px by 2 e + e^2 of itself:
//   e <= 0.02 costs at most 4 % more steps.
//   kRpCholesky: columns are differences, divided by small pivots. P is off by
//   some E with |E| <= u_32 sqrt(n r), as if n x r numbers were off at random
//   by sums of r terms up to 1: |E| <= min D / 2. (At 2 min D no kernel of
//   those tried took more steps, and most took as many at 50 min D.)
FactorPrecision PrecisionOfFactor(KernelPreconditioner kind, Index rank,
                                  const PreconditionerSource& source);

// `rank` for kRpCholesky and kPolynomialSketch. What is found may have a lower
// rank (the pivots ended), told by rank().
// COST    CostOfPreconditioner.
// ERRORS  InvalidArgument FIELD_OUT_OF_RANGE, field "preconditioner": a
//         polynomial sketch where s|a - c|^2 > 30. The stop token.
absl::StatusOr<std::unique_ptr<Preconditioner>> MakePreconditioner(
    KernelPreconditioner kind, Index rank, const PreconditionerSource& source,
    const ComputeContext& context);

// Of the making, with an upper bound of the memory that is held meanwhile.
Cost CostOfPreconditioner(KernelPreconditioner kind, Index rank, Index n,
                          Index d, int workers);

// Entries of the diagonal of a preconditioner are at least this, some n u:
// Woodbury subtracts numbers of 1 / D from each other, and S has no digit of an
// eigenvalue below n u.
double DiagonalFloor(const KernelRows& rows, Index i);

}  // namespace steelyard
