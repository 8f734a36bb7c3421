// The symmetric form S z = c in float64, for rows whose scales lie within
// e^30 of each other: products, and residuals that are recomputed from A.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/certificate.h"
#include "kernel/kernel_product.h"
#include "kernel/logits.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

enum class TilePrecision { kFloat64, kFloat32 };

struct CheckedResidual {
  Matrix<double> residual;  // c - S z, k x n
  Matrix<double> error;     // a bound on its rounding errors, k x n
  std::vector<Certificate> certificates;
};

class ScaledSystem {
 public:
  // Everything must outlive the system.
  ScaledSystem(const KernelRows& rows, const SymmetricForm& form,
               KernelProduct& product);

  Index size() const { return product_.size(); }
  const KernelRows& rows() const { return rows_; }
  const SymmetricForm& form() const { return form_; }

  // out := S V, k x n.
  absl::Status Apply(const Matrix<double>& v, TilePrecision precision,
                     Matrix<double>& out, const ComputeContext& context);

  void KeepTiles() { product_.KeepTiles(); }

  // Weights of the rows of a residual of S in the norm of b, in (0, 1].
  const std::vector<double>& residual_weights() const { return weights_; }

  // One pass with z, |z| and the error weights. Certificates are of b - M x.
  absl::StatusOr<CheckedResidual> Check(const Matrix<double>& c,
                                        const Matrix<double>& z,
                                        const ComputeContext& context);

 private:
  void CheckColumn(Index column, const Matrix<double>& c,
                   const Matrix<double>& z, const Matrix<double>& products,
                   CheckedResidual& checked) const;

  const KernelRows& rows_;
  const SymmetricForm& form_;
  KernelProduct& product_;
  std::vector<double> weights_;
  // Error of a logit, in units of u: of its row, of its column.
  std::vector<double> logit_error_;
  // Of the scalings e^{log_left} and e^{log_right}, in units of u.
  double scaling_error_ = 0.0;
};

// N3: float32 tiles may carry steps while 4 u_32 s|a - c|^2 <= 1e-2.
bool Float32Allowed(const KernelRows& rows, const SymmetricForm& form);

}  // namespace steelyard
