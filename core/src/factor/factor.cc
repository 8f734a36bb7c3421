#include "factor/factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/gram.h"
#include "factor/row_loader.h"
#include "linalg/cholesky.h"
#include "linalg/condition.h"
#include "linalg/stopped.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Up to this order the singular values are worth their price: a fraction of a
// millisecond.
constexpr Index kSmallOrder = 32;

// Bytes for lists, strings and alignment, whatever the shape.
constexpr double kSmallThings = 65536.0;

double Real(Index i) { return static_cast<double>(i); }

// theta of N1: singular values above theta sigma_1 count.
double RankThreshold(Index d) {
  return std::max(30.0, 2.0 * std::sqrt(Real(d))) * kUnitRoundoff;
}

// One matrix, its scales and its ridge: what both routes of the ladder read.
struct ScaledProblem {
  RowLoader rows;
  // Of the rows sqrt(l) 2^-e_i e_i' below the matrix; empty without a ridge.
  std::vector<double> ridge_diagonal;

  Index n() const { return rows.rows(); }
  Index d() const { return rows.cols(); }
};

bool IsZeroColumn(const RowLoader& rows, Index column) {
  constexpr Index kPiece = 256;
  double piece[kPiece];
  for (Index first = 0; first < rows.rows(); first += kPiece) {
    const Index count = std::min(kPiece, rows.rows() - first);
    rows.Load(first, column, {piece, count, 1, 1});
    if (std::any_of(piece, piece + count, [](double x) { return x != 0.0; })) {
      return false;
    }
  }
  return true;
}

// Exponents of [A; sqrt(l) I]: the ridge rows, too, are no longer than 2, and a
// column that the ridge alone fills has norm in [1, 2).
ColumnScales RaisedForRidge(const AnyMatrixView& a, ColumnScales scales,
                            double ridge) {
  if (ridge == 0.0) return scales;
  const int ridge_exponent = std::ilogb(std::sqrt(ridge));
  const RowLoader rows(a, {});
  for (std::size_t c = 0; c < scales.exponents.size(); ++c) {
    int& exponent = scales.exponents[c];
    // A zero column has exponent 0, as columns of norm 1 have.
    if (exponent < ridge_exponent ||
        (exponent == 0 && IsZeroColumn(rows, static_cast<Index>(c)))) {
      exponent = ridge_exponent;
    }
  }
  return scales;
}

std::vector<double> RidgeDiagonal(const ColumnScales& scales, double ridge) {
  std::vector<double> diagonal;
  if (ridge == 0.0) return diagonal;
  for (const int exponent : scales.exponents) {
    diagonal.push_back(std::ldexp(std::sqrt(ridge), -exponent));
  }
  return diagonal;
}

double FrobeniusNorm(const Matrix<double>& r) {
  double sum = 0.0;
  for (Index i = 0; i < r.size(); ++i) sum += r.data()[i] * r.data()[i];
  return std::sqrt(sum);
}

// Upper bound on the norm of the true inverse from that of the computed one, X:
// |X R - I| <= d u |X||R| (Higham, 14.3), so R^-1 = (I + D)^-1 X with
// ||D|| <= d u ||X||_F ||R||_F.
double InverseNormBound(Index d, double computed, double norm) {
  const double residual = Real(d) * kUnitRoundoff * computed * norm;
  return residual < 1.0 ? computed / (1.0 - residual) : kInfinity;
}

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

