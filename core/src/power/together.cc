#include "power/together.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "power/answer.h"
#include "power/gradient_pass.h"
#include "power/least_squares_error.h"
#include "power/matrix_exponential.h"
#include "power/odd_power.h"
#include "power/sketched_least_squares.h"
#include "power/slice_solver.h"
#include "power/spectral_solver.h"
#include "power/termination.h"

namespace steelyard {
namespace {

// Two tiles of three groups of columns (column_products.cc): memory stays
// bounded, and a pass is matrix-matrix work.
constexpr Index kSliceColumns = 48;

// Columns [first, first + count) of a caller.
struct Share {
  std::size_t caller;
  Index first;
  Index count;
};

using Shares = std::vector<Share>;

// All columns of the callers without an error.
Shares WholeCallers(const std::vector<Caller>& callers) {
  Shares shares;
  for (std::size_t i = 0; i < callers.size(); ++i) {
    if (!callers[i].status.ok()) continue;
    shares.push_back({i, 0, Cols(callers[i].b.view)});
  }
  return shares;
}

// The same columns, a slice of at most `width` after the other.
std::vector<Shares> SlicesOf(const Shares& all, Index width = kSliceColumns) {
  std::vector<Shares> slices;
  Index room = 0;
  for (Share share : all) {
    while (share.count > 0) {
      if (room == 0) {
        slices.emplace_back();
        room = width;
      }
      const Index count = std::min(room, share.count);
      slices.back().push_back({share.caller, share.first, count});
      share.first += count;
      share.count -= count;
      room -= count;
    }
  }
  return slices;
}

ColumnSlice ColumnsOf(const std::vector<Caller>& callers,
                      const Shares& shares) {
  ColumnSlice b;
  for (const Share& share : shares) {
    b.pieces.push_back({&callers[share.caller].b, share.first, share.count});
    b.count += share.count;
  }
  return b;
}

bool IsOdd(const PowerRegressionOptions& options) {
  return options.family == PowerFamily::kLeftGramPower;
}

// Columns [first, first + count) of what a slice answered.
SliceAnswer PartOf(const SliceAnswer& slice, Index first, Index count) {
  const auto cut = [&](const auto& from) {
    using Vector = std::decay_t<decltype(from)>;
    return from.empty()
               ? Vector()
               : Vector(from.begin() + first, from.begin() + first + count);
  };
  const auto cut_columns = [&](const Matrix<double>& from) {
    if (from.empty()) return Matrix<double>();
    Matrix<double> to(from.rows(), count);
    for (Index i = 0; i < from.rows(); ++i) {
      std::copy_n(from.row(i) + first, count, to.row(i));
    }
    return to;
  };
  SliceAnswer part;
  part.x.hi = cut_columns(slice.x.hi);
  part.x.lo = cut_columns(slice.x.lo);
  part.x.exponents = cut(slice.x.exponents);
  const Certificate& all = slice.certificate;
  part.certificate = {
      .relative_residual = cut(all.relative_residual),
      .excess_residual = cut(all.excess_residual),
      .residual_floor = cut(all.residual_floor),
      .backward_error = cut(all.backward_error),
      .optimality = cut(all.optimality),
      .forward_error = cut(all.forward_error),
      .least_squares_backward_error = cut(all.least_squares_backward_error)};
  part.terminations = cut(slice.terminations);
  part.refinements = cut(slice.refinements);
  return part;
}

class PowersTogether {
 public:
  PowersTogether(const PowerFactor& factor, const DenseOrCsr& a,
                 const std::vector<Caller>& callers,
                 const PowerRegressionOptions& options, PhaseProgress& progress,
                 const ComputeContext& context)
      : factor_(factor),
        a_{a, factor.factor.scales.exponents},
        callers_(callers),
        options_(options),
        progress_(progress),
        context_(context),
        by_levels_(callers.size(), 0) {
    if (factor.preconditioner) {
      iterated_.emplace(a_, factor.ridge_diagonal, factor.factor,
                        factor.distortion);
    }
    least_squares_.emplace(factor.factor, Solver().distortion());
    for (const Caller& caller : callers) {
      answers_.emplace_back(Cols(a),
                            caller.status.ok() ? Cols(caller.b.view) : 0,
                            IsOdd(options));
    }
  }

