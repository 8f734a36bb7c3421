#include "power/series.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "factor/row_loader.h"
#include "power/answer.h"
#include "power/matrix_exponential.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/together.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Above this no digit of the sum is right.
constexpr double kUncertifiable = 0.1;

std::vector<double> ColumnNorms(const Matrix<double>& block) {
  std::vector<double> norms(static_cast<std::size_t>(block.cols()), 0.0);
  for (Index i = 0; i < block.rows(); ++i) {
    for (Index c = 0; c < block.cols(); ++c) {
      double& norm = norms[static_cast<std::size_t>(c)];
      norm = std::hypot(norm, block(i, c));
    }
  }
  return norms;
}

// Row i *= 2^exponents[i].
void ShiftRows(const std::vector<int>& exponents, Matrix<double>& block) {
  for (Index i = 0; i < block.rows(); ++i) {
    const int shift = exponents[static_cast<std::size_t>(i)];
    for (Index c = 0; shift != 0 && c < block.cols(); ++c) {
      block(i, c) = std::ldexp(block(i, c), shift);
    }
  }
}

// One slice of columns, term by term.
class Summation {
 public:
  Summation(const ScaledMatrix& a, Matrix<double> b, const SeriesGoal& goal)
      : a_(a), goal_(goal), term_(std::move(b)), b_norms_(ColumnNorms(term_)) {
    sum_.x = term_;
    sum_.terms.assign(b_norms_.size(), 1);
    sum_.complete.assign(b_norms_.size(), false);
  }

  absl::StatusOr<SeriesSum> Run(const ComputeContext& context) {
    const int most = goal_.terms > 0 ? goal_.terms : goal_.terms_max;
    for (int k = 1;; ++k) {
      absl::Status done = NextTerm(k, context);
      if (!done.ok()) return done;
      if (!Wants(k)) break;
      if (k == most) break;
      for (Index i = 0; i < term_.rows(); ++i) {
        for (Index c = 0; c < term_.cols(); ++c) {
          if (Adds(c)) sum_.x(i, c) += term_(i, c);
        }
      }
      for (std::size_t c = 0; c < sum_.terms.size(); ++c) {
        if (Adds(static_cast<Index>(c))) sum_.terms[c] = k + 1;
      }
    }
    DropOverflow();
    return std::move(sum_);
  }

 private:
  // Asked for by number, terms are added whether they count or not.
  bool Adds(Index c) const {
    return goal_.terms > 0 || !sum_.complete[static_cast<std::size_t>(c)];
  }

  // term := -A'A term / k.
  absl::Status NextTerm(int k, const ComputeContext& context) {
    ShiftRows(a_.exponents, term_);
    const PassInput input{.a = a_, .z_hi = &term_, .k = term_.cols()};
    absl::StatusOr<PassResult> pass =
        ResidualPass(input, Precision::kDouble, context);
    if (!pass.ok()) return pass.status();
    term_ = std::move(pass->hi);
    ShiftRows(a_.exponents, term_);
    for (Index e = 0; e < term_.size(); ++e) term_.data()[e] /= k;
    return absl::OkStatus();
  }

  // Looks at term k, which is not in the sum; whether some column wants it.
  bool Wants(int k) {
    // From here on terms at least halve: all that follow are less than two of
    // this one, and the residual is at most e^(s_1^2) times as large.
    const bool falling = k >= 2.0 * goal_.s_1 * goal_.s_1;
    const double magnified = 2.0 * std::exp(goal_.s_1 * goal_.s_1);
    const std::vector<double> norms = ColumnNorms(term_);
    bool any = goal_.terms > 0;
    for (std::size_t c = 0; c < norms.size(); ++c) {
      sum_.complete[c] =
          (falling &&
           magnified * norms[c] <= 0.25 * goal_.tolerance * b_norms_[c]) ||
          !std::isfinite(norms[c]);
      any = any || !sum_.complete[c];
    }
    return any;
  }

