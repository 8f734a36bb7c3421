#include "one_pass/running_factor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "factor/gram.h"
#include "factor/row_kernels.h"
#include "factor/row_loader.h"
#include "linalg/blas.h"
#include "linalg/cholesky.h"
#include "linalg/stopped.h"
#include "linalg/tall_skinny_qr.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Largest certified error with which a Gram stands in for R.
constexpr double kGramError = 1e-3;
// Rows and columns of R that one call multiplies.
constexpr Index kTile = 256;
// Column norms, as exponents beside their scales, may differ by this, and be as
// large as that.
constexpr int kSpread = 2;
constexpr int kHighestLevel = 30;
constexpr int kNoColumn = std::numeric_limits<int>::min();

double Real(Index i) { return static_cast<double>(i); }

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

// Exponents of the columns' norms; kNoColumn where a column is zero, which
// ScanColumns does not tell from norm 1.
std::vector<int> NormExponents(const AnyMatrixView& keys,
                               const ColumnScales& scales) {
  std::vector<int> exponents = scales.exponents;
  const RowLoader rows(keys, {});
  for (Index c = 0; c < Cols(keys); ++c) {
    int& exponent = exponents[static_cast<std::size_t>(c)];
    if (exponent == 0 && IsZeroColumn(rows, c)) exponent = kNoColumn;
  }
  return exponents;
}

// The same from the diagonal of K'K, K as it is. Unset: the diagonal does not
// tell (a column of zeros or of extreme size, a number that is not finite).
std::optional<std::vector<int>> NormsFromDiagonal(const Matrix<double>& gram) {
  // Nothing overflowed, and what underflowed does not count.
  constexpr double kSmallestSquare = 0x1p-900;
  constexpr double kLargestSquare = 0x1p900;
  std::vector<int> norms;
  for (Index c = 0; c < gram.cols(); ++c) {
    const double square = gram(c, c);
    if (!(square >= kSmallestSquare && square <= kLargestSquare)) {
      return std::nullopt;
    }
    norms.push_back(std::ilogb(std::sqrt(square)));
  }
  return norms;
}

// Bound on ||K||_F^2 of keys whose column norms are below 2^(e + 1), in scales
// that are not below e.
double SquaredNormBound(const std::vector<int>& norms,
                        const std::vector<int>& scales) {
  double sum = 0.0;
  for (std::size_t c = 0; c < norms.size(); ++c) {
    if (norms[c] == kNoColumn) continue;
    sum += std::ldexp(1.0, 2 * std::max(-1000, norms[c] + 1 - scales[c]));
  }
  return sum;
}

// The roundings of one entry of a Gram from panels of `panel_rows` rows: c of
// N4 without Cholesky's, and one more for sums of panels without end.
double GramRoundings(Index panel_rows) { return Real(panel_rows + 4); }

// of R'R = G.
double CholeskyRoundings(Index d) { return Real(d + 1); }

}  // namespace

std::vector<Index> ZeroColumns(const Matrix<double>& r) {
  std::vector<Index> zero;
  for (Index c = 0; c < r.cols(); ++c) {
    bool is_zero = true;
    for (Index i = 0; i <= c; ++i) is_zero = is_zero && r(i, c) == 0.0;
    if (is_zero) zero.push_back(c);
  }
  return zero;
}

RunningFactor::RunningFactor(Index d)
    : exponents_(static_cast<std::size_t>(d), 0),
      r_(d, d),
      inverse_norm_(kInfinity) {}

RunningFactor::RunningFactor(Triangle triangle)
    : exponents_(std::move(triangle.scales.exponents)),
      keys_(triangle.keys),
      r_(std::move(triangle.r)),
      error_(triangle.error),
      inverse_norm_(kInfinity) {}

double RunningFactor::bytes() const {
  return 8.0 * Real(r_.size() + lo_.size()) + 4.0 * Real(d());
}

double RunningFactor::ColumnSquare(Index c) const {
  if (is_gram_) return r_(c, c);
  double sum = 0.0;
  for (Index i = 0; i <= c; ++i) sum += r_(i, c) * r_(i, c);
  return sum;
}

int RunningFactor::NormExponent(Index c) const {
  const double square = ColumnSquare(c);
  if (square == 0.0) return kNoColumn;
  return exponents_[static_cast<std::size_t>(c)] +
         std::ilogb(std::sqrt(square));
}

double RunningFactor::SquaredNorm() const {
  double sum = 0.0;
  for (Index c = 0; c < d(); ++c) sum += ColumnSquare(c);
  return sum;
}

