#include "power/slice_solver.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kLog2Unit = -53.0;
constexpr double kLog2ExtendedUnit = -106.0;
// Corrections below these, relative to z, are not worth a pass: extended
// output; and levels between which only float64 is wanted.
constexpr double kExtendedGoal = 0x1p-104;
constexpr double kPolishGoal = 0x1p-60;
// Flops that may still be spent when time is up: some 20 ms on one core.
constexpr double kFinishFlops = 5e8;
// Of a level, for solvers that read A: solving it and measuring it.
constexpr double kPassesToFinish = 80.0;
constexpr double kUncertifiable = 0.1;
constexpr double kLargest = std::numeric_limits<double>::max();

// Column scales hundreds of orders apart and a rank below d: numbers of a
// column of x (kIllConditioned by then) may leave float64. It is 0 instead.
void ClearLostColumns(ScaledBlock& x) {
  for (Index c = 0; c < x.cols(); ++c) {
    bool finite = true;
    for (Index i = 0; i < x.rows(); ++i) {
      finite = finite && std::isfinite(x.hi(i, c)) &&
               (!x.has_low() || std::isfinite(x.lo(i, c)));
    }
    if (finite) continue;
    for (Index i = 0; i < x.rows(); ++i) {
      x.hi(i, c) = 0.0;
      if (x.has_low()) x.lo(i, c) = 0.0;
    }
    x.exponents[static_cast<std::size_t>(c)] = 0;
  }
}

class SliceSolver {
 public:
  SliceSolver(const PowerProblem& problem, const SliceGoal& goal,
              const ComputeContext& context)
      : problem_(problem), goal_(goal), context_(context) {}

  absl::StatusOr<SliceAnswer> Run() {
    absl::Status done = Solve();
    StopReason why = StopReason::kNone;
    if (absl::IsAborted(done)) {
      why = context_.stop.reason();
      if (!CanFinish()) return ZeroAnswer(ZeroColumns(), problem_.odd, why);
      done = Finish();
    }
    if (!done.ok()) return done;
    SliceAnswer answer;
    answer.terminations = Terminations(why);
    answer.x = std::move(levels_.z.back());
    ClearLostColumns(answer.x);
    answer.certificate = std::move(certificate_);
    answer.refinements = levels_.refinements;
    return answer;
  }

