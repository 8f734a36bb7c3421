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
