#include "power/together.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "power/answer.h"
#include "power/matrix_exponential.h"
#include "power/slice_solver.h"

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

// The columns of all callers without an error, a slice after the other.
std::vector<std::vector<Share>> SlicesOf(const std::vector<Caller>& callers) {
  std::vector<std::vector<Share>> slices;
  Index room = 0;
  for (std::size_t i = 0; i < callers.size(); ++i) {
    if (!callers[i].status.ok()) continue;
    const Index k = Cols(callers[i].b.view);
    for (Index first = 0; first < k;) {
      if (room == 0) {
        slices.emplace_back();
        room = kSliceColumns;
      }
      const Index count = std::min(room, k - first);
      slices.back().push_back({i, first, count});
      first += count;
      room -= count;
    }
  }
  return slices;
}

bool IsOdd(const PowerRegressionOptions& options) {
  return options.family == PowerFamily::kLeftGramPower;
}

// Columns [first, first + count) of what a slice answered.
SliceAnswer PartOf(const SliceAnswer& slice, Index first, Index count) {
  const auto cut = [&](const auto& from) {
    using Vector = std::decay_t<decltype(from)>;
    return from.empty() ? Vector()
                        : Vector(from.begin() + first,
                                 from.begin() + first + count);
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
  part.certificate = {.relative_residual = cut(all.relative_residual),
                      .excess_residual = cut(all.excess_residual),
                      .residual_floor = cut(all.residual_floor),
                      .backward_error = cut(all.backward_error),
                      .optimality = cut(all.optimality),
                      .forward_error = cut(all.forward_error)};
  part.terminations = cut(slice.terminations);
  part.refinements = cut(slice.refinements);
  return part;
}

class LevelsTogether {
 public:
  LevelsTogether(const PowerFactor& factor, const DenseOrCsr& a,
                 const std::vector<Caller>& callers,
                 const PowerRegressionOptions& options,
                 PhaseProgress& progress, const ComputeContext& context)
      : factor_(factor),
        a_{a, factor.factor.scales.exponents},
        callers_(callers),
        options_(options),
        progress_(progress),
        context_(context) {
    for (const Caller& caller : callers) {
      answers_.emplace_back(Cols(a), caller.status.ok() ? Cols(caller.b.view) : 0,
                            IsOdd(options));
    }
  }

  std::vector<absl::StatusOr<Solution>> Run() {
    const std::vector<std::vector<Share>> slices = SlicesOf(callers_);
    absl::Status done;
    for (std::size_t s = 0; s < slices.size() && done.ok(); ++s) {
      const auto part = [&](std::size_t slice) {
        return 0.4 + 0.6 * static_cast<double>(slice) /
                         static_cast<double>(slices.size());
      };
      progress_.Enter("iterate", part(s), part(s + 1));
      done = AddSlice(slices[s]);
    }
    std::vector<absl::StatusOr<Solution>> solutions;
    for (std::size_t i = 0; i < callers_.size(); ++i) {
      absl::Status status = callers_[i].status;
      status.Update(done);
      if (status.ok()) {
        solutions.emplace_back(Finished(std::move(answers_[i])));
      } else {
        solutions.emplace_back(std::move(status));
      }
    }
    return solutions;
  }

 private:
  absl::Status AddSlice(const std::vector<Share>& shares) {
    ColumnSlice b;
    for (const Share& share : shares) {
      b.pieces.push_back(
          {&callers_[share.caller].b, share.first, share.count});
      b.count += share.count;
    }
    const PowerProblem problem{
        .a = a_,
        .ridge_diagonal = factor_.ridge_diagonal,
        .solver = *factor_.solver,
        .b = b,
        .odd = IsOdd(options_),
        .exponent = options_.exponent,
        .refinements_max = options_.max_iterations,
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
      column += share.count;
    }
    return absl::OkStatus();
  }

  Solution Finished(PowerAnswer answer) const {
    Solution solution = std::move(answer).Finish(options_.extended_output);
    SolveReport& report = solution.report;
    report.rank = factor_.factor.rank;
    report.rank_gap = factor_.factor.rank_gap;
    report.condition_estimate = factor_.factor.condition;
    report.method = absl::StrCat(
        factor_.factor.description,
        IsOdd(options_) ? "; least squares by R^-1 R^-T A'b" : "",
        options_.exponent > 0
            ? absl::StrCat("; ", options_.exponent, " levels of R^-1 R^-T")
            : "",
        options_.extended_output ? ", refined in double-double"
                                 : ", refined with the true A",
        factor_.solver->truncated() ? ", minimum norm" : "");
    return solution;
  }

  const PowerFactor& factor_;
  ScaledMatrix a_;
  const std::vector<Caller>& callers_;
  const PowerRegressionOptions& options_;
  PhaseProgress& progress_;
  const ComputeContext& context_;
  std::vector<PowerAnswer> answers_;  // one a caller
};

}  // namespace

std::vector<Caller> ScanCallers(absl::Span<const AnyMatrixView> bs,
                                const ComputeContext& context) {
  std::vector<Caller> callers;
  for (const AnyMatrixView& b : bs) {
    absl::StatusOr<ColumnScales> scales = ScanColumns(b, "b", context);
    callers.push_back(
        {.b = {b, scales.ok() ? std::move(scales->exponents)
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
    return LevelsTogether(factor, a, callers, options, progress, context)
        .Run();
  }
  progress.Enter("iterate", 0.6, 1.0);
  std::vector<absl::StatusOr<Solution>> solutions;
  for (const Caller& caller : callers) {
    solutions.push_back(caller.status.ok()
                            ? ApplyMatrixExponential(factor, caller.b, options,
                                                     context)
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
