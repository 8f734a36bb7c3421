#include "sparse/csr_factor.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "factor/triangle.h"
#include "linalg/cholesky.h"
#include "linalg/double_double.h"
#include "linalg/double_double_cholesky.h"
#include "linalg/svd.h"
#include "linalg/tall_skinny_qr.h"
#include "sparse/csr_gram.h"
#include "sparse/sparse_rows.h"

namespace steelyard {
namespace {

double Real(Index i) { return static_cast<double>(i); }

bool GramIsCheaper(const SparseRows& a) {
  const CsrCounts counts = CountsOf(a);
  return WorkOfGram(counts) <= WorkOfRows(counts);
}

// Rows [first, first + out.rows), made dense.
void LoadDense(const SparseRows& a, Index first, Block<double> out) {
  AlignedVector<double> values;
  for (Index i = 0; i < out.rows; ++i) {
    double* const row = out.row(i);
    std::fill_n(row, out.cols, 0.0);
    const SparseBlock block = a.Load(first + i, 1, values);
    for (Index e = 0; e < block.entries(); ++e) {
      row[block.columns[e]] = block.values[e];
    }
  }
}

class CsrFactoring {
 public:
  CsrFactoring(const AnyCsrView& a, const ColumnScales& scales,
               const FactorOptions& options, const ComputeContext& context)
      : options_(options), context_(context) {
    factor_.scales = RaisedForRidge(a, scales, options.ridge);
    rows_.emplace(a, factor_.scales.exponents);
    if (options.ridge == 0.0) return;
    for (const int exponent : factor_.scales.exponents) {
      ridge_.push_back(
          std::ldexp(std::ldexp(options.ridge, -exponent), -exponent));
    }
  }

  absl::StatusOr<Factor> Run() {
    ProgressUpdate begun;
    begun.phase = "factor";
    context_.Report(begun);
    const bool by_rows =
        options_.method == FactorMethod::kQr ||
        (options_.method != FactorMethod::kGram && !GramIsCheaper(*rows_));
    absl::Status done = by_rows ? ByRows() : ByGram();
    if (!done.ok()) return done;
    return std::move(factor_);
  }

 private:
  std::string Shape() const {
    return absl::StrCat(rows_->rows(), " x ", rows_->cols(), " with ",
                        rows_->nonzeros(), " entries");
  }

  absl::Status ByGram() {
    absl::StatusOr<TwiceGram> gram = GramOfCsr(*rows_, context_);
    if (!gram.ok()) return gram.status();
    for (std::size_t i = 0; i < ridge_.size(); ++i) {
      const auto at = static_cast<Index>(i);
      const DoubleDouble sum =
          Add({gram->hi(at, at), gram->lo(at, at)}, {ridge_[i], 0.0});
      gram->hi(at, at) = sum.hi;
      gram->lo(at, at) = sum.lo;
    }
    const bool plain = options_.method == FactorMethod::kGram ||
                       (!options_.method && options_.gram_condition_max &&
                        options_.grade == FactorGrade::kLadder);
    if (plain) {
      const absl::StatusOr<bool> good = TryPlain(gram->hi);
      if (!good.ok()) return good.status();
      if (*good) return absl::OkStatus();
    }
    return ByDoubleDouble(*std::move(gram));
  }

  // Cholesky in float64 of the rounded Gram; false: not good enough.
  absl::StatusOr<bool> TryPlain(Matrix<double> gram) {
    const Index d = gram.cols();
    const absl::StatusOr<CholeskyOutcome> outcome =
        CholeskyInPlace(gram.data(), d, d, context_);
    if (!outcome.ok()) return outcome.status();
    if (!outcome->positive_definite) return false;
    factor_.r = std::move(gram);
    factor_.method = FactorMethod::kGram;
    factor_.description =
        absl::StrCat("Gram of ", Shape(), " from pairs of entries, Cholesky");
    absl::Status done = MeasureTriangle(rows_->rows(), context_, factor_);
    if (done.ok()) done = AddCondition(context_, factor_);
    if (!done.ok()) return done;
    return options_.method == FactorMethod::kGram ||
           (factor_.condition <= *options_.gram_condition_max &&
            GramLooksSound(factor_));
  }

