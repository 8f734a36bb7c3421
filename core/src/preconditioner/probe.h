// Some steps of preconditioned conjugate gradients on a random right-hand side,
// several preconditioners side by side: what they do to the residual, and what
// it costs in products.
//
//     S z = c,   c = e^{log_left} b,  b ~ N(0, I) of the seed
//
// METHOD  One product a step for all runs: they share the tiles, so that k runs
//   cost n^2 (d + 2k) flops, (d + 2k) / (d + 2) products of one vector.
//   Residuals are measured as the solver measures them, |b - M x| / |b|, by the
//   recurrence.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "kernel/ritz_values.h"
#include "kernel/scaled_system.h"
#include "preconditioner/preconditioner.h"

namespace steelyard {

struct ProbeRun {
  const Preconditioner* preconditioner = nullptr;
  // |r| / |b| after each step; [0] = 1.
  std::vector<double> residuals;
  // sqrt(r'P^-1 r) after each step over that before the first: falls more
  // evenly, as no row weighs more than another.
  std::vector<double> norms;
  LanczosCoefficients lanczos;  // of P^-1 S
  // p'Sp was not positive, or a number left float64: steps are no-ops.
  bool broken = false;
};

class Probe {
 public:
  // Everything must outlive the probe. In float32 residuals end some digits
  // below 1: for the first steps only.
  explicit Probe(const PreconditionerSource& source,
                 TilePrecision precision = TilePrecision::kFloat64);

  // A run from z = 0. Returns its number.
  absl::StatusOr<Index> Add(const Preconditioner& preconditioner,
                            const ComputeContext& context);

  // One step of each of these runs.
  // COST    n^2 (d + 2k) flops and 4 n r a run.
  // ERRORS  The stop token.
  absl::Status Step(const std::vector<Index>& runs,
                    const ComputeContext& context);

  TilePrecision precision() const { return precision_; }
  const ProbeRun& run(Index i) const {
    return runs_[static_cast<std::size_t>(i)];
  }
  // Flops so far over those of one product with one vector.
  double products() const { return products_; }

 private:
  struct State {
    Matrix<double> residual;   // 1 x n
    Matrix<double> direction;  // 1 x n
    double square = 0.0;       // r'P^-1 r
  };
  double ResidualNorm(const Matrix<double>& residual) const;
  absl::Status Advance(Index run, const double* ep,
                       const ComputeContext& context);

  const PreconditionerSource& source_;
  TilePrecision precision_;
  Matrix<double> c_;             // 1 x n
  std::vector<double> weights_;  // e^{-log_left}, the largest 1
  double norm_ = 1.0;
  std::vector<ProbeRun> runs_;
  std::vector<State> states_;
  double products_ = 0.0;
};

// Flops of one product with k vectors over those of one with one.
double ProductsOf(Index d, Index k);

}  // namespace steelyard
