#include "factor/factor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/gram.h"
#include "factor/row_loader.h"
#include "factor/triangle.h"
#include "factor/whitened_gram.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "linalg/triangular.h"

namespace steelyard {
namespace {

// Up to here the R of a Gram is near enough to be repaired: N4.
constexpr double kRepairConditionMax = 5e7;
// Up to here that of a sketch is: N1.
constexpr double kSketchConditionMax = 1e14;

// Bytes for lists, strings and alignment, whatever the shape.
constexpr double kSmallThings = 65536.0;

double Real(Index i) { return static_cast<double>(i); }

// One matrix, its scales and its ridge: what both routes of the ladder read.
struct ScaledProblem {
  RowLoader rows;
  // Of the rows sqrt(l) 2^-e_i e_i' below the matrix; empty without a ridge.
  std::vector<double> ridge_diagonal;

  Index n() const { return rows.rows(); }
  Index d() const { return rows.cols(); }
  Index MostRank() const {
    return ridge_diagonal.empty() ? std::min(n(), d()) : d();
  }
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

// R := chol(X'X) R, X = [A; ridge] R^-1, which leaves of the error of R what
// X'X has of its own, a few u, and that of X: |dX| <= d u |A||R^-1|, relative
// u kappa as from Householder. `inverse` to the right of A R: |R S - I| is
// d u |R||S|, so that what S lacks counts u kappa, too. False: R was not near
// enough for that.
absl::StatusOr<bool> Repair(const ScaledProblem& problem,
                            const ComputeContext& context, Factor& factor) {
  const Index d = problem.d();
  absl::StatusOr<Matrix<double>> s = UpperInverse(factor.r, context);
  if (!s.ok()) return s.status();
  absl::StatusOr<Matrix<double>> gram = WhitenedGram(problem.rows, *s, context);
  if (!gram.ok()) return gram.status();
  if (!problem.ridge_diagonal.empty()) {
    for (Index i = 0; i < d; ++i) {
      const double l = problem.ridge_diagonal[static_cast<std::size_t>(i)];
      for (Index j = i; j < d; ++j) (*s)(i, j) *= l;
    }
    const absl::StatusOr<Matrix<double>> below =
        UpperGram(RowLoader(std::as_const(*s).view(), {}), context);
    if (!below.ok()) return below.status();
    for (Index i = 0; i < gram->size(); ++i) {
      gram->data()[i] += below->data()[i];
    }
  }
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(gram->data(), d, d, context);
  if (!outcome.ok()) return outcome.status();
  if (!outcome->positive_definite) return false;
  Matrix<double> r(d, d);
  absl::Status done =
      MultiplyUpper(BlockOf(std::as_const(*gram)),
                    BlockOf(std::as_const(factor.r)), BlockOf(r), context);
  if (!done.ok()) return done;
  // Products with zeros below the diagonal may be -0.
  for (Index i = 0; i < d; ++i) std::fill_n(r.row(i), i, 0.0);
  factor.r = std::move(r);
  factor.method = FactorMethod::kRepaired;
  absl::StrAppend(&factor.description, ", repaired by chol(X'X), X = A R0^-1");
  factor.singular_values.clear();
  done = MeasureTriangle(problem.n(), context, factor);
  if (!done.ok()) return done;
  done = AddCondition(context, factor);
  if (!done.ok()) return done;
  return true;
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
  if (absl::Status s = MeasureTriangle(problem.n(), context, factor); !s.ok())
    return s;
  const bool forced = options.method == FactorMethod::kGram;
  if (!forced && !options.gram_condition_max.has_value() &&
      options.grade == FactorGrade::kLadder &&
      factor.delta > options.delta_max) {
    return false;
  }
  if (absl::Status s = AddCondition(context, factor); !s.ok()) return s;
  if (options.grade == FactorGrade::kQr) {
    if (factor.condition > kRepairConditionMax || !GramLooksSound(factor)) {
      return false;
    }
    return Repair(problem, context, factor);
  }
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
  return MeasureTriangle(problem.n(), context, factor);
}

bool GramIsTried(Index n, Index d, const FactorOptions& options) {
  if (options.skip_gram) return false;
  // Fewer rows than columns: a Gram is singular.
  return options.method.value_or(FactorMethod::kGram) == FactorMethod::kGram &&
         (n >= d || options.ridge > 0.0);
}

// The step between Gram and QR: an R0 that somebody else has, repaired.
absl::StatusOr<bool> TryOtherwise(const ScaledProblem& problem,
                                  const FactorOptions& options,
                                  const ComputeContext& context,
                                  Factor& factor) {
  if (!options.otherwise) return false;
  absl::StatusOr<std::optional<Factor>> made = options.otherwise(factor.scales);
  if (!made.ok()) return made.status();
  if (!made->has_value() || (*made)->rank < problem.d() ||
      (*made)->condition > kSketchConditionMax ||
      (*made)->scales.exponents != factor.scales.exponents) {
    return false;
  }
  factor = **std::move(made);
  return Repair(problem, context, factor);
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
  if (!options.method.has_value()) {
    const absl::StatusOr<bool> good =
        TryOtherwise(problem, options, context, factor);
    if (!good.ok()) return good.status();
    if (*good) return factor;
  }
  absl::Status status = FactorByQr(problem, context, factor);
  if (!status.ok()) return status;
  const bool svd_wanted = options.method == FactorMethod::kSvd;
  status = SettleRank(problem.MostRank(), svd_wanted, context, factor);
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
  const Cost gram = CostOfWhitenedGram(n, d, workers);
  const Cost qr = CostOfTallSkinnyQr(n, d, workers);
  const Cost svd = CostOfRightSvd(d);
  const double columns = Real(d);
  // R, V; R^-1 and X'X of a repair.
  const double r_and_v = 32.0 * columns * columns;
  // R^-1, some columns on each worker; vectors of the condition estimate.
  const double tasks = std::min(workers, static_cast<int>(d / 256 + 1));
  const double inverse = 8.0 * (256.0 * tasks + 16.0) * columns;
  return {
      .flops = gram.flops + qr.flops + svd.flops + columns * columns * columns,
      .bytes = r_and_v + std::max({gram.bytes, qr.bytes, inverse, svd.bytes}) +
               kSmallThings};
}

}  // namespace steelyard
