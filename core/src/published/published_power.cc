#include "published/published_power.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "factor/row_loader.h"
#include "linalg/stopped.h"
#include "power/answer.h"
#include "power/certificate.h"
#include "power/phase_progress.h"
#include "power/power_factor.h"
#include "power/power_shape.h"
#include "power/termination.h"
#include "power/together.h"
#include "published/fixed_step_solver.h"
#include "published/sketched_triangle.h"
#include "steelyard/random.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr double kLog2Unit = -53.0;
// Without a tolerance: |g| falls as far as it can.
constexpr double kLeastReduction = 0x1p-52;
// Rounds of steps for the residual of the family, after the paper's end.
constexpr int kRoundsMax = 8;
constexpr double kMostTightened = 1e-6;
constexpr double kUncertifiable = 0.1;
// ||A||: power iterations with R of the sketch, then with A.
constexpr int kSketchedProducts = 64;
constexpr int kProducts = 6;
constexpr Seed kNormSeed{0x5359};
// Rows of b between two looks at the stop token.
constexpr Index kRowsALook = 4096;
// Steps that a cost counts for a level, and passes of its certificate.
constexpr double kStepsOfCost = 80.0;

// Steps of every level, of the column that took the most.
struct StepsTaken {
  std::vector<int> by_paper;
  std::vector<int> in_all;

  void Count(std::size_t level, bool first_round,
             const std::vector<int>& steps) {
    if (level >= in_all.size()) {
      by_paper.resize(level + 1, 0);
      in_all.resize(level + 1, 0);
    }
    const int most = *std::max_element(steps.begin(), steps.end());
    if (first_round) by_paper[level] = std::max(by_paper[level], most);
    in_all[level] += most;
  }
};

// One slice of right-hand sides through all levels, round after round.
class PublishedSlice {
 public:
  PublishedSlice(const PowerProblem& problem, const FixedStepSolver& solver,
                 const PowerRegressionOptions& options, const Format& format,
                 double condition, const ComputeContext& context)
      : problem_(problem),
        solver_(solver),
        options_(options),
        format_(format),
        condition_(condition),
        context_(context),
        reduction_(static_cast<std::size_t>(problem.b.count),
                   options.tolerance.value_or(kLeastReduction)) {}

  absl::StatusOr<SliceAnswer> Run() {
    absl::Status done = Solve();
    StopReason why = StopReason::kNone;
    if (absl::IsAborted(done)) {
      why = context_.stop.reason();
      if (!answer_) return ZeroAnswer(ZeroColumns(), problem_.odd, why);
    } else if (!done.ok()) {
      return done;
    }
    answer_->terminations = Terminations(why);
    return *std::move(answer_);
  }

  const StepsTaken& steps() const { return steps_; }