  std::vector<absl::StatusOr<Solution>> Run() {
    progress_.Enter("iterate", 0.4, 0.4);
    Shares rest = WholeCallers(callers_);
    if (factor_.spectral.has_value() && !options_.extended_output) {
      rest = IsOdd(options_) ? SolveReadingOnce(rest) : SolveWithoutA(rest);
    }
    const absl::Status done = SolveLevels(rest);
    std::vector<absl::StatusOr<Solution>> solutions;
    for (std::size_t i = 0; i < callers_.size(); ++i) {
      absl::Status status = callers_[i].status;
      status.Update(done);
      if (status.ok()) {
        solutions.emplace_back(Finished(i));
      } else {
        solutions.emplace_back(std::move(status));
      }
    }
    return solutions;
  }

 private:
  // Returns the columns that A must be read for, or that no time was left for.
  Shares SolveWithoutA(const Shares& all) {
    const SpectralPower power(*factor_.spectral, options_.exponent, context_);
    if (!power.usable()) return all;
    const std::vector<Shares> slices = SlicesOf(all);
    std::vector<std::optional<SpectralPower::Answer>> found(slices.size());
    std::vector<char> fits(slices.size(), 0);
    context_.workers.ParallelFor(
        static_cast<Index>(slices.size()), context_.stop, [&](Index task) {
          const auto at = static_cast<std::size_t>(task);
          const ColumnSlice b = ColumnsOf(callers_, slices[at]);
          Matrix<double> columns(Cols(a_.view), b.count);
          LoadColumns(b, columns);
          found[at] = power.Solve(columns, b.Exponents());
          fits[at] = PutColumns(*found[at], slices[at]) ? 1 : 0;
        });
    Shares rest;
    for (std::size_t s = 0; s < slices.size(); ++s) {
      if (found[s].has_value()) {
        AddTrusted(*found[s], slices[s], fits[s] != 0, rest);
      } else {
        rest.insert(rest.end(), slices[s].begin(), slices[s].end());
      }
    }
    return rest;
  }

  // The same of the odd family: A is read once for as many columns as memory
  // allows, and for those whose residual is not told by that.
  Shares SolveReadingOnce(const Shares& all) {
    const OddPower power(
        *factor_.spectral,
        {.exponent = options_.exponent,
         .ridge = std::ldexp(options_.ridge, -2 * factor_.spectral->shift)});
    if (!power.usable()) return all;
    const std::vector<Shares> slices =
        SlicesOf(all, GradientColumns(Rows(a_.view), Cols(a_.view)));
    Shares rest;
    for (std::size_t s = 0; s < slices.size(); ++s) {
      ReadOnce(power, slices[s], rest);
      progress_.Report("iterate", static_cast<double>(s + 1) /
                                      static_cast<double>(slices.size()));
    }
    return rest;
  }

  // Columns that no time was left for go to `rest`, too: there the stop is told
  // to the caller.
  void ReadOnce(const OddPower& power, const Shares& shares, Shares& rest) {
    const ColumnSlice b = ColumnsOf(callers_, shares);
    const absl::StatusOr<Gradient> gradient = GradientPass(a_, b, context_);
    if (!gradient.ok()) {
      rest.insert(rest.end(), shares.begin(), shares.end());
      return;
    }
    const std::vector<int> exponents = b.Exponents();
    const std::vector<Shares> slices = SlicesOf(shares);
    std::vector<std::optional<OddPower::Answer>> found(slices.size());
    context_.workers.ParallelFor(
        static_cast<Index>(slices.size()), context_.stop, [&](Index task) {
          const Index first = task * kSliceColumns;
          found[static_cast<std::size_t>(task)] =
              power.Solve({.c = *gradient,
                           .first = first,
                           .count = std::min(kSliceColumns, b.count - first),
                           .b_exponents = exponents.data() + first});
        });
    for (std::size_t s = 0; s < slices.size(); ++s) {
      const double* const squares =
          gradient->squares.data() + static_cast<Index>(s) * kSliceColumns;
      if (found[s].has_value() &&
          MeasureResiduals(slices[s], squares, *found[s]) &&
          BoundBackwardErrors(squares, *found[s])) {
        AddTrusted(found[s]->solution, slices[s],
                   PutColumns(found[s]->solution, slices[s]), rest);
      } else {
        rest.insert(rest.end(), slices[s].begin(), slices[s].end());
      }
    }
  }