// Columns of R times 2^-(rise): exact, but for what leaves the normal range
// below columns of norm 1. D shrinks with its columns (a merge may also lower
// scales: then it grows); R^-1 grows by no more than the largest rise.
void RunningFactor::Raise(const std::vector<int>& exponents) {
  int most = 0;
  int lowest = 0;
  for (Index c = 0; c < d(); ++c) {
    int& exponent = exponents_[static_cast<std::size_t>(c)];
    const int rise = exponents[static_cast<std::size_t>(c)] - exponent;
    if (rise == 0) continue;
    exponent += rise;
    // Nor does D have anything in a column of zeros.
    if (ColumnSquare(c) == 0.0) continue;
    most = std::max(most, rise);
    lowest = std::min(lowest, rise);
    for (Index i = 0; i <= c; ++i) r_(i, c) = std::ldexp(r_(i, c), -rise);
  }
  inverse_norm_ = std::ldexp(inverse_norm_, most);
  error_.householder = std::ldexp(error_.householder, -lowest);
}

// What error bounds ask of scales is that columns have about the same norm, the
// keys to come included. Columns that grow together keep theirs. A column of
// zeros so far takes any scale. A Gram is left first: its certificate belongs
// to the old scales; every time that costs one more f.
absl::Status RunningFactor::RaiseFor(const std::vector<int>& wanted,
                                     const ComputeContext& context) {
  std::vector<int> raised = exponents_;
  std::vector<int> levels(raised.size(), kNoColumn);
  int least = std::numeric_limits<int>::max();
  int most = kNoColumn;
  for (Index c = 0; c < d(); ++c) {
    const auto at = static_cast<std::size_t>(c);
    const int own = NormExponent(c);
    const int norm = std::max(own, wanted[at]);
    if (norm == kNoColumn) continue;
    if (own == kNoColumn) raised[at] = norm;
    levels[at] = norm - raised[at];
    least = std::min(least, levels[at]);
    most = std::max(most, levels[at]);
  }
  const bool too_long = least > kHighestLevel;
  if (most > kNoColumn && (most - least > kSpread || too_long)) {
    for (std::size_t c = 0; c < raised.size(); ++c) {
      if (levels[c] == kNoColumn) continue;
      raised[c] += levels[c] - (too_long ? 0 : least);
    }
  }
  if (raised == exponents_) return absl::OkStatus();
  if (is_gram_) {
    if (absl::Status s = LeaveGram(context); !s.ok()) return s;
  }
  Raise(raised);
  return absl::OkStatus();
}

// c u (||K||_F^2 + ||block||_F^2) ||R^-1||_F^2 <= 1e-3, what was rounded before
// included.
bool RunningFactor::GramIsGood(double more, Index panel_rows) const {
  TriangleError then = error_;
  if (!is_gram_) {
    then = {.relative = RelativeOf(GramErrorOf(error_, inverse_norm_))};
  }
  const double before = SquaredNorm();
  const double rounding =
      GramRoundings(panel_rows) * more +
      (CholeskyRoundings(d()) + (is_gram_ ? 0.0 : GramRoundings(d()))) *
          (before + more);
  then.gram += kUnitRoundoff * rounding;
  return GramErrorOf(then, inverse_norm_) <= kGramError;
}

absl::Status RunningFactor::ChooseForm(double more, Index panel_rows,
                                       const ComputeContext& context) {
  if (GramIsGood(more, panel_rows)) {
    if (!is_gram_) EnterGram();
    return absl::OkStatus();
  }
  if (!std::isfinite(inverse_norm_)) return absl::OkStatus();
  // With the R of all keys so far?
  if (absl::StatusOr<Factor> now = Refactor(FactorDetail::kScores, context);
      !now.ok()) {
    return now.status();
  }
  if (GramIsGood(more, panel_rows)) {
    if (!is_gram_) EnterGram();
    return absl::OkStatus();
  }
  return is_gram_ ? LeaveGram(context) : absl::OkStatus();
}

