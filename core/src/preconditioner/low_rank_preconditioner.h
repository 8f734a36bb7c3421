// P = F F' + D with F n x r and D a positive diagonal, inverted by Woodbury:
//
//     P^-1 = D^-1 - D^-1 F (I + F' D^-1 F)^-1 F' D^-1
//
// METHOD  R'R = I + B'B, B = D^-1/2 F: Cholesky of the sum, or, where squaring
//   B would cost the digits (u r tr(B'B) > 1e-3), R of [B; I] by Householder.
//   Either way |R^-1| <= 1. D >= floor of rounding keeps what cancels in the
//   difference below the answer: the error is u |P| / min D of |P^-1|.
//   An error e of I + B'B >= I is one of at most e of P^-1, relatively: it may
//   be float32 in part (factor_gram.h). All else is float64: P^-1 is that of
//   the F that is kept.
//   Same bits for any number of workers: tiles depend on n and r alone and
//   are added in a fixed order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "preconditioner/factor_columns.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

class LowRankPreconditioner : public Preconditioner {
 public:
  struct Parts {
    KernelPreconditioner kind = KernelPreconditioner::kRpCholesky;
    FactorColumns factor;
    std::vector<double> diagonal;  // D > 0
    std::string description;
  };

  // COST    n r^2 flops (Householder: 2 n r^2), 8 r^2 bytes.
  // ERRORS  The stop token.
  static absl::StatusOr<std::unique_ptr<LowRankPreconditioner>> Make(
      Parts parts, const ComputeContext& context);

  KernelPreconditioner kind() const override { return parts_.kind; }
  Index rank() const override { return parts_.factor.rank; }
  std::int64_t bytes() const override;
  std::string Describe() const override { return parts_.description; }
  absl::Status Apply(Matrix<double>& v,
                     const ComputeContext& context) const override;

 private:
  LowRankPreconditioner(Parts parts, Matrix<double> r)
      : parts_(std::move(parts)), r_(std::move(r)) {}

  Parts parts_;
  Matrix<double> r_;  // upper
};

// Of Make, F not counted.
Cost CostOfLowRank(Index rank, Index n, int workers);

}  // namespace steelyard