  void DropOverflow() {
    for (Index c = 0; c < sum_.x.cols(); ++c) {
      bool finite = true;
      for (Index i = 0; i < sum_.x.rows(); ++i) {
        finite = finite && std::isfinite(sum_.x(i, c));
      }
      if (finite) continue;
      sum_.complete[static_cast<std::size_t>(c)] = false;
      for (Index i = 0; i < sum_.x.rows(); ++i) sum_.x(i, c) = 0.0;
    }
  }

  const ScaledMatrix& a_;
  const SeriesGoal& goal_;
  Matrix<double> term_;
  std::vector<double> b_norms_;
  SeriesSum sum_;
};

// x = 0, and nothing of it is right.
SeriesSum NoSum(Index d, Index k) {
  const auto columns = static_cast<std::size_t>(k);
  return {Matrix<double>(d, k), std::vector<int>(columns, 0),
          std::vector<bool>(columns, true)};
}

}  // namespace

absl::StatusOr<SeriesSum> SumSeries(const ScaledMatrix& a,
                                    const ScaledRightSides& b,
                                    const SeriesGoal& goal,
                                    const ComputeContext& context) {
  const Index d = Cols(a.view);
  const Index k = Cols(b.view);
  SeriesSum all = NoSum(d, k);
  const RowLoader rows(b.view, b.exponents);
  for (Index first = 0; first < k; first += SliceColumns()) {
    const Index count = std::min(SliceColumns(), k - first);
    Matrix<double> slice(d, count);
    rows.Load(0, first, BlockOf(slice));
    const absl::StatusOr<SeriesSum> sum =
        Summation(a, std::move(slice), goal).Run(context);
    if (!sum.ok()) return sum.status();
    for (Index c = 0; c < count; ++c) {
      for (Index i = 0; i < d; ++i) all.x(i, first + c) = sum->x(i, c);
      const auto to = static_cast<std::size_t>(first + c);
      all.terms[to] = sum->terms[static_cast<std::size_t>(c)];
      all.complete[to] = sum->complete[static_cast<std::size_t>(c)];
    }
  }
  return all;
}

absl::StatusOr<Solution> SolveSeries(const DenseOrCsr& a,
                                     const AnyMatrixView& b,
                                     const PowerRegressionOptions& options,
                                     const ComputeContext& context) {
  PhaseProgress progress(context);
  const ComputeContext inner{context.workers, context.stop, progress.Sink()};
  const auto stopped = [&](absl::Status status) -> absl::StatusOr<Solution> {
    if (!absl::IsAborted(status)) return status;
    return PowerAnswer(Cols(a), Cols(b), false).Stopped(context.stop.reason());
  };
  progress.Enter("scan", 0.0, 0.05);
  const absl::StatusOr<ColumnScales> scales = ScanMatrix(a, "a", inner);
  if (!scales.ok()) return stopped(scales.status());
  absl::StatusOr<ColumnScales> b_scales = ScanColumns(b, "b", inner);
  if (!b_scales.ok()) return stopped(b_scales.status());
  const ScaledRightSides right_sides{b, std::move(b_scales->exponents)};
  progress.Enter("factor", 0.05, 0.4);
  const auto factor =
      MakePowerFactor(a, *scales, options, FactorGrade::kLadder, inner);
  if (!factor.ok()) return stopped(factor.status());
  progress.Enter("iterate", 0.4, 0.95);
  const std::vector<double>& s = (*factor)->exponential->s;
  const double lost =
      kUnitRoundoff * std::exp(s.front() * s.front() + s.back() * s.back());
  SeriesSum sum = NoSum(Cols(a), Cols(b));
  if (options.terms || lost < kUncertifiable) {
    absl::StatusOr<SeriesSum> summed =
        SumSeries({a, (*factor)->factor.scales.exponents}, right_sides,
                  {.s_1 = s.front(),
                   .tolerance = options.tolerance.value_or(kUnitRoundoff),
                   .terms = options.terms.value_or(0),
                   .terms_max = options.max_iterations},
                  inner);
    if (!summed.ok()) return stopped(summed.status());
    sum = *std::move(summed);
  }
  progress.Enter("verify", 0.95, 1.0);
  return ApplyMatrixExponential(**factor, right_sides, options, inner, &sum);
}

}  // namespace steelyard