  absl::Status ByDoubleDouble(TwiceGram gram) {
    const absl::StatusOr<Index> zeros =
        DoubleDoubleCholesky(BlockOf(gram.hi), BlockOf(gram.lo), context_);
    if (!zeros.ok()) return zeros.status();
    factor_.r = std::move(gram.hi);
    gram.lo = {};
    return Settle("Gram of ",
                  " from pairs of entries and its Cholesky factor, both in "
                  "double-double");
  }

  absl::Status ByRows() {
    const RowSource source{
        rows_->rows(), rows_->cols(),
        [&](Index first, Block<double> out) { LoadDense(*rows_, first, out); }};
    std::vector<double> diagonal;
    for (const double square : ridge_) diagonal.push_back(std::sqrt(square));
    absl::StatusOr<Matrix<double>> r = TallSkinnyQr(source, diagonal, context_);
    if (!r.ok()) return r.status();
    factor_.r = *std::move(r);
    return Settle("Householder QR of ", ", blocks of rows made dense");
  }

  // What follows from an R of QR grade.
  absl::Status Settle(const char* before, const char* after) {
    factor_.method = FactorMethod::kQr;
    factor_.description = absl::StrCat(before, Shape(), after);
    factor_.singular_values.clear();
    absl::Status done = MeasureTriangle(rows_->rows(), context_, factor_);
    if (!done.ok()) return done;
    const Index d = rows_->cols();
    return SettleRank(ridge_.empty() ? std::min(rows_->rows(), d) : d,
                      options_.method == FactorMethod::kSvd, context_, factor_);
  }

  const FactorOptions& options_;
  const ComputeContext& context_;
  Factor factor_;
  std::optional<SparseRows> rows_;
  std::vector<double> ridge_;  // l 4^-exponents; empty: 0
};

}  // namespace

CsrCounts CountsOf(const SparseRows& a) {
  return {.n = a.rows(),
          .d = a.cols(),
          .nonzeros = Real(a.nonzeros()),
          .pairs = CountPairs(a)};
}

absl::StatusOr<Factor> FactorCsr(const AnyCsrView& a,
                                 const ColumnScales& scales,
                                 const FactorOptions& options,
                                 const ComputeContext& context) {
  return CsrFactoring(a, scales, options, context).Run();
}

ColumnScales RaisedForRidge(const AnyCsrView& a, ColumnScales scales,
                            double ridge) {
  if (ridge == 0.0) return scales;
  const int ridge_exponent = std::ilogb(std::sqrt(ridge));
  // A zero column has exponent 0, as columns of norm 1 have.
  std::vector<bool> filled(scales.exponents.size(), false);
  const SparseRows rows(a, {});
  AlignedVector<double> values;
  constexpr Index kRows = 256;
  for (Index row = 0; row < rows.rows(); row += kRows) {
    const SparseBlock block =
        rows.Load(row, std::min(kRows, rows.rows() - row), values);
    for (Index e = 0; e < block.entries(); ++e) {
      if (block.values[e] != 0.0) {
        filled[static_cast<std::size_t>(block.columns[e])] = true;
      }
    }
  }
  for (std::size_t c = 0; c < filled.size(); ++c) {
    int& exponent = scales.exponents[c];
    if (exponent < ridge_exponent || !filled[c]) exponent = ridge_exponent;
  }
  return scales;
}

Cost CostOfCsrFactor(Index n, Index d, Index nonzeros, int workers) {
  const Cost gram = CostOfCsrGram(n, d, nonzeros, workers);
  const Cost svd = CostOfRightSvd(d);
  const double columns = Real(d);
  const double square = columns * columns;
  // R^-1, some columns on each worker; vectors of the condition estimate.
  const double tasks = std::min(workers, static_cast<int>(d / 256 + 1));
  const double inverse = 8.0 * (256.0 * tasks + 16.0) * columns;
  const Cost qr = CostOfTallSkinnyQr(n, d, workers);
  // A dense row on each worker while blocks are filled; V beside R.
  return {.flops = std::max(gram.flops, qr.flops) + svd.flops +
                   16.0 * square * columns,
          .bytes = 16.0 * square + 65536.0 +
                   std::max({gram.bytes, qr.bytes + 8.0 * workers * columns,
                             24.0 * square + inverse, svd.bytes})};
}

}  // namespace steelyard
