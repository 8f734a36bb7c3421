#include "power/together.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "power/answer.h"
#include "power/least_squares_error.h"
#include "power/matrix_exponential.h"
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

// The same columns, a slice after the other.
std::vector<Shares> SlicesOf(const Shares& all) {
  std::vector<Shares> slices;
  Index room = 0;
  for (Share share : all) {
    while (share.count > 0) {
      if (room == 0) {
        slices.emplace_back();
        room = kSliceColumns;
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
    if (factor_.spectral.has_value() && !IsOdd(options_) &&
        !options_.extended_output) {
      const SpectralPower power(*factor_.spectral, options_.exponent);
      if (power.usable()) rest = SolveWithoutA(power, rest);
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
  Shares SolveWithoutA(const SpectralPower& power, const Shares& all) {
    const std::vector<Shares> slices = SlicesOf(all);
    std::vector<std::optional<SpectralPower::Answer>> found(slices.size());
    context_.workers.ParallelFor(
        static_cast<Index>(slices.size()), context_.stop, [&](Index task) {
          const auto at = static_cast<std::size_t>(task);
          const ColumnSlice b = ColumnsOf(callers_, slices[at]);
          Matrix<double> columns(Cols(a_.view), b.count);
          LoadColumns(b, columns);
          found[at] = power.Solve(columns, b.Exponents());
        });
    Shares rest;
    for (std::size_t s = 0; s < slices.size(); ++s) {
      if (found[s].has_value()) {
        AddTrusted(*found[s], slices[s], rest);
      } else {
        rest.insert(rest.end(), slices[s].begin(), slices[s].end());
      }
    }
    return rest;
  }

  // Columns that are trusted and converged; the others go to `rest`.
  void AddTrusted(const SpectralPower::Answer& answer, const Shares& shares,
                  Shares& rest) {
    SliceAnswer slice;
    slice.x.hi = answer.x;
    slice.x.exponents.assign(answer.exponents.begin(), answer.exponents.end());
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
    return !answer.untrusted[c] &&
           certificate.relative_residual[c] <=
               ToleranceOf(options_.tolerance, options_.exponent,
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
      absl::StrAppend(&method, "; x = V S^-", 2 * options_.exponent,
                      " V'b by the singular vectors of R, ",
                      factor_.spectral->measured,
                      " of them measured with A when it was prepared");
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