  // Exponent 0. False: stopped.
  bool BoundBackwardErrors(const double* squares, OddPower::Answer& answer) {
    if (options_.exponent > 0) return true;
    Certificate& out = answer.solution.certificate;
    std::vector<double> r_norms;
    for (std::size_t c = 0; c < answer.z_norms.size(); ++c) {
      const double residual = out.relative_residual[c];
      r_norms.push_back(std::sqrt(residual * residual * squares[c] +
                                  answer.ridge_squares[c]));
    }
    absl::StatusOr<std::vector<double>> bounds = least_squares_->Bounds(
        {answer.gradient, r_norms, answer.z_norms}, context_);
    if (!bounds.ok()) return false;
    for (std::size_t c = 0; c < bounds->size(); ++c) {
      if (answer.z_norms[c] == 0.0) continue;
      // |T^-T A'r| <= |R^-T A'r|
      const double more = std::numbers::sqrt2 * answer.expected_excess[c] /
                          (answer.z_norms[c] * factor_.factor.frobenius_norm);
      (*bounds)[c] = std::min(1.0, (*bounds)[c] + more);
    }
    out.least_squares_backward_error = *std::move(bounds);
    return true;
  }

  // |b - A y| of the columns where it is unknown. False: stopped.
  bool MeasureResiduals(const Shares& shares, const double* squares,
                        OddPower::Answer& answer) {
    ColumnSlice b;
    std::vector<Index> columns;
    Index column = 0;
    for (const Share& share : shares) {
      for (Index c = 0; c < share.count; ++c, ++column) {
        const auto at = static_cast<std::size_t>(column);
        if (!answer.residual_unknown[at] || !Keeps(answer.solution, at)) {
          continue;
        }
        b.pieces.push_back(
            {&callers_[share.caller].b, share.first + c, Index{1}});
        columns.push_back(column);
      }
    }
    b.count = static_cast<Index>(columns.size());
    if (columns.empty()) return true;
    Matrix<double> z(answer.y.rows(), b.count);
    for (Index i = 0; i < z.rows(); ++i) {
      const double scale =
          factor_.spectral->scales[static_cast<std::size_t>(i)];
      for (Index c = 0; c < b.count; ++c) {
        z(i, c) = scale * answer.y(i, columns[static_cast<std::size_t>(c)]);
      }
    }
    const PassInput input{.a = a_, .b = b, .z_hi = &z, .k = b.count};
    const absl::StatusOr<PassResult> pass =
        ResidualPass(input, Precision::kDouble, context_);
    if (!pass.ok()) return false;
    Certificate& out = answer.solution.certificate;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const auto to = static_cast<std::size_t>(columns[c]);
      const double residual = std::sqrt(pass->squares[c] / squares[to]);
      out.relative_residual[to] = residual;
      // |M| |x| / |b|
      const double growth = out.residual_floor[to] * 0x1p53;
      out.backward_error[to] = residual / (1.0 + growth);
    }
    return true;
  }

  // x of a slice. False: some of it does not fit float64. Safe for different
  // slices at the same time.
  bool PutColumns(const SpectralPower::Answer& answer, const Shares& shares) {
    Index column = 0;
    bool fits = true;
    for (const Share& share : shares) {
      fits =
          answers_[share.caller].PutColumns(
              share.first, answer.x, answer.exponents, column, share.count) &&
          fits;
      column += share.count;
    }
    return fits;
  }