 private:
  absl::Status Solve() {
    absl::StatusOr<ScaledBlock> start =
        StartingBlock(problem_, levels_, context_);
    if (!start.ok()) return start.status();
    start_ = *std::move(start);
    const auto columns = static_cast<std::size_t>(problem_.b.count);
    levels_.refinements.assign(columns, 0);
    for (int round = 0; round < kRoundsMax; ++round) {
      levels_.limited.assign(columns, false);
      stalled_.assign(columns, false);
      for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
        absl::Status done = SolveLevel(i, round == 0);
        if (!done.ok()) return done;
      }
      absl::Status done = Measure();
      if (!done.ok() || !Tighten()) return done;
    }
    return absl::OkStatus();
  }

  absl::Status SolveLevel(int level, bool first_round) {
    const ScaledBlock w = RightSideOfLevel(problem_, level, start_, levels_);
    ScaledBlock& z = levels_.z[static_cast<std::size_t>(level)];
    if (z.hi.empty()) z = ScaledBlock(w.rows(), w.cols());
    MoveExponents(w.exponents, z);
    const auto b = level == 0 ? std::optional(problem_.b) : std::nullopt;
    const absl::StatusOr<StepOutcome> outcome = solver_.Run(
        w.hi, b,
        {.reduction = reduction_, .steps_max = problem_.refinements_max}, z.hi,
        context_);
    if (!outcome.ok()) return outcome.status();
    for (std::size_t c = 0; c < outcome->steps.size(); ++c) {
      levels_.refinements[c] += outcome->steps[c];
      if (outcome->limited[c]) levels_.limited[c] = true;
      if (outcome->stalled[c]) stalled_[c] = true;
    }
    steps_.Count(static_cast<std::size_t>(level - FirstLevel(problem_)),
                 first_round, outcome->steps);
    return absl::OkStatus();
  }

  // z with other exponents.
  static void MoveExponents(const std::vector<std::int64_t>& to,
                            ScaledBlock& z) {
    for (Index c = 0; c < z.cols(); ++c) {
      const auto at = static_cast<std::size_t>(c);
      const auto shift = static_cast<int>(
          std::clamp<std::int64_t>(z.exponents[at] - to[at], -4000, 4000));
      for (Index i = 0; shift != 0 && i < z.rows(); ++i) {
        z.hi(i, c) = std::ldexp(z.hi(i, c), shift);
      }
    }
    z.exponents = to;
  }

  // A complete answer from the levels as they stand.
  absl::Status Measure() {
    for (int i = FirstLevel(problem_); i <= problem_.exponent; ++i) {
      absl::Status done = MeasureLevel(problem_, i, start_, levels_, context_);
      if (!done.ok()) return done;
    }
    absl::StatusOr<Certificate> certificate =
        Certify(problem_, levels_, format_, context_);
    if (!certificate.ok()) return certificate.status();
    answer_.emplace();
    answer_->x = levels_.z.back();
    answer_->certificate = *std::move(certificate);
    answer_->refinements = levels_.refinements;
    limited_ = levels_.limited;
    return absl::OkStatus();
  }

  // Where more steps may bring a residual below its tolerance: goals for
  // another round.
  bool Tighten() {
    bool any = false;
    for (std::size_t c = 0; c < reduction_.size(); ++c) {
      const double judged = Judged()[c];
      const double tolerance = Tolerance(c);
      if (!options_.tolerance || judged <= tolerance || stalled_[c] ||
          levels_.limited[c] || levels_.b_squares[c] == 0.0) {
        continue;
      }
      reduction_[c] *=
          std::clamp(0.25 * tolerance / judged, kMostTightened, 0.25);
      any = any || reduction_[c] >= 0.25 * kLeastReduction;
    }
    return any;
  }

  const std::vector<double>& Judged() const {
    return problem_.odd ? answer_->certificate.excess_residual
                        : answer_->certificate.relative_residual;
  }

  double Tolerance(std::size_t c) const {
    return ToleranceOf(options_.tolerance, problem_.exponent,
                       answer_->certificate.residual_floor[c]);
  }

  std::vector<bool> ZeroColumns() const {
    std::vector<bool> zero(static_cast<std::size_t>(problem_.b.count), false);
    for (std::size_t c = 0; c < levels_.b_squares.size(); ++c) {
      zero[c] = levels_.b_squares[c] == 0.0;
    }
    return zero;
  }

  std::vector<Termination> Terminations(StopReason why) const {
    const bool beyond =
        std::max(problem_.exponent, 1) * condition_ * kUnitRoundoff >=
        kUncertifiable;
    const Certificate& certificate = answer_->certificate;
    std::vector<Termination> terminations;
    for (std::size_t c = 0; c < limited_.size(); ++c) {
      terminations.push_back(
          TerminationOf({.zero_right_side = levels_.b_squares[c] == 0.0,
                         .judged_residual = Judged()[c],
                         .residual_floor = certificate.residual_floor[c],
                         .forward_error = certificate.forward_error[c],
                         .beyond_format = beyond,
                         .limited = limited_[c],
                         .stopped = why},
                        Tolerance(c), problem_.exponent));
    }
    return terminations;
  }

  const PowerProblem& problem_;
  const FixedStepSolver& solver_;
  const PowerRegressionOptions& options_;
  const Format format_;
  const double condition_;
  const ComputeContext& context_;
  std::vector<double> reduction_;
  ScaledBlock start_;
  Levels levels_;
  std::vector<bool> stalled_;
  std::vector<bool> limited_;  // of the answer
  std::optional<SliceAnswer> answer_;
  StepsTaken steps_;
};

