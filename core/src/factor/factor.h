// One factorisation per matrix: R upper triangular with R'R = A'A (N1).
//
//   A is n x d. Columns are first scaled by powers of two to norms in [1, 2)
//   (exact); everything here speaks of the scaled matrix unless it says so:
//   column c of the scaled matrix is column c of A times 2^-exponents[c].
//
// METHOD  The ladder of N1: compensated Gram in at most 64 slots + Cholesky
//   while its certified error allows it, else tall-skinny Householder QR; the
//   SVD of R decides the numerical rank. Where R is to be as good as that of a
//   QR, that of the Gram is repaired: X = A R0^-1, R = chol(X'X) R0.
//
// SOURCE  NUMERICS N1, N4 (guard). Higham, Accuracy and Stability, ch. 10, 19.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "factor/row_loader.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/finite.h"
#include "steelyard/matrix.h"

namespace steelyard {

enum class FactorMethod {
  kGram,  // Gram and Cholesky
  kQr,    // blocked tall-skinny Householder QR
  kSvd,   // QR, with singular values and vectors
  // chol(X'X) R0, X = A R0^-1, where R0 is of a Gram or a sketch. As good as
  // kQr.
  kRepaired,
};

// How good R must be.
enum class FactorGrade {
  // As `method`, delta_max and gram_condition_max say.
  kLadder,
  // f of N4 as of a QR, about u kappa: then R alone solves the even powers. The
  // Gram is R0 up to kappa 5e7, and repaired; else Householder. delta_max and
  // gram_condition_max are not looked at.
  kQr,
};

// A column whose entries are all zero has exponent 0.
struct ColumnScales {
  std::vector<int> exponents;
};

// First pass of admitted work: is everything finite, and how long is each
// column. `row_offset` is added to the row that an error names.
// ERRORS  InvalidArgument NOT_FINITE with the first bad entry in row order.
absl::StatusOr<ColumnScales> ScanColumns(const AnyMatrixView& a,
                                         std::string_view field,
                                         const ComputeContext& context,
                                         Index row_offset = 0);

// Copies rows [first, first + count) as float64 times 2^-exponents (empty: 1)
// into `out`, count x d row-major. Exact, but for entries that land below the
// normal range (2^-1022 of their column's norm). Loops keep a RowLoader
// (row_loader.h), which also reads parts of rows.
void LoadScaledRows(const AnyMatrixView& a, Index first, Index count,
                    const std::vector<int>& exponents, double* out);

struct Factor {
  // Those of the matrix; with a ridge that of sqrt(l) where it is longer than
  // the column, or all there is. Everything below belongs to these.
  ColumnScales scales;
  // d x d upper triangular, zero below. Not truncated at the rank.
  Matrix<double> r;
  FactorMethod method = FactorMethod::kGram;  // how R was made, never kSvd
  std::string description;                    // in words, with sizes
  // Singular values of R, descending; d of them. Empty when the norms of R and
  // R^-1 prove full rank and d > 32: then AddSvd computes them.
  std::vector<double> singular_values;
  // Right singular vectors of R by rows, d x d: its first `rank` rows are V_r'.
  // Empty unless kSvd, AddSvd or rank deficient.
  Matrix<double> v_transposed;
  Index rank = 0;         // sigma_i > max(30, 2 sqrt d) u sigma_1
  double rank_gap = 0.0;  // sigma_(rank+1) / sigma_rank, 0 if full
  // sigma_1 / sigma_rank; 0 when the rank is 0. With singular_values empty: an
  // estimate from below (power iteration, linalg/condition.h).
  double condition = 0.0;
  // f of N4: bound on ||R^-T E R^-1||, E the error of R'R. May exceed 1 where
  // gram_condition_max or `method` kept a Gram. Infinite when rank < d.
  double gram_error = 0.0;
  // delta of N4: relative error bound of ||R^-T k||^2 for a row k of K, scores
  // computed in float64 included; infinite when f >= 1. Rank < d: of the scores
  // by S_r^-1 V_r'.
  double delta = 0.0;
  double frobenius_norm = 0.0;  // of R (equals that of the scaled A)
  // Of R^-1, an upper bound: R^-1 formed, its rounding included. Infinite when
  // rank < d.
  double inverse_frobenius_norm = 0.0;
};

struct FactorOptions {
  // kGram: a Gram, whatever its error, unless Cholesky fails (then QR). kQr, or
  // kSvd: QR with singular values and vectors.
  // Unset: Gram where its certified error f of N4 gives delta <= delta_max.
  std::optional<FactorMethod> method = std::nullopt;
  // Largest delta (N4) at which a Gram is kept. Universal sets: 1e-3.
  double delta_max = 1e-3;
  // Largest condition number of the scaled R at which a Gram is kept. Power
  // regressions refine with the true A: 1e7 (N1). Then f and delta may say
  // nothing; a Gram whose smallest eigenvalues are noise is refused all the
  // same. Unset: delta_max decides.
  std::optional<double> gram_condition_max = std::nullopt;
  // Only where `method` is unset or kGram.
  FactorGrade grade = FactorGrade::kLadder;
  // Where the Gram is refused: an R0 of another kind (of a sketch), which is
  // repaired (kRepaired) up to kappa 1e14; else, and where there is none,
  // Householder. Its scales are those it is given.
  std::function<absl::StatusOr<std::optional<Factor>>(const ColumnScales&)>
      otherwise = nullptr;
  // The Gram would be refused (a guess): not tried.
  bool skip_gram = false;
  // l: R of [A; sqrt(l) I], l in the units of the unscaled A'A.
  double ridge = 0.0;
};

// SHAPES   a: n x d. COST 2 n d^2 flops (QR: 4 n d^2; repair: 6 n d^2). RANDOM
// none. ERRORS   Cancelled, DeadlineExceeded and, when the stop reason wants
// the best
//          answer (time limit, draining), Aborted: the caller then has no R.
absl::StatusOr<Factor> FactorMatrix(const AnyMatrixView& a,
                                    const ColumnScales& scales,
                                    const FactorOptions& options,
                                    const ComputeContext& context);

// The same without the scales: their pass over the rows is saved where the Gram
// of the matrix as it is tells them, and that every entry is finite.
// `lengths`: see UpperGram; empty where no Gram of the matrix as it is was
//          made.
// ERRORS   those of ScanColumns and of FactorMatrix.
absl::StatusOr<Factor> ScanAndFactorMatrix(const AnyMatrixView& a,
                                           std::string_view field,
                                           const FactorOptions& options,
                                           const ComputeContext& context,
                                           Index row_offset = 0,
                                           RowLengths* lengths = nullptr);

// Fills singular_values and v_transposed of an R that lacks them; rank and
// condition stay as they are.
// COST   22 d^3 flops in one call that cannot be stopped. ERRORS as above.
absl::Status AddSvd(Factor* factor, const ComputeContext& context);

// Of FactorMatrix and one AddSvd; the Factor itself included.
Cost CostOfFactor(Index n, Index d, int workers);

}  // namespace steelyard