 private:
  // All levels in float64, measured; then again in double-double where that
  // is asked for or float64 was not enough.
  absl::Status Solve() {
    auto start = StartingBlock(problem_, levels_, context_);
    if (!start.ok()) return start.status();
    start_ = *std::move(start);
    const double levels = problem_.exponent - FirstLevel(problem_) + 1;
    double solved = 0.0;
    for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
      Report("iterate", 0.5 * solved++ / levels);
      absl::Status done = SolveLevel(problem_, i, start_, levels_, context_);
      if (!done.ok()) return done;
    }
    PolishGoal goal{.correction = kExtendedGoal, .columns = {}};
    if (!goal_.extended_output) {
      for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
        Report("verify", 0.5 * solved++ / levels);
        absl::Status done =
            MeasureLevel(problem_, i, start_, levels_, context_);
        if (!done.ok()) return done;
      }
      absl::Status done = Measure(kLog2Unit, context_);
      if (!done.ok()) return done;
      goal.correction = kPolishGoal;
      goal.columns = WantsPolish();
      if (std::find(goal.columns.begin(), goal.columns.end(), true) ==
          goal.columns.end()) {
        return done;
      }
    }
    for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
      Report("verify", 1.0);
      absl::Status done =
          PolishLevel(problem_, i, start_, goal, levels_, context_);
      if (!done.ok()) return done;
    }
    if (goal_.extended_output) return Measure(kLog2ExtendedUnit, context_);
    absl::Status done = DropLowPart(problem_, levels_, context_);
    if (!done.ok()) return done;
    return Measure(kLog2Unit, context_);
  }

  absl::Status Measure(double log2_unit, const ComputeContext& context,
                       bool in_haste = false) {
    absl::StatusOr<Certificate> certificate = Certify(
        problem_, levels_, {log2_unit, goal_.log2_norm, in_haste}, context);
    if (!certificate.ok()) return certificate.status();
    certificate_ = *std::move(certificate);
    absl::Status done = AddErrorOfRowSpace(context);
    if (!done.ok()) return done;
    log2_unit_ = log2_unit;
    const std::vector<double>& judged = Judged();
    Report("verify", 1.0, *std::max_element(judged.begin(), judged.end()));
    return absl::OkStatus();
  }

  // Rank < d: what x loses by a turned row space A cannot see. Even: the part
  // of b that counts may be small beside b.
  absl::Status AddErrorOfRowSpace(const ComputeContext& context) {
    const GramSolver& solver = problem_.solver;
    row_space_error_.assign(levels_.b_squares.size(), 0.0);
    if (!solver.truncated() || solver.rank() == 0) return absl::OkStatus();
    ScaledBlock counts = start_;
    if (!problem_.odd) {
      absl::Status done = solver.Project(counts, context);
      if (!done.ok()) return done;
      ScaleRows(problem_.a.exponents, 1, counts);
    }
    const std::vector<double> log2_norms = Log2Norms(counts);
    for (std::size_t c = 0; c < levels_.b_squares.size(); ++c) {
      const double square = levels_.b_squares[c];
      if (square == 0.0) continue;
      const double whole = 0.5 * std::log2(square);
      const double magnified =
          problem_.odd ? 1.0 : std::exp2(std::max(0.0, whole - log2_norms[c]));
      row_space_error_[c] = solver.row_space_error() * magnified;
      double& error = certificate_.forward_error[c];
      error = std::min(error + row_space_error_[c], kLargest);
    }
    return absl::OkStatus();
  }

  // Odd: the excess decides.
  const std::vector<double>& Judged() const {
    return problem_.odd ? certificate_.excess_residual
                        : certificate_.relative_residual;
  }

  double Tolerance(std::size_t c) const {
    // Extended output or not: unset means as good as float64 allows, and the
    // floor of an extended certificate lies 2^-53 lower.
    const double phi =
        certificate_.residual_floor[c] * std::exp2(kLog2Unit - log2_unit_);
    return ToleranceOf(goal_.tolerance, problem_.exponent, phi);
  }

  bool BeyondFormat(std::size_t c) const {
    if (row_space_error_[c] >= kUncertifiable) return true;
    return !goal_.extended_output &&
           std::max(problem_.exponent, 1) * goal_.condition * kUnitRoundoff >=
               kUncertifiable;
  }

  // Columns above their tolerance that more work may help.
  std::vector<bool> WantsPolish() const {
    std::vector<bool> wants(levels_.limited.size());
    for (std::size_t c = 0; c < wants.size(); ++c) {
      wants[c] = !BeyondFormat(c) && levels_.b_squares[c] > 0.0 &&
                 !levels_.limited[c] && !(Judged()[c] <= Tolerance(c));
    }
    return wants;
  }

  // R alone, no pass over A, and only if that is short. The odd family needs
  // y_0.
  bool CanFinish() const {
    const double d = static_cast<double>(Cols(problem_.a.view));
    const double k = static_cast<double>(problem_.b.count);
    const double reads =
        problem_.solver.reads_matrix()
            ? kPassesToFinish * static_cast<double>(Nonzeros(problem_.a.view))
            : 0.0;
    const double flops = 16.0 * (problem_.exponent + 1) * (d * d + reads) * k;
    return flops <= kFinishFlops && !start_.hi.empty();
  }

  absl::Status Finish() {
    // The stop has been seen; this much is still done.
    const ComputeContext rest{context_.workers, StopToken(), {}};
    for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
      absl::Status done = FinishLevel(problem_, i, start_, levels_, rest);
      if (!done.ok()) return done;
    }
    levels_.z.back().lo = goal_.extended_output
                              ? Matrix<double>(start_.rows(), start_.cols())
                              : Matrix<double>();
    return Measure(kLog2Unit, rest, /*in_haste=*/true);
  }

  std::vector<bool> ZeroColumns() const {
    std::vector<bool> zero(static_cast<std::size_t>(problem_.b.count), false);
    for (std::size_t c = 0; c < levels_.b_squares.size(); ++c) {
      zero[c] = levels_.b_squares[c] == 0.0;
    }
    return zero;
  }

  std::vector<Termination> Terminations(StopReason why) const {
    std::vector<Termination> terminations;
    for (std::size_t c = 0; c < levels_.limited.size(); ++c) {
      terminations.push_back(
          TerminationOf({.zero_right_side = levels_.b_squares[c] == 0.0,
                         .judged_residual = Judged()[c],
                         .residual_floor = certificate_.residual_floor[c],
                         .forward_error = certificate_.forward_error[c],
                         .beyond_format = BeyondFormat(c),
                         .limited = levels_.limited[c],
                         .stopped = why},
                        Tolerance(c), problem_.exponent));
    }
    return terminations;
  }

  void Report(std::string_view phase, double part,
              std::optional<double> residual = std::nullopt) const {
    if (goal_.report) goal_.report(phase, part, residual);
  }

  const PowerProblem& problem_;
  const SliceGoal& goal_;
  const ComputeContext& context_;
  ScaledBlock start_;
  Levels levels_;
  Certificate certificate_;
  std::vector<double> row_space_error_;  // a column
  double log2_unit_ = kLog2Unit;         // of the certificate
};

}  // namespace

absl::StatusOr<SliceAnswer> SolveSlice(const PowerProblem& problem,
                                       const SliceGoal& goal,
                                       const ComputeContext& context) {
  return SliceSolver(problem, goal, context).Run();
}

SliceAnswer ZeroAnswer(const std::vector<bool>& b_is_zero, bool odd,
                       StopReason why) {
  SliceAnswer answer;
  std::vector<double> ones;
  std::vector<double> zeros(b_is_zero.size(), 0.0);
  for (const bool zero : b_is_zero) {
    ones.push_back(zero ? 0.0 : 1.0);
    answer.terminations.push_back(TerminationOf({.zero_right_side = zero,
                                                 .judged_residual = 1.0,
                                                 .residual_floor = 0.0,
                                                 .forward_error = 1.0,
                                                 .beyond_format = false,
                                                 .limited = false,
                                                 .stopped = why},
                                                0.0, 0));
  }
  answer.certificate = {.relative_residual = ones,
                        .excess_residual = odd ? ones : std::vector<double>(),
                        .residual_floor = zeros,
                        .backward_error = ones,
                        .optimality = ones,
                        .forward_error = ones};
  return answer;
}

}  // namespace steelyard
