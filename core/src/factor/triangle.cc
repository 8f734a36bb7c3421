#include "factor/triangle.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/gram.h"
#include "linalg/condition.h"
#include "linalg/svd.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Up to this order the singular values are worth their price: a fraction of a
// millisecond.
constexpr Index kSmallOrder = 32;

double Real(Index i) { return static_cast<double>(i); }

// The guard of N4 for the R in `factor`, from its two norms.
// d: || |E| ||_F <= c u || |K|'|K| ||_F <= c u ||K||_F^2 for a Gram: h
// roundings in a panel, 2 in the sum of panels, d + 1 in Cholesky, 1 for the
// ridge.
void Certify(Index n, Factor& factor) {
  const Index d = factor.r.cols();
  const double product = factor.frobenius_norm * factor.inverse_frobenius_norm;
  if (factor.method == FactorMethod::kGram) {
    const double c = Real(GramPanelRows(n) + d + 4);
    factor.gram_error = c * kUnitRoundoff * product * product;
  } else {
    factor.gram_error = 40.0 * std::sqrt(Real(d)) * kUnitRoundoff * product;
  }
  const double f = factor.gram_error;
  const double g = Real(d + 2) * kUnitRoundoff * product;
  // R^-1 is formed, and multiplied: universal_set/block_scores.h.
  factor.delta = f < 1.0 ? f / (1.0 - f) + 4.0 * g : kInfinity;
}

// sigma_d >= 1 / ||R^-1||_F > theta ||R||_F >= theta sigma_1.
bool ProvenFullRank(const Factor& factor) {
  return 1.0 / factor.inverse_frobenius_norm >
         RankThreshold(factor.r.cols()) * factor.frobenius_norm;
}

// rank, gap and condition from the singular values; what rounding leaves beyond
// `most` of them is noise.
void DecideRank(Index most, Factor& factor) {
  const std::vector<double>& s = factor.singular_values;
  const auto d = static_cast<Index>(s.size());
  const double least = RankThreshold(d) * s.front();
  factor.rank = std::count_if(s.begin(), s.begin() + most,
                              [&](double value) { return value > least; });
  factor.rank_gap = 0.0;
  factor.condition = 0.0;
  if (factor.rank == 0) return;
  const auto kept = static_cast<std::size_t>(factor.rank);
  factor.condition = s.front() / s[kept - 1];
  if (factor.rank < d) factor.rank_gap = s[kept] / s[kept - 1];
}

// The scores by S_r^-1 V_r': as for a full R, with ||R_r^-1||_F from the kept
// singular values, and the kept subspace turned by at most
// ||E|| / (sigma_r - sigma_(r+1)) (Wedin).
void CertifyTruncated(Factor& factor) {
  factor.gram_error = kInfinity;
  factor.inverse_frobenius_norm = kInfinity;
  factor.delta = kInfinity;
  if (factor.rank == 0 || factor.rank_gap >= 1.0) return;
  double inverse_square = 0.0;
  for (Index i = 0; i < factor.rank; ++i) {
    const double s = factor.singular_values[static_cast<std::size_t>(i)];
    inverse_square += 1.0 / (s * s);
  }
  const double d = Real(factor.r.cols());
  const double product = factor.frobenius_norm * std::sqrt(inverse_square);
  const double f =
      40.0 * std::sqrt(d) * kUnitRoundoff * product / (1.0 - factor.rank_gap);
  const double g = (d + 2.0) * kUnitRoundoff * product;
  if (f < 1.0) factor.delta = f / (1.0 - f) + 2.0 * g;
}

}  // namespace

double RankThreshold(Index d) {
  return std::max(30.0, 2.0 * std::sqrt(Real(d))) * kUnitRoundoff;
}

double FrobeniusNorm(const Matrix<double>& r) {
  double sum = 0.0;
  for (Index i = 0; i < r.size(); ++i) sum += r.data()[i] * r.data()[i];
  return std::sqrt(sum);
}

double InverseNormBound(Index d, double computed, double norm) {
  const double residual = Real(d) * kUnitRoundoff * computed * norm;
  return residual < 1.0 ? computed / (1.0 - residual) : kInfinity;
}

absl::Status MeasureTriangle(Index n, const ComputeContext& context,
                             Factor& factor) {
  const Index d = factor.r.cols();
  factor.frobenius_norm = FrobeniusNorm(factor.r);
  const absl::StatusOr<double> inverse =
      InverseFrobeniusNorm(BlockOf(std::as_const(factor.r)), context);
  if (!inverse.ok()) return inverse.status();
  factor.inverse_frobenius_norm =
      InverseNormBound(d, *inverse, factor.frobenius_norm);
  Certify(n, factor);
  return absl::OkStatus();
}

absl::Status AddCondition(const ComputeContext& context, Factor& factor) {
  factor.rank = factor.r.cols();
  if (factor.r.cols() > kSmallOrder) {
    const absl::StatusOr<double> estimate =
        EstimateCondition(BlockOf(std::as_const(factor.r)), context);
    if (!estimate.ok()) return estimate.status();
    factor.condition = *estimate;
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<double>> values = SingularValues(factor.r);
  if (!values.ok()) return values.status();
  factor.singular_values = *std::move(values);
  factor.condition =
      factor.singular_values.front() / factor.singular_values.back();
  return absl::OkStatus();
}

bool GramLooksSound(const Factor& factor) {
  const double k = factor.condition;
  return 2.0 * std::sqrt(Real(factor.r.cols())) * kUnitRoundoff * k * k < 0.5;
}

absl::Status SettleRank(Index most_rank, bool svd_wanted,
                        const ComputeContext& context, Factor& factor) {
  if (!svd_wanted && ProvenFullRank(factor)) {
    return AddCondition(context, factor);
  }
  if (absl::Status s = AddSvd(&factor, context); !s.ok()) return s;
  const Index d = factor.r.cols();
  DecideRank(most_rank, factor);
  if (factor.rank < d) {
    CertifyTruncated(factor);
    absl::StrAppend(&factor.description, ", SVD of R truncated at rank ",
                    factor.rank);
  } else if (svd_wanted) {
    absl::StrAppend(&factor.description, ", SVD of R");
  } else {
    factor.v_transposed = {};
  }
  return absl::OkStatus();
}

}  // namespace steelyard