// G = R'R, full rank: what was wrong with R becomes a relative error.
void RunningFactor::EnterGram() {
  const double square = SquaredNorm();
  error_.relative = RelativeOf(GramErrorOf(error_, inverse_norm_));
  error_.householder = 0.0;
  error_.gram = kUnitRoundoff * GramRoundings(d()) * square;
  Matrix<double> gram(d(), d());
  // Rows of R below a tile's first column do not reach it.
  for (Index i = 0; i < d(); i += kTile) {
    const Index rows = std::min(kTile, d() - i);
    for (Index j = i; j < d(); j += kTile) {
      const Index cols = std::min(kTile, d() - j);
      for (Index k = 0; k < i + rows; k += kTile) {
        const Index depth = std::min(kTile, d() - k);
        const Block<const double> r = BlockOf(std::as_const(r_));
        Gemm(1.0, Transposed(r.Part(k, i, depth, rows)),
             r.Part(k, j, depth, cols), 1.0,
             BlockOf(gram).Part(i, j, rows, cols));
      }
    }
    for (Index k = i; k < i + rows; ++k) {
      std::fill(gram.row(k), gram.row(k) + k, 0.0);
    }
  }
  r_ = std::move(gram);
  lo_ = Matrix<double>(d(), d());
  is_gram_ = true;
}

absl::StatusOr<Matrix<double>> RunningFactor::FactorOfGram(
    const ComputeContext& context) const {
  Matrix<double> r(d(), d());
  for (Index i = 0; i < d(); ++i) {
    for (Index j = i; j < d(); ++j) r(i, j) = r_(i, j) + lo_(i, j);
  }
  const absl::StatusOr<CholeskyOutcome> outcome =
      CholeskyInPlace(r.data(), d(), d(), context);
  if (!outcome.ok()) return outcome.status();
  if (!outcome->positive_definite) {
    return absl::InternalError(
        "a Gram whose certified error is below 1e-3 has no Cholesky factor");
  }
  return r;
}

absl::Status RunningFactor::LeaveGram(const ComputeContext& context) {
  absl::StatusOr<Factor> now = Refactor(FactorDetail::kScores, context);
  if (!now.ok()) return now.status();
  error_ = {.relative = RelativeOf(now->gram_error)};
  r_ = std::move(now->r);
  lo_ = {};
  is_gram_ = false;
  return absl::OkStatus();
}

// [R; rows] -> R.
absl::Status RunningFactor::AddByQr(
    Index rows, const std::function<void(Index, Block<double>)>& load,
    const ComputeContext& context) {
  const Index order = d();
  const RowSource stacked{
      order + rows, order, [&](Index first, Block<double> out) {
        const Index from_r = std::clamp<Index>(order - first, 0, out.rows);
        for (Index i = 0; i < from_r; ++i) {
          std::copy_n(r_.row(first + i), order, out.row(i));
        }
        if (from_r == out.rows) return;
        load(first + from_r - order,
             out.Part(from_r, 0, out.rows - from_r, order));
      }};
  absl::StatusOr<Matrix<double>> r = TallSkinnyQr(stacked, {}, context);
  if (!r.ok()) return r.status();
  r_ = *std::move(r);
  error_.householder += HouseholderError(order, std::sqrt(SquaredNorm()));
  return absl::OkStatus();
}

absl::Status RunningFactor::RaiseScales(const AnyMatrixView& keys,
                                        const ColumnScales& scales,
                                        const ComputeContext& context) {
  return RaiseFor(NormExponents(keys, scales), context);
}

absl::Status RunningFactor::Fold(const AnyMatrixView& keys, Index row_offset,
                                 const ComputeContext& context,
                                 RowLengths* lengths) {
  // Where a Gram is likely to be what is wanted, that of the keys as they are
  // also tells their scales and that they are finite.
  if (is_gram_ || GramIsGood(0.0, GramPanelRows(Rows(keys)))) {
    absl::StatusOr<Matrix<double>> gram =
        UpperGram(RowLoader(keys, {}), context, lengths);
    if (!gram.ok()) return gram.status();
    if (const auto norms = NormsFromDiagonal(*gram)) {
      return FoldGram(keys, *norms, *std::move(gram), context);
    }
  }
  if (lengths != nullptr) lengths->squares.clear();
  const absl::StatusOr<ColumnScales> scales =
      ScanColumns(keys, "keys", context, row_offset);
  if (!scales.ok()) return scales.status();
  const std::vector<int> norms = NormExponents(keys, *scales);
  if (absl::Status s = RaiseFor(norms, context); !s.ok()) return s;
  const absl::Status chosen = ChooseForm(SquaredNormBound(norms, exponents_),
                                         GramPanelRows(Rows(keys)), context);
  if (!chosen.ok()) return chosen;
  if (!is_gram_) return FoldByQr(keys, context);
  const absl::StatusOr<Matrix<double>> gram =
      UpperGram(RowLoader(keys, exponents_), context);
  if (!gram.ok()) return gram.status();
  AddGram(*gram, Rows(keys));
  return absl::OkStatus();
}