// log2 ||A||, from below: the sketch's largest direction, then A itself.
absl::StatusOr<double> Log2Norm(const FixedStepSolver& solver,
                                const std::vector<int>& exponents,
                                const ComputeContext& context) {
  const int top = *std::max_element(exponents.begin(), exponents.end());
  Matrix<double> q(static_cast<Index>(exponents.size()), 1);
  for (Index i = 0; i < q.rows(); ++i) {
    q(i, 0) = RandomStream{kNormSeed}.Normal(static_cast<std::uint64_t>(i));
  }
  const auto scale = [&] {
    for (Index i = 0; i < q.rows(); ++i) {
      q(i, 0) =
          std::ldexp(q(i, 0), exponents[static_cast<std::size_t>(i)] - top);
    }
  };
  double norm = 0.0;
  for (int step = 0; step < kSketchedProducts + kProducts; ++step) {
    norm = 0.0;
    for (Index i = 0; i < q.rows(); ++i) norm = std::hypot(norm, q(i, 0));
    if (norm == 0.0) break;
    for (Index i = 0; i < q.rows(); ++i) q(i, 0) /= norm;
    scale();
    absl::Status done = step < kSketchedProducts
                            ? solver.GramSolver::MultiplyGram(q, context)
                            : solver.MultiplyGram(q, context);
    if (!done.ok()) return done;
    scale();
  }
  norm = 0.0;
  for (Index i = 0; i < q.rows(); ++i) norm = std::hypot(norm, q(i, 0));
  return 0.5 * std::log2(norm) + top;
}

class PublishedRegression {
 public:
  PublishedRegression(const DenseOrCsr& a, const AnyMatrixView& b,
                      const PowerRegressionOptions& options,
                      const ComputeContext& context)
      : a_{a, {}},
        b_{b, {}},
        options_(options),
        odd_(options.family == PowerFamily::kLeftGramPower),
        progress_(context),
        context_{context.workers, context.stop, progress_.Sink()} {}

  absl::StatusOr<Solution> Run() {
    PowerAnswer answer(Cols(a_.view), Cols(b_.view), odd_);
    absl::Status done = Prepare();
    if (done.ok() && triangle_.factor.rank < Cols(a_.view)) return Deficient();
    if (done.ok()) done = Solve(answer);
    if (absl::IsAborted(done)) {
      return std::move(answer).Stopped(context_.stop.reason());
    }
    if (!done.ok()) return done;
    return Finished(std::move(answer));
  }

 private:
  absl::Status Prepare() {
    progress_.Enter("scan", 0.0, 0.05);
    const auto scales = ScanMatrix(a_.view, "a", context_);
    if (!scales.ok()) return scales.status();
    absl::StatusOr<ColumnScales> b_scales = ScanColumns(b_.view, "b", context_);
    if (!b_scales.ok()) return b_scales.status();
    b_.exponents = std::move(b_scales->exponents);
    progress_.Enter("factor", 0.05, 0.3);
    const SketchPlan plan = SketchFor(a_.view, options_.sketch, options_.seed);
    absl::StatusOr<SketchedTriangle> triangle =
        SketchTriangle(a_.view, *scales, plan, options_.ridge, context_);
    if (!triangle.ok()) return triangle.status();
    triangle_ = *std::move(triangle);
    a_.exponents = triangle_.factor.scales.exponents;
    return absl::OkStatus();
  }

  absl::Status Solve(PowerAnswer& answer) {
    const FixedStepSolver solver(a_, triangle_.ridge_diagonal, triangle_.factor,
                                 triangle_.distortion);
    step_ = solver.step();
    const absl::StatusOr<double> norm =
        Log2Norm(solver, a_.exponents, context_);
    if (!norm.ok()) return norm.status();
    const Index k = Cols(b_.view);
    for (Index first = 0; first < k; first += SliceColumns()) {
      const Index count = std::min(SliceColumns(), k - first);
      const auto part = [&](Index column) {
        return 0.3 + 0.7 * static_cast<double>(column) / static_cast<double>(k);
      };
      progress_.Enter("iterate", part(first), part(first + count));
      const PowerProblem problem{
          .a = a_,
          .ridge_diagonal = triangle_.ridge_diagonal,
          .solver = solver,
          .b = {b_, first, count},
          .odd = odd_,
          .exponent = options_.exponent,
          .refinements_max = options_.max_iterations,
      };
      PublishedSlice slice(problem, solver, options_, {kLog2Unit, *norm},
                           triangle_.factor.condition, context_);
      absl::StatusOr<SliceAnswer> solved = slice.Run();
      if (!solved.ok()) return solved.status();
      answer.Add(first, a_.exponents, *std::move(solved));
      Merge(slice.steps());
    }
    return absl::OkStatus();
  }

  void Merge(const StepsTaken& steps) {
    steps_.by_paper.resize(steps.by_paper.size(), 0);
    steps_.in_all.resize(steps.in_all.size(), 0);
    for (std::size_t i = 0; i < steps.in_all.size(); ++i) {
      steps_.by_paper[i] = std::max(steps_.by_paper[i], steps.by_paper[i]);
      steps_.in_all[i] = std::max(steps_.in_all[i], steps.in_all[i]);
    }
  }