// ||R||_F, ||R^-1||_F and what follows from them.
absl::Status Measure(Index n, const ComputeContext& context, Factor& factor) {
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

// The condition number of a full R: from its singular values while these are
// cheap, else an estimate.
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

// The error of R'R that a Gram really has: its roundings are as good as
// independent, so sqrt(d) instead of the panel rows and d of the bound. Beyond
// 1/2 the smallest eigenvalues, and with them the condition number, are noise.
bool GramLooksSound(const Factor& factor) {
  const double k = factor.condition;
  return 2.0 * std::sqrt(Real(factor.r.cols())) * kUnitRoundoff * k * k < 0.5;
}

// The first step of the ladder, from A'A of the scaled matrix; false: R is not
// good enough (or not there).
absl::StatusOr<bool> TryGram(const ScaledProblem& problem, Matrix<double> gram,
                             const FactorOptions& options,
                             const ComputeContext& context, Factor& factor) {
  const Index d = problem.d();
  for (std::size_t i = 0; i < problem.ridge_diagonal.size(); ++i) {
    const auto at = static_cast<Index>(i);
    gram(at, at) += problem.ridge_diagonal[i] * problem.ridge_diagonal[i];
  }
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(gram.data(), d, d, context);
  if (!outcome.ok()) return outcome.status();
  if (!outcome->positive_definite) return false;
  factor.r = std::move(gram);
  factor.method = FactorMethod::kGram;
  factor.description =
      absl::StrCat("Gram of ", problem.n(), " x ", d, " in panels of ",
                   GramPanelRows(problem.n()), " rows, Cholesky");
  if (absl::Status s = Measure(problem.n(), context, factor); !s.ok()) return s;
  const bool forced = options.method == FactorMethod::kGram;
  if (!forced && !options.gram_condition_max.has_value() &&
      factor.delta > options.delta_max) {
    return false;
  }
  if (absl::Status s = AddCondition(context, factor); !s.ok()) return s;
  if (forced || !options.gram_condition_max.has_value()) return true;
  return factor.condition <= *options.gram_condition_max &&
         GramLooksSound(factor);
}

absl::Status FactorByQr(const ScaledProblem& problem,
                        const ComputeContext& context, Factor& factor) {
  const RowSource source{problem.n(), problem.d(),
                         [&](Index first, Block<double> out) {
                           problem.rows.Load(first, 0, out);
                         }};
  absl::StatusOr<Matrix<double>> r =
      TallSkinnyQr(source, problem.ridge_diagonal, context);
  if (!r.ok()) return r.status();
  factor.r = *std::move(r);
  factor.method = FactorMethod::kQr;
  factor.description =
      absl::StrCat("Householder QR of ", problem.n(), " x ", problem.d());
  factor.singular_values.clear();
  return Measure(problem.n(), context, factor);
}

// After QR: is R of full rank? The SVD only where the norms cannot tell, or
// where it is asked for.
absl::Status SettleRank(const ScaledProblem& problem, bool svd_wanted,
                        const ComputeContext& context, Factor& factor) {
  if (!svd_wanted && ProvenFullRank(factor)) {
    return AddCondition(context, factor);
  }
  if (absl::Status s = AddSvd(&factor, context); !s.ok()) return s;
  const Index d = factor.r.cols();
  DecideRank(problem.ridge_diagonal.empty() ? std::min(problem.n(), d) : d,
             factor);
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

bool GramIsTried(Index n, Index d, const FactorOptions& options) {
  // Fewer rows than columns: a Gram is singular.
  return options.method.value_or(FactorMethod::kGram) == FactorMethod::kGram &&
         (n >= d || options.ridge > 0.0);
}

// The ladder. `gram`: A'A of the scaled matrix where it is there already.
absl::StatusOr<Factor> Climb(const AnyMatrixView& a, const ColumnScales& scales,
                             std::optional<Matrix<double>> gram,
                             const FactorOptions& options,
                             const ComputeContext& context) {
  Factor factor;
  factor.scales = RaisedForRidge(a, scales, options.ridge);
  const ScaledProblem problem{RowLoader(a, factor.scales.exponents),
                              RidgeDiagonal(factor.scales, options.ridge)};
  if (GramIsTried(problem.n(), problem.d(), options)) {
    if (!gram.has_value()) {
      absl::StatusOr<Matrix<double>> made = UpperGram(problem.rows, context);
      if (!made.ok()) return made.status();
      gram = *std::move(made);
    }
    const absl::StatusOr<bool> good =
        TryGram(problem, *std::move(gram), options, context, factor);
    if (!good.ok()) return good.status();
    if (*good) return factor;
  }
  absl::Status status = FactorByQr(problem, context, factor);
  if (!status.ok()) return status;
  const bool svd_wanted = options.method == FactorMethod::kSvd;
  status = SettleRank(problem, svd_wanted, context, factor);
  if (!status.ok()) return status;
  return factor;
}

void ReportBegun(const ComputeContext& context) {
  ProgressUpdate begun;
  begun.phase = "factor";
  context.Report(begun);
}

// Sums of squares in here, and all products of two columns with them, have lost
// nothing to underflow that counts, and nothing overflowed.
constexpr double kSmallestSquare = 0x1p-900;
constexpr double kLargestSquare = 0x1p900;

// Scales from the diagonal of the Gram of the matrix as it is, which is then
// scaled: the bits are those of the scaled matrix's Gram, since powers of two
// go through every rounding. False: the diagonal does not tell (a column of
// zeros or of extreme size, a number that is not finite).
bool ScaleGram(Matrix<double>& gram, ColumnScales& scales) {
  const Index d = gram.cols();
  std::vector<double> factors;
  for (Index c = 0; c < d; ++c) {
    const double square = gram(c, c);
    if (!(square >= kSmallestSquare && square <= kLargestSquare)) return false;
    const int exponent = std::ilogb(std::sqrt(square));
    scales.exponents.push_back(exponent);
    factors.push_back(std::ldexp(1.0, -exponent));
  }
  for (Index i = 0; i < d; ++i) {
    const double factor = factors[static_cast<std::size_t>(i)];
    for (Index j = i; j < d; ++j) {
      gram(i, j) *= factor * factors[static_cast<std::size_t>(j)];
    }
  }
  return true;
}

}  // namespace

void LoadScaledRows(const AnyMatrixView& a, Index first, Index count,
                    const std::vector<int>& exponents, double* out) {
  RowLoader(a, exponents).Load(first, 0, {out, count, Cols(a), Cols(a)});
}

absl::StatusOr<Factor> FactorMatrix(const AnyMatrixView& a,
                                    const ColumnScales& scales,
                                    const FactorOptions& options,
                                    const ComputeContext& context) {
  ReportBegun(context);
  return Climb(a, scales, std::nullopt, options, context);
}

absl::StatusOr<Factor> ScanAndFactorMatrix(const AnyMatrixView& a,
                                           std::string_view field,
                                           const FactorOptions& options,
                                           const ComputeContext& context,
                                           Index row_offset,
                                           RowLengths* lengths) {
  if (options.ridge == 0.0 && GramIsTried(Rows(a), Cols(a), options)) {
    ReportBegun(context);
    absl::StatusOr<Matrix<double>> gram =
        UpperGram(RowLoader(a, {}), context, lengths);
    if (!gram.ok()) return gram.status();
    ColumnScales scales;
    if (ScaleGram(*gram, scales)) {
      return Climb(a, scales, *std::move(gram), options, context);
    }
  }
  const absl::StatusOr<ColumnScales> scales =
      ScanColumns(a, field, context, row_offset);
  if (!scales.ok()) return scales.status();
  return FactorMatrix(a, *scales, options, context);
}

absl::Status AddSvd(Factor* factor, const ComputeContext& context) {
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  absl::StatusOr<RightSvd> svd = ComputeRightSvd(factor->r);
  if (!svd.ok()) return svd.status();
  factor->singular_values = std::move(svd->singular_values);
  factor->v_transposed = std::move(svd->v_transposed);
  return CheckStop(context.stop);
}

Cost CostOfFactor(Index n, Index d, int workers) {
  const Cost gram = CostOfGram(n, d, workers);
  const Cost qr = CostOfTallSkinnyQr(n, d, workers);
  const Cost svd = CostOfRightSvd(d);
  const double columns = Real(d);
  const double r_and_v = 16.0 * columns * columns;
  // R^-1, some columns on each worker; vectors of the condition estimate.
  const double tasks = std::min(workers, static_cast<int>(d / 256 + 1));
  const double inverse = 8.0 * (256.0 * tasks + 16.0) * columns;
  return {
      .flops = gram.flops + qr.flops + svd.flops + columns * columns * columns,
      .bytes = r_and_v + std::max({gram.bytes, qr.bytes, inverse, svd.bytes}) +
               kSmallThings};
}

}  // namespace steelyard