  // Columns that are trusted and converged; the others go to `rest`. `placed`:
  // x is where it belongs.
  void AddTrusted(const SpectralPower::Answer& answer, const Shares& shares,
                  bool placed, Shares& rest) {
    SliceAnswer slice;
    if (!placed) {
      slice.x.hi = answer.x;
      slice.x.exponents.assign(answer.exponents.begin(),
                               answer.exponents.end());
    }
    slice.certificate = answer.certificate;
    slice.terminations.assign(answer.exponents.size(), Termination::kConverged);
    const std::vector<int> unscaled(static_cast<std::size_t>(answer.x.rows()),
                                    0);
    Index column = 0;
    for (const Share& share : shares) {
      answers_[share.caller].Add(share.first, unscaled,
                                 PartOf(slice, column, share.count));
      for (Index c = 0; c < share.count; ++c, ++column) {
        if (!Keeps(answer, static_cast<std::size_t>(column))) {
          rest.push_back({share.caller, share.first + c, 1});
        }
      }
    }
  }

  bool Keeps(const SpectralPower::Answer& answer, std::size_t c) const {
    const Certificate& certificate = answer.certificate;
    const double judged = IsOdd(options_) ? certificate.excess_residual[c]
                                          : certificate.relative_residual[c];
    return !answer.untrusted[c] &&
           judged <= ToleranceOf(options_.tolerance, options_.exponent,
                                 certificate.residual_floor[c]);
  }

  absl::Status SolveLevels(const Shares& all) {
    const std::vector<Shares> slices = SlicesOf(all);
    for (std::size_t s = 0; s < slices.size(); ++s) {
      const auto part = [&](std::size_t slice) {
        return 0.4 + 0.6 * static_cast<double>(slice) /
                         static_cast<double>(slices.size());
      };
      progress_.Enter("iterate", part(s), part(s + 1));
      absl::Status done = AddSlice(slices[s]);
      if (!done.ok()) return done;
    }
    progress_.Enter("verify", 1.0, 1.0);
    return absl::OkStatus();
  }

  absl::Status AddSlice(const Shares& shares) {
    const PowerProblem problem{
        .a = a_,
        .ridge_diagonal = factor_.ridge_diagonal,
        .solver = Solver(),
        .b = ColumnsOf(callers_, shares),
        .odd = IsOdd(options_),
        .exponent = options_.exponent,
        .refinements_max = options_.max_iterations,
        .least_squares = &*least_squares_,
    };
    const SliceGoal goal{
        .tolerance = options_.tolerance,
        .extended_output = options_.extended_output,
        .log2_norm = factor_.log2_norm,
        .condition = factor_.factor.condition,
        .report =
            [this](std::string_view phase, double done,
                   std::optional<double> residual) {
              progress_.Report(phase, done, residual);
            },
    };
    const absl::StatusOr<SliceAnswer> slice =
        SolveSlice(problem, goal, context_);
    if (!slice.ok()) return slice.status();
    Index column = 0;
    for (const Share& share : shares) {
      answers_[share.caller].Add(share.first, a_.exponents,
                                 PartOf(*slice, column, share.count));
      by_levels_[share.caller] += share.count;
      column += share.count;
    }
    return absl::OkStatus();
  }

  Solution Finished(std::size_t caller) {
    Solution solution =
        std::move(answers_[caller]).Finish(options_.extended_output);
    SolveReport& report = solution.report;
    report.rank = factor_.factor.rank;
    report.rank_gap = factor_.factor.rank_gap;
    report.condition_estimate = factor_.factor.condition;
    report.method = MethodOf(by_levels_[caller], solution.x.cols());
    return solution;
  }

  const GramSolver& Solver() const {
    if (iterated_.has_value()) return *iterated_;
    return *factor_.solver;
  }
  const char* HowSolved() const {
    return iterated_.has_value() ? "conjugate gradients on R^-T A'A R^-1"
                                 : "R^-1 R^-T";
  }

