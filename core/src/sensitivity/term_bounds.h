// Certified intervals of all sensitivities for one |x|^p, before any key is
// refined.
//
// METHOD  Upper ends: Lewis bounds (lewis_bounds.h); tau^(p/2) for p <= 2, tau
//   the leverage score, because ||X y||_p >= ||X y||_2. Lower ends: tau^(p/2)
//   for p >= 2, the ratio at y = x_j with ||X x_j||_p <= ||X x_j||_2; for
//   p <= 2 that norm is at most n^(1/p-1/2) times as large. p = 2: tau itself.
//
// SOURCE  NUMERICS N7.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "sensitivity/certificate.h"
#include "sensitivity/lewis_bounds.h"
#include "sensitivity/whitened_keys.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct TermBounds {
  PowerCertificate certificate;
  LewisBounds lewis;  // p = 2, or nothing certifiable: no rounds, no weights
  std::vector<double> lower;
  std::vector<double> upper;

  // Leverage scores are as good as they get; without weights there is no start.
  bool refinable() const { return lewis.rounds > 0; }
};

// `leverage`: tau and delta of the same keys. Keys of a new direction get
// [0, 0]: their sensitivity is not looked for here.
// ERRORS  Cancelled, DeadlineExceeded, Aborted.
absl::StatusOr<TermBounds> ComputeTermBounds(const WhitenedKeys& keys,
                                             const LeverageScores& leverage,
                                             double p,
                                             const ComputeContext& context);

}  // namespace steelyard
