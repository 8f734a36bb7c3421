// GMRES(m) for (P + l I) x = b, softmax rows whose scales lie too far apart for
// a symmetric form.
//
// METHOD  Preconditioned from the right, so that the residual it minimises is
//   the true |b - M x|; modified Gram-Schmidt, Givens rotations; restarted
//   every `kRestart` steps from the residual recomputed from A.
//
// SOURCE  Saad, Schultz, SIAM J. Sci. Stat. Comput. 1986.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Vectors are 1 x n.
struct GmresOperators {
  // out := M v
  absl::FunctionRef<absl::Status(const Matrix<double>& v, Matrix<double>& out)>
      apply;
  // v := N^-1 v, N near M
  absl::FunctionRef<absl::Status(Matrix<double>& v)> precondition;
};

struct GmresCycle {
  int iterations = 0;
  double residual = 0.0;  // of the recurrence, |b - M x|
};

inline constexpr int kGmresRestart = 60;

// One cycle: x += correction for the residual r = b - M x. Ends when the
// recurrence is <= goal, or after min(kGmresRestart, iterations_max) steps.
// COST    memory (kGmresRestart + 3) n words.
// ERRORS  what the operators return; x is then unchanged.
absl::StatusOr<GmresCycle> RunGmresCycle(const GmresOperators& operators,
                                         const Matrix<double>& r, double goal,
                                         int iterations_max, Matrix<double>& x);

}  // namespace steelyard