// `gram` is that of the keys as they are; powers of two go through every
// rounding.
absl::Status RunningFactor::FoldGram(const AnyMatrixView& keys,
                                     const std::vector<int>& norms,
                                     Matrix<double> gram,
                                     const ComputeContext& context) {
  if (absl::Status s = RaiseFor(norms, context); !s.ok()) return s;
  double square = 0.0;
  for (Index i = 0; i < d(); ++i) {
    const int row = exponents_[static_cast<std::size_t>(i)];
    for (Index j = i; j < d(); ++j) {
      const int column = exponents_[static_cast<std::size_t>(j)];
      gram(i, j) = std::ldexp(gram(i, j), -row - column);
    }
    square += gram(i, i);
  }
  const Index panel_rows = GramPanelRows(Rows(keys));
  // Squares are sums of panel_rows roundings.
  if (absl::Status s = ChooseForm(2.0 * square, panel_rows, context); !s.ok()) {
    return s;
  }
  if (!is_gram_) return FoldByQr(keys, context);
  AddGram(gram, Rows(keys));
  return absl::OkStatus();
}

void RunningFactor::AddGram(const Matrix<double>& gram, Index rows) {
  double square = 0.0;
  for (Index c = 0; c < d(); ++c) square += gram(c, c);
  AddCompensated(BlockOf(gram), BlockOf(r_), BlockOf(lo_));
  error_.gram += kUnitRoundoff * GramRoundings(GramPanelRows(rows)) * square;
  keys_ += rows;
}

absl::Status RunningFactor::FoldByQr(const AnyMatrixView& keys,
                                     const ComputeContext& context) {
  const RowLoader rows(keys, exponents_);
  const absl::Status added = AddByQr(
      rows.rows(),
      [&](Index first, Block<double> out) { rows.Load(first, 0, out); },
      context);
  if (added.ok()) keys_ += rows.rows();
  return added;
}

// With scales in common, ||D||_F of both together is at most the sum, and the
// relative error the larger one.
absl::Status RunningFactor::FoldTriangle(const Triangle& other,
                                         const ComputeContext& context) {
  RunningFactor more{other};
  std::vector<int> theirs;
  for (Index c = 0; c < d(); ++c) theirs.push_back(more.NormExponent(c));
  if (is_gram_) {
    if (absl::Status s = LeaveGram(context); !s.ok()) return s;
  }
  if (absl::Status s = RaiseFor(theirs, context); !s.ok()) return s;
  more.Raise(exponents_);
  error_.relative = std::max(error_.relative, more.error_.relative);
  error_.householder += more.error_.householder;
  if (absl::Status s = AddByQr(
          d(),
          [&](Index first, Block<double> out) {
            for (Index i = 0; i < out.rows; ++i) {
              std::copy_n(more.r_.row(first + i), d(), out.row(i));
            }
          },
          context);
      !s.ok()) {
    return s;
  }
  keys_ += more.keys_;
  return absl::OkStatus();
}

absl::StatusOr<Factor> RunningFactor::Refactor(FactorDetail detail,
                                               const ComputeContext& context) {
  Triangle triangle{
      .r = {},
      .scales = {},
      .error = error_,
      .keys = keys_,
      .method = is_gram_ ? FactorMethod::kGram : FactorMethod::kQr};
  if (is_gram_) {
    absl::StatusOr<Matrix<double>> r = FactorOfGram(context);
    if (!r.ok()) return r.status();
    triangle.r = *std::move(r);
    triangle.error.gram +=
        kUnitRoundoff * CholeskyRoundings(d()) * SquaredNorm();
  } else {
    triangle.r = r_;
  }
  triangle.scales.exponents = exponents_;
  absl::StatusOr<Factor> factor =
      CertifiedFactor(std::move(triangle), detail, context);
  if (factor.ok()) inverse_norm_ = factor->inverse_frobenius_norm;
  return factor;
}

absl::StatusOr<Triangle> RunningFactor::Export(
    const ComputeContext& context) const {
  RunningFactor copy = *this;
  if (copy.is_gram_) {
    if (absl::Status s = copy.LeaveGram(context); !s.ok()) return s;
  }
  return Triangle{.r = std::move(copy.r_),
                  .scales = {std::move(copy.exponents_)},
                  .error = copy.error_,
                  .keys = copy.keys_};
}

}  // namespace steelyard
