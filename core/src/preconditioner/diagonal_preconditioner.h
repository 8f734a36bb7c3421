// P = diag(p): no scaling at all, or the kernel's own diagonal.
//
//     none     conjugate gradients on M = W^-1 S W^-1 as its normalisation
//              defines it are those on S with P = W^2. NONE, UNIT_DIAGONAL:
//              W = e^{log_right}; SOFTMAX_ROWS: W = w, M = E + l I, the
//              symmetric matrix that is similar to P + l I.
//     Jacobi   S has a unit diagonal: P = I.
#pragma once

#include <string>
#include <vector>

#include "preconditioner/preconditioner.h"

namespace steelyard {

class DiagonalPreconditioner : public Preconditioner {
 public:
  // Largest entry of P 1, none below e^-600.
  static DiagonalPreconditioner None(const SymmetricForm& form);
  static DiagonalPreconditioner Jacobi();

  KernelPreconditioner kind() const override { return kind_; }
  Index rank() const override { return 0; }
  std::int64_t bytes() const override;
  std::string Describe() const override;
  absl::Status Apply(Matrix<double>& v,
                     const ComputeContext& context) const override;

 private:
  DiagonalPreconditioner(KernelPreconditioner kind, std::vector<double> inverse)
      : kind_(kind), inverse_(std::move(inverse)) {}

  KernelPreconditioner kind_;
  std::vector<double> inverse_;  // empty: 1
};

}  // namespace steelyard