  // No x is right to a digit: 0, which says so (and which is right for b = 0).
  absl::StatusOr<Solution> Deficient() {
    const Index k = Cols(b_.view);
    std::vector<bool> zero(static_cast<std::size_t>(k), true);
    const RowLoader rows(b_.view, b_.exponents);
    std::vector<double> row(zero.size());
    for (Index i = 0; i < rows.rows(); ++i) {
      if (i % kRowsALook == 0) {
        absl::Status done = CheckStop(context_.stop);
        if (absl::IsAborted(done)) break;
        if (!done.ok()) return done;
      }
      rows.Load(i, 0, {row.data(), 1, k, k});
      for (std::size_t c = 0; c < zero.size(); ++c) {
        zero[c] = zero[c] && row[c] == 0.0;
      }
    }
    SliceAnswer none = ZeroAnswer(zero, odd_, StopReason::kNone);
    none.refinements.assign(zero.size(), 0);
    PowerAnswer answer(Cols(a_.view), k, odd_);
    answer.Add(0, a_.exponents, std::move(none));
    Solution solution = Finished(std::move(answer));
    absl::StrAppend(&solution.report.method,
                    "; rank below d, for which [SYZ24] has no answer");
    return solution;
  }

  Solution Finished(PowerAnswer answer) const {
    Solution solution = std::move(answer).Finish(false);
    SolveReport& report = solution.report;
    const Factor& factor = triangle_.factor;
    report.rank = factor.rank;
    report.rank_gap = factor.rank_gap;
    report.condition_estimate = factor.condition;
    report.method = factor.description;
    if (!steps_.in_all.empty()) {
      absl::StrAppend(&report.method, "; steps of ", step_,
                      " on A R^-1 [SYZ24], by level: ",
                      absl::StrJoin(steps_.by_paper, ", "));
      if (steps_.in_all != steps_.by_paper) {
        absl::StrAppend(&report.method, "; with those for the residual: ",
                        absl::StrJoin(steps_.in_all, ", "));
      }
    }
    return solution;
  }

  ScaledMatrix a_;
  ScaledRightSides b_;
  const PowerRegressionOptions& options_;
  bool odd_;
  PhaseProgress progress_;
  ComputeContext context_;
  SketchedTriangle triangle_;
  double step_ = 1.0;
  StepsTaken steps_;
};

}  // namespace

absl::StatusOr<Solution> SolvePublished(const DenseOrCsr& a,
                                        const AnyMatrixView& b,
                                        const PowerRegressionOptions& options,
                                        const ComputeContext& context) {
  if (options.extended_output) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        "extended_output is true: the published method computes in float64",
        {.reason = "CONFLICTING_FIELDS",
         .field = "extended_output",
         .metadata = {}});
  }
  return PublishedRegression(a, b, options, context).Run();
}

Cost CostOfPublished(const PowerShape& shape,
                     const PowerRegressionOptions& options, int workers) {
  const auto real = [](Index i) { return static_cast<double>(i); };
  const Index nonzeros = shape.nonzeros.value_or(shape.n * shape.d);
  const SketchPlan plan =
      SketchFor(shape.n, shape.d, nonzeros, options.sketch, options.seed);
  Cost cost = CostOfSketchedTriangle(plan, shape.n, shape.d, nonzeros, workers);
  const Index slice = std::min(shape.k, SliceColumns());
  const double levels = options.exponent + 1.0;
  // z, rho, the answer of the round before, and blocks of a certificate.
  cost.bytes += 8.0 * real(shape.d) * real(slice) * (3.0 * levels + 20.0);
  cost.bytes += BytesOfPass(shape, slice, workers);
  // x, exponents, report.
  cost.bytes += 24.0 * real(shape.d) * real(shape.k) + 128.0 * real(shape.k);
  if (options.family == PowerFamily::kLeftGramPower && options.exponent == 0) {
    cost.flops += CostOfLeastSquaresErrors(shape.d, shape.k).flops;
    cost.bytes += CostOfLeastSquaresErrors(shape.d, slice).bytes;
  }
  cost.flops += levels * kStepsOfCost * real(shape.k) *
                (4.0 * real(nonzeros) + 4.0 * real(shape.d) * real(shape.d));
  return cost;
}

}  // namespace steelyard
