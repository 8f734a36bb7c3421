#include "one_pass/certified_factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/triangle.h"
#include "linalg/svd.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Real(Index i) { return static_cast<double>(i); }

// delta of N4: f, and the error of R^-T k by the inverse of R, as Certify of
// factor.cc counts it.
double ScoreError(Index d, double f, double product) {
  if (!(f < 1.0)) return kInfinity;
  return f / (1.0 - f) + 4.0 * Real(d + 2) * kUnitRoundoff * product;
}

void CertifyFullRank(const TriangleError& error, Factor& factor) {
  const Index d = factor.r.cols();
  factor.rank = d;
  factor.gram_error = GramErrorOf(error, factor.inverse_frobenius_norm);
  factor.delta =
      ScoreError(d, factor.gram_error,
                 factor.frobenius_norm * factor.inverse_frobenius_norm);
}

// Scores by S_r^-1 V_r': ||R_r^-1||_F from the kept singular values, the kept
// subspace turned by at most ||D|| / (sigma_r - sigma_(r+1)) (Wedin).
void CertifyTruncated(const TriangleError& error, Factor& factor) {
  const Index d = factor.r.cols();
  factor.gram_error = kInfinity;
  factor.inverse_frobenius_norm = kInfinity;
  factor.delta = kInfinity;
  if (factor.rank == 0 || factor.rank_gap >= 1.0 || error.gram > 0.0) return;
  double inverse_square = 0.0;
  for (Index i = 0; i < factor.rank; ++i) {
    const double s = factor.singular_values[static_cast<std::size_t>(i)];
    inverse_square += 1.0 / (s * s);
  }
  const double inverse = std::sqrt(inverse_square) / (1.0 - factor.rank_gap);
  factor.delta = ScoreError(d, GramErrorOf(error, inverse),
                            factor.frobenius_norm * std::sqrt(inverse_square));
}

void DecideRank(Index keys, Factor& factor) {
  const std::vector<double>& s = factor.singular_values;
  const Index d = factor.r.cols();
  const double least = RankThreshold(d) * s.front();
  factor.rank = std::count_if(s.begin(), s.begin() + std::min(keys, d),
                              [&](double value) { return value > least; });
  if (factor.rank == 0) return;
  const auto kept = static_cast<std::size_t>(factor.rank);
  factor.condition = s.front() / s[kept - 1];
  if (factor.rank < d) factor.rank_gap = s[kept] / s[kept - 1];
}

}  // namespace

double HouseholderError(Index d, double frobenius_norm) {
  return 20.0 * std::sqrt(Real(d)) * kUnitRoundoff * frobenius_norm;
}

// With Y = X + D: Y'Y lies within 1 +- e of R'R, e = gram ||R^-1||^2, so
// ||D Y^+|| <= h = ||D|| ||R^-1|| / sqrt(1 - e) and X'X within (1 +- h)^2 of
// Y'Y. Together X'X within 1 +- a of R'R, and K'K within (1 + a)/(1 - relative)
// above and (1 - a)/(1 + relative) below.
double GramErrorOf(const TriangleError& error, double inverse_norm) {
  if (!std::isfinite(inverse_norm) || !(error.relative < 1.0)) {
    return kInfinity;
  }
  const double e = error.gram * inverse_norm * inverse_norm;
  if (!(e < 1.0)) return kInfinity;
  const double h = error.householder * inverse_norm / std::sqrt(1.0 - e);
  const double around_y = h * (2.0 + h);
  const double a = e + around_y + e * around_y;
  return (a + error.relative) / (1.0 - error.relative);
}

// K'K within 1 +- f of R'R is R'R within [1 / (1 + f), 1 / (1 - f)] of K'K.
double RelativeOf(double gram_error) {
  return gram_error < 1.0 ? gram_error / (1.0 - gram_error) : kInfinity;
}

absl::StatusOr<Factor> CertifiedFactor(Triangle triangle, FactorDetail detail,
                                       const ComputeContext& context) {
  Factor factor;
  factor.scales = std::move(triangle.scales);
  factor.r = std::move(triangle.r);
  factor.method = triangle.method;
  const Index d = factor.r.cols();
  factor.description =
      absl::StrCat("one pass over ", triangle.keys, " x ", d, " keys, ",
                   triangle.method == FactorMethod::kGram ? "Gram and Cholesky"
                                                          : "Householder QR");
  factor.frobenius_norm = FrobeniusNorm(factor.r);
  const absl::StatusOr<double> inverse =
      InverseFrobeniusNorm(BlockOf(std::as_const(factor.r)), context);
  if (!inverse.ok()) return inverse.status();
  factor.inverse_frobenius_norm =
      InverseNormBound(d, *inverse, factor.frobenius_norm);
  // sigma_d >= 1 / ||R^-1||_F > theta ||R||_F >= theta sigma_1.
  if (triangle.keys >= d && 1.0 / factor.inverse_frobenius_norm >
                                RankThreshold(d) * factor.frobenius_norm) {
    CertifyFullRank(triangle.error, factor);
    if (detail == FactorDetail::kScores) return factor;
    if (absl::Status s = AddCondition(context, factor); !s.ok()) return s;
    return factor;
  }
  if (absl::Status s = AddSvd(&factor, context); !s.ok()) return s;
  DecideRank(triangle.keys, factor);
  if (factor.rank < d) {
    CertifyTruncated(triangle.error, factor);
    absl::StrAppend(&factor.description, ", SVD of R truncated at rank ",
                    factor.rank);
  } else {
    CertifyFullRank(triangle.error, factor);
    factor.v_transposed = {};
  }
  return factor;
}

}  // namespace steelyard