  // `refined` of k columns went through the levels.
  std::string MethodOf(Index refined, Index k) const {
    std::string method = factor_.factor.description;
    if (refined < k) {
      if (IsOdd(options_)) {
        absl::StrAppend(&method, "; x = (A'A)^-", options_.exponent + 1,
                        " (A'b), both products to 75 bits, by the singular "
                        "vectors of R");
      } else {
        absl::StrAppend(&method, "; x = V S^-", 2 * options_.exponent,
                        " V'b by the singular vectors of R, ",
                        factor_.spectral->measured,
                        " of them measured with A when it was prepared");
      }
      if (refined == 0) return method;
      absl::StrAppend(&method, "; ", refined, " of ", k, " columns by");
    } else {
      if (IsOdd(options_)) {
        absl::StrAppend(&method, "; least squares by ", HowSolved(), " A'b");
      }
      if (options_.exponent == 0 && IsOdd(options_) && iterated_.has_value()) {
        absl::StrAppend(&method,
                        ", backward error by the sketch: with high "
                        "probability");
      }
      absl::StrAppend(&method, options_.exponent > 0 ? ";" : "");
    }
    if (options_.exponent > 0) {
      absl::StrAppend(&method, " ", options_.exponent, " levels of ",
                      HowSolved());
    }
    absl::StrAppend(&method, options_.extended_output
                                 ? ", refined in double-double"
                                 : ", refined with the true A");
    if (Solver().truncated()) {
      absl::StrAppend(&method, ", minimum norm");
    }
    return method;
  }

  const PowerFactor& factor_;
  ScaledMatrix a_;
  const std::vector<Caller>& callers_;
  const PowerRegressionOptions& options_;
  PhaseProgress& progress_;
  const ComputeContext& context_;
  std::optional<SketchedSolver> iterated_;  // R is a preconditioner
  std::optional<LeastSquaresErrors> least_squares_;
  std::vector<PowerAnswer> answers_;  // one a caller
  std::vector<Index> by_levels_;      // columns of each
};

}  // namespace

std::vector<Caller> ScanCallers(absl::Span<const AnyMatrixView> bs,
                                const ComputeContext& context) {
  std::vector<Caller> callers;
  for (const AnyMatrixView& b : bs) {
    absl::StatusOr<ColumnScales> scales = ScanColumns(b, "b", context);
    callers.push_back({.b = {b, scales.ok() ? std::move(scales->exponents)
                                            : std::vector<int>()},
                       .status = scales.status()});
  }
  return callers;
}

std::vector<absl::StatusOr<Solution>> SolveCallers(
    const PowerFactor& factor, const DenseOrCsr& a,
    const std::vector<Caller>& callers, const PowerRegressionOptions& options,
    PhaseProgress& progress, const ComputeContext& context) {
  if (options.family != PowerFamily::kMatrixExponential) {
    return PowersTogether(factor, a, callers, options, progress, context).Run();
  }
  progress.Enter("iterate", 0.6, 1.0);
  std::vector<absl::StatusOr<Solution>> solutions;
  for (const Caller& caller : callers) {
    solutions.push_back(
        caller.status.ok()
            ? ApplyMatrixExponential(factor, caller.b, options, context)
            : caller.status);
    progress.Report("verify", static_cast<double>(solutions.size()) /
                                  static_cast<double>(callers.size()));
  }
  return solutions;
}

std::vector<absl::StatusOr<Solution>> StoppedCallers(
    const DenseOrCsr& a, const std::vector<Caller>& callers,
    const PowerRegressionOptions& options, StopReason why) {
  std::vector<absl::StatusOr<Solution>> solutions;
  for (const Caller& caller : callers) {
    if (caller.status.ok() || absl::IsAborted(caller.status)) {
      solutions.emplace_back(
          PowerAnswer(Cols(a), Cols(caller.b.view), IsOdd(options))
              .Stopped(why));
    } else {
      solutions.emplace_back(caller.status);
    }
  }
  return solutions;
}

Index SliceColumns() { return kSliceColumns; }

}  // namespace steelyard
