#include "kernel/certificate.h"

#include <algorithm>
#include <cmath>

namespace steelyard {

double DotErrorConstant(Index d) {
  const auto terms = static_cast<double>(d);
  // Beside the terms: the scale, two offsets and the sum with them.
  return std::min(terms + 4.0, 8.0 + 4.0 * std::sqrt(terms));
}

double SumErrorConstant(Index n) {
  // Within a tile at most 256 terms one after the other; tiles and slots are
  // few and their sums larger than their terms.
  constexpr double kTileTerms = 256.0;
  return 8.0 + std::sqrt(std::min(static_cast<double>(n), kTileTerms));
}

Certificate Certify(const ResidualRows& rows) {
  Certificate certificate;
  certificate.within_error = true;
  for (std::size_t i = 0; i < rows.residual.size(); ++i) {
    const ScaledNumber scale = Add(rows.magnitude[i], Absolute(rows.rhs[i]));
    certificate.omega =
        std::max(certificate.omega, RatioOf(rows.residual[i], scale));
    certificate.row_error =
        std::max(certificate.row_error, RatioOf(rows.error[i], scale));
    if (LargerThan(rows.residual[i], rows.error[i])) {
      certificate.within_error = false;
    }
  }
  const ScaledNumber residual = NormOf(rows.residual);
  const ScaledNumber magnitude = NormOf(rows.magnitude);
  const ScaledNumber rhs = NormOf(rows.rhs);
  certificate.relative_residual = RatioOf(residual, rhs);
  certificate.floor = RatioOf(Times(magnitude, kUnitRoundoff), rhs);
  certificate.backward_error = RatioOf(residual, Add(magnitude, rhs));
  certificate.error = RatioOf(NormOf(rows.error), rhs);
  return certificate;
}

bool AtPrecisionFloor(const Certificate& certificate, double logit_max) {
  // 0.1: a row whose error bound reaches it has no digit to be right about.
  constexpr double kRowErrorMax = 0.1;
  return certificate.within_error && certificate.row_error < kRowErrorMax &&
         certificate.relative_residual <= 8.0 * certificate.floor * logit_max &&
         certificate.omega <= 8.0 * kUnitRoundoff * logit_max;
}

bool IsConverged(const Certificate& certificate, double tolerance) {
  return certificate.relative_residual + certificate.error <= tolerance;
}

}  // namespace steelyard
