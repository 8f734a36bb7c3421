#include "preconditioner/choose_preconditioner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "linalg/stopped.h"
#include "preconditioner/factor_work.h"
#include "preconditioner/polynomial_sketch.h"
#include "preconditioner/probe.h"
#include "preconditioner/random_pivots.h"

namespace steelyard {
namespace {

constexpr double kGoal = 1e-8;
constexpr double kIterationsMax = 1e4;
constexpr int kJacobiSteps = 2;
// Jacobi that leaves more of the residual than this in one step takes many.
constexpr double kJacobiHope = 0.5;
// Jacobi that takes no more than these is not worth a look at another.
constexpr double kFewIterations = 10.0;
// Price of the first factors, in products.
constexpr double kFirstPrice = 0.5;
constexpr int kStepsMin = 4;
constexpr int kStepsToTell = 2;
constexpr int kStepsMax = 16;
// Of the steps that are expected, to expect better.
constexpr double kProbing = 0.12;
constexpr double kProbingOfPrice = 0.36;
constexpr double kProbingLeast = 6.0;
// A larger factor is not expected to take less than this part of the steps.
constexpr double kLeastOfSteps = 0.3;
// Steps that are expected rightly from a few; and of what is left of the
// diagonal with one factor and another.
constexpr double kNearSteps = 20.0;
constexpr double kMuchMore = 1.5;
constexpr double kFarMore = 3.0;
// What pivots leave counts more: some directions of it stand out, where that of
// monomials is even.
constexpr double kOfPivots = 1.4;
// Of the steps that are expected with one kind, to prefer another.
constexpr double kFewer = 0.8;
// A factor may take as many times the steps that it promises.
constexpr double kDoubt = 1.3;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double ContractionOf(const std::vector<double>& residuals) {
  const auto steps = static_cast<double>(residuals.size() - 1);
  if (steps == 0.0) return 1.0;
  return std::pow(std::max(residuals.back(), 1e-300), 1.0 / steps);
}

// A factor that may be made next.
struct Candidate {
  KernelPreconditioner kind = KernelPreconditioner::kRpCholesky;
  Index rank = 0;
  double price = 0.0;     // of making it, in products
  double leftover = 1.0;  // of the diagonal, with it: an estimate
  double expected = 0.0;  // steps, in proportion to that
  double profit = 0.0;    // products that it saves, all told
};

// A factor that was made.
struct Trial {
  std::shared_ptr<const Preconditioner> preconditioner;
  Index run = 0;  // of the probe
  double leftover = 1.0;
  double seconds = 0.0;
};

// What is known of the last factor of a kind.
struct Seen {
  double leftover = 1.0;
  double expected = kIterationsMax;
};

// Steps with a factor over those with one that leaves `before` of the diagonal.
double RatioOfSteps(double leftover, double before) {
  // Where little of the diagonal is taken, what is taken is the most of some
  // directions.
  const double power = 1.0 + 2.0 * std::min(1.0, before);
  return std::max(kLeastOfSteps, std::pow(leftover / before, power));
}

class Chooser {
 public:
  Chooser(const PreconditionerSource& source,
          const PreconditionerLimits& limits, const ComputeContext& context)
      : source_(source),
        limits_(limits),
        context_(context),
        probe_(source, StepPrecision(source)),
        work_(source) {}

  absl::StatusOr<PreconditionerChoice> Any() {
    absl::Status done = TryJacobi();
    if (!done.ok()) return done;
    if (choice_.iterations_expected <= kFewIterations) {
      choice_.reason = absl::StrFormat(
          "Jacobi: some %.0f steps are expected, no more are worth a factor",
          choice_.iterations_expected);
    } else if (RankMax(kPivots) == 0) {
      choice_.reason = "Jacobi: no memory for a factor";
    } else {
      done = Climb({kPivots, kMonomials});
      if (!done.ok()) return done;
    }
    return Finish();
  }

  absl::StatusOr<PreconditionerChoice> Only(KernelPreconditioner kind) {
    if (kind == KernelPreconditioner::kNone ||
        kind == KernelPreconditioner::kJacobi) {
      auto made = MakePreconditioner(kind, 0, source_, context_);
      if (!made.ok()) return made.status();
      choice_.preconditioner = *std::move(made);
      choice_.reason = "as asked for";
      return std::move(choice_);
    }
    named_ = true;
    absl::Status done = Climb({kind});
    if (!done.ok()) return done;
    return Finish();
  }

 private:
  static constexpr auto kPivots = KernelPreconditioner::kRpCholesky;
  static constexpr auto kMonomials = KernelPreconditioner::kPolynomialSketch;

  PreconditionerChoice Finish() {
    choice_.products = built_products_ + probe_.products();
    return std::move(choice_);
  }

  absl::Status TryJacobi() {
    auto made =
        MakePreconditioner(KernelPreconditioner::kJacobi, 0, source_, context_);
    if (!made.ok()) return made.status();
    Trial jacobi{.preconditioner = *std::move(made)};
    const absl::StatusOr<Index> run =
        probe_.Add(*jacobi.preconditioner, context_);
    if (!run.ok()) return run.status();
    jacobi.run = *run;
    for (int step = 0; step < kJacobiSteps; ++step) {
      absl::Status done = probe_.Step({*run}, context_);
      if (!done.ok()) return done;
      const double residual = probe_.run(*run).residuals.back();
      if (residual <= kGoal || residual > kJacobiHope) break;
    }
    Record(jacobi);
    Keep(jacobi, Expected(*run));
    return absl::OkStatus();
  }

  // The first factors; then what promises most, until nothing promises more
  // than it costs.
  absl::Status Climb(const std::vector<KernelPreconditioner>& kinds) {
    if (limits_.keep_tiles) source_.product.KeepTiles();
    const absl::StatusOr<std::vector<Trial>> first = FirstTrials(kinds);
    if (!first.ok()) return first.status();
    absl::Status done = Race(*first, Best(kinds), false);
    while (done.ok()) {
      const std::optional<Candidate> next = Best(kinds);
      if (!next.has_value() || next->profit <= 0.0) {
        Explain(next);
        break;
      }
      absl::StatusOr<Trial> made = Make(next->kind, next->rank, next->expected);
      if (!made.ok()) return made.status();
      const std::optional<Candidate> after = Best(kinds);
      const bool last = choice_.preconditioner->kind() == next->kind &&
                        choice_.trials.back().iterations >= kStepsMin &&
                        !PaysAfter(*next, after);
      done = Race({*std::move(made)}, after, last);
      if (last) {
        choice_.iterations_expected =
            std::min(choice_.iterations_expected, next->expected);
      }
    }
    return done;
  }

  // Whether `after` is worth its price where `next` keeps its promise.
  static bool PaysAfter(const Candidate& next,
                        const std::optional<Candidate>& after) {
    if (!after.has_value()) return false;
    const double ratio =
        std::clamp(after->leftover / next.leftover, kLeastOfSteps, 1.0);
    return kDoubt * next.expected * (1.0 - ratio) > after->price + kStepsMin;
  }

  // A factor of each kind, but for one that leaves far more than the other.
  absl::StatusOr<std::vector<Trial>> FirstTrials(
      const std::vector<KernelPreconditioner>& kinds) {
    const bool both = kinds.size() > 1;
    std::vector<KernelPreconditioner> wanted = kinds;
    const Index level = both ? FirstRank(kMonomials) : 0;
    if (both && level == 0) wanted = {kPivots};
    if (level > 0) {
      absl::Status done = GrowPivots(FirstRank(kPivots));
      if (!done.ok()) return done;
      const double by_level = work_.LeftByMonomials(level);
      const double by_pivots = LeftoverOfPivots(pivots_->columns());
      const bool near = choice_.iterations_expected <= kNearSteps;
      if (!near && by_level > kFarMore * by_pivots) wanted = {kPivots};
      if (!near && by_pivots > kFarMore * by_level) wanted = {kMonomials};
      if (FirstRank(kMonomials) < level) {  // no memory for both
        wanted = {by_level < by_pivots ? kMonomials : kPivots};
        if (wanted.front() == kMonomials) pivots_.reset();
      }
      pivot_rank_ = FirstRank(kPivots);
      monomial_rank_ = level;
    }
    std::vector<Trial> trials;
    for (const KernelPreconditioner kind : wanted) {
      absl::StatusOr<Trial> made = Make(kind, FirstRank(kind), kIterationsMax);
      if (!made.ok()) return made.status();
      trials.push_back(*std::move(made));
    }
    return trials;
  }

  // Steps of all of them, fewer where `after` pays by far, more where its price
  // is high. Keeps the best of them and of what there is.
  absl::Status Race(const std::vector<Trial>& trials,
                    const std::optional<Candidate>& after,
                    bool for_the_record) {
    std::vector<Index> runs;
    for (const Trial& trial : trials) runs.push_back(trial.run);
    const int steps = for_the_record ? 1 : kStepsMax;
    for (int step = 1; step <= steps; ++step) {
      absl::Status done = probe_.Step(runs, context_);
      if (!done.ok()) return done;
      double expected = kIterationsMax;
      bool over = false;
      for (const Index run : runs) {
        expected = std::min(expected, Expected(run));
        over |= probe_.run(run).residuals.back() <= std::sqrt(kGoal);
      }
      const double gain = Gain(trials, expected, after);
      const double cost = after.has_value() ? after->price + kStepsMin : 0.0;
      const bool never = IsGrown(trials[0]) && 1.5 * gain < cost;
      if (over || (step >= kStepsToTell && 0.5 * gain > 1.5 * cost) ||
          (step >= kStepsMin && (never || step >= Wanted(expected, after)))) {
        break;
      }
    }
    for (const Trial& trial : trials) {
      Record(trial);
      const double expected = Expected(trial.run);
      const bool grown =
          choice_.preconditioner != nullptr &&
          choice_.preconditioner->kind() == trial.preconditioner->kind();
      // More of the same takes fewer steps, whatever some steps of either seem
      // to say; Jacobi's own first ones say too much.
      if (choice_.preconditioner == nullptr || grown ||
          choice_.preconditioner->rank() == 0 || Beats(trial, expected)) {
        Keep(trial, grown ? Believed(expected, for_the_record) : expected);
      }
      SeenOf(trial.preconditioner->kind()) = {
          .leftover = trial.leftover,
          .expected = for_the_record ? choice_.iterations_expected : expected};
    }
    return absl::OkStatus();
  }

  // Of a choice that was grown: steps that seem more than before, if that was
  // no accident of a single one, mean that it had promised too much.
  double Believed(double expected, bool for_the_record) const {
    const double before = choice_.iterations_expected;
    if (expected < before) return expected;
    return for_the_record ? before : std::sqrt(expected * before);
  }

  static double Wanted(double expected, const std::optional<Candidate>& after) {
    const double price = after.has_value() ? after->price : 0.0;
    return std::min(kProbing * expected,
                    std::max(kProbingLeast, kProbingOfPrice * price));
  }

  // Steps that `after` would save of those that are expected with the trials.
  static double Gain(const std::vector<Trial>& trials, double expected,
                     const std::optional<Candidate>& after) {
    if (!after.has_value()) return 0.0;
    double left = 1.0;
    for (const Trial& trial : trials) left = std::min(left, trial.leftover);
    const double ratio = after->leftover / left;
    return expected * (1.0 - std::clamp(ratio, kLeastOfSteps, 1.0));
  }

  // More of the kind that is the choice.
  bool IsGrown(const Trial& trial) const {
    return choice_.preconditioner != nullptr &&
           choice_.preconditioner->kind() == trial.preconditioner->kind();
  }

  // A factor of another kind than the choice. The first steps take away what
  // stands out, the more the less was taken before: unless the end is near,
  // they are believed of what leaves as little only.
  bool Beats(const Trial& trial, double expected) const {
    const double now = choice_.iterations_expected;
    double left = trial.leftover / leftover_;
    if (std::min(expected, now) <= kNearSteps) left = 1.0;
    if (left > kMuchMore) return false;
    const double believed = (left < 1.0 / kFarMore ? 2.0 : kFewer) * now;
    return work_.ProductsOfSteps(expected, trial.preconditioner->kind(),
                                 trial.preconditioner->rank()) <
           work_.ProductsOfSteps(believed, choice_.preconditioner->kind(),
                                 choice_.preconditioner->rank());
  }

  void Keep(const Trial& trial, double expected) {
    choice_.preconditioner = trial.preconditioner;
    choice_.iterations_expected = expected;
    leftover_ = trial.leftover;
  }

  std::optional<Candidate> Best(
      const std::vector<KernelPreconditioner>& kinds) {
    std::optional<Candidate> best;
    if (choice_.preconditioner == nullptr) return best;
    for (const KernelPreconditioner kind : kinds) {
      const std::optional<Candidate> next =
          kind == kPivots ? MorePivots() : MoreMonomials();
      if (!next.has_value()) continue;
      if (!best.has_value() || next->profit > best->profit) best = next;
    }
    return best;
  }

  std::optional<Candidate> MorePivots() {
    const Index most = RankMax(kPivots);
    if (!pivots_.has_value() || pivots_->complete() || most <= pivot_rank_) {
      return std::nullopt;
    }
    // What is left falls by as much again when the rank is doubled.
    const double left = LeftoverOfPivots(pivot_rank_);
    const double fall = left / LeftoverOfPivots((pivot_rank_ + 1) / 2);
    std::optional<Candidate> best;
    for (const double growth : {std::sqrt(2.0), 2.0, 4.0}) {
      const auto grown = static_cast<Index>(
          std::lround(growth * static_cast<double>(pivot_rank_)));
      const Index rank = std::min(most, std::max(pivot_rank_ + 1, grown));
      const Candidate next =
          Promise({.kind = kPivots,
                   .rank = rank,
                   .price = work_.ProductsToGrow(pivot_rank_, rank) +
                            work_.ProductsToInvert(kPivots, rank),
                   .leftover = left * std::pow(fall, std::log2(growth))});
      if (!best.has_value() || next.profit > best->profit) best = next;
    }
    return best;
  }

  std::optional<Candidate> MoreMonomials() {
    const Index rank = NextLevel(monomial_rank_, 0.0);
    if (rank == 0 || monomial_rank_ == 0) return std::nullopt;
    return Promise({.kind = kMonomials,
                    .rank = rank,
                    .price = work_.ProductsOfSketch(rank),
                    .leftover = work_.LeftByMonomials(rank)});
  }

  std::optional<Seen>& SeenOf(KernelPreconditioner kind) {
    return kind == kPivots ? seen_pivots_ : seen_monomials_;
  }

  Candidate Promise(Candidate candidate) {
    const bool other = candidate.kind != choice_.preconditioner->kind() &&
                       choice_.preconditioner->rank() > 0;
    const std::optional<Seen>& own = SeenOf(candidate.kind);
    const double steps = choice_.iterations_expected;
    candidate.expected =
        own.has_value() ? std::min(own->expected, steps) *
                              RatioOfSteps(candidate.leftover, own->leftover)
                        : steps * RatioOfSteps(candidate.leftover, leftover_);
    if (other) {
      // Nor fewer than what it leaves beside the choice allows.
      const double left = candidate.kind == kPivots
                              ? candidate.leftover / kOfPivots
                              : candidate.leftover * kOfPivots;
      candidate.expected =
          std::max(candidate.expected, steps * RatioOfSteps(left, leftover_));
    }
    candidate.profit = BestRemaining() -
                       work_.ProductsOfSteps(candidate.expected, candidate.kind,
                                             candidate.rank) -
                       candidate.price - kStepsMin;
    return candidate;
  }

  Index FirstRank(KernelPreconditioner kind) {
    const Index most = RankMax(kind);
    if (kind == kPivots) {
      return std::min(most, work_.PivotsFor(kFirstPrice));
    }
    if (LargestSquare(source_.rows) > kTaylorSquareMax && !named_) return 0;
    const Index level = NextLevel(0, kFirstPrice);
    // Less than the level of the rows themselves: sketched.
    return level == 0 && named_ ? most : level;
  }

  // Columns with one more level than `rank` of them, and with all that cost no
  // more than `price`; 0: there are none.
  Index NextLevel(Index rank, double price) {
    Index next = 0;
    for (const Index columns :
         ExactColumns(source_.rows, RankMax(kMonomials))) {
      if (columns <= std::max<Index>(1, rank)) continue;
      if (next > 0 && work_.ProductsOfSketch(columns) > price) break;
      next = columns;
    }
    return next;
  }

  // Columns that memory allows beside what is held of the other kind.
  Index RankMax(KernelPreconditioner kind) {
    double held = 0.0;
    if (kind != kPivots && pivots_.has_value()) {
      held = static_cast<double>(pivots_->Factor(pivots_->columns()).bytes());
    }
    if (kind == kPivots && choice_.preconditioner != nullptr &&
        choice_.preconditioner->kind() != kind) {
      held = static_cast<double>(choice_.preconditioner->bytes());
    }
    const Index n = source_.rows.rows();
    const double bytes = limits_.bytes - held;
    const Index fits = kind == kPivots
                           ? LargestRank(bytes, n, source_.rows.cols(), 1)
                           : LargestSketch(bytes, source_);
    const Index most = std::min(fits, limits_.max_rank.value_or(n));
    return named_ ? std::max<Index>(1, most) : most;
  }

  // A factor that promises some steps, with a run of its own; its flops are
  // counted.
  absl::StatusOr<Trial> Make(KernelPreconditioner kind, Index rank,
                             double promised) {
    const Clock::time_point start = Clock::now();
    Trial trial;
    auto made = kind == kPivots
                    ? MakePivots(rank)
                    : MakePreconditioner(kind, rank, source_, context_);
    if (!made.ok()) return made.status();
    trial.preconditioner = *std::move(made);
    if (kind == kPivots) {
      pivot_rank_ = rank;
      trial.leftover = LeftoverOfPivots(trial.preconditioner->rank());
    } else {
      built_products_ += work_.ProductsOfSketch(rank);
      monomial_rank_ = rank;
      trial.leftover = work_.LeftByMonomials(rank);
    }
    SeenOf(kind) = {.leftover = trial.leftover, .expected = promised};
    trial.seconds = SecondsSince(start);
    const absl::StatusOr<Index> run =
        probe_.Add(*trial.preconditioner, context_);
    if (!run.ok()) return run.status();
    trial.run = *run;
    return trial;
  }

  absl::StatusOr<std::unique_ptr<Preconditioner>> MakePivots(Index rank) {
    if (absl::Status done = GrowPivots(rank); !done.ok()) return done;
    built_products_ +=
        work_.ProductsToInvert(kPivots, std::min(rank, pivots_->columns()));
    return MakeRpCholesky(*pivots_, rank, source_, context_);
  }

  absl::Status GrowPivots(Index rank) {
    if (!pivots_.has_value()) pivots_.emplace(source_);
    const Index before = pivots_->columns();
    if (before >= rank) return absl::OkStatus();
    absl::Status done = pivots_->Grow(rank, context_);
    built_products_ += work_.ProductsToGrow(before, pivots_->columns());
    return done;
  }

  double LeftoverOfPivots(Index rank) const {
    return kOfPivots *
           work_.LeftOf(pivots_->Rest(std::min(rank, pivots_->columns())));
  }

  double BestRemaining() const {
    return work_.ProductsOfSteps(choice_.iterations_expected,
                                 choice_.preconditioner->kind(),
                                 choice_.preconditioner->rank());
  }

  void Explain(const std::optional<Candidate>& next) {
    choice_.reason = absl::StrFormat(
        "%s of rank %d: some %.0f steps are expected; ",
        NameOf(choice_.preconditioner->kind()), choice_.preconditioner->rank(),
        choice_.iterations_expected);
    choice_.reason += next.has_value()
                          ? absl::StrFormat(
                                "%s of rank %d would cost %.1f products and "
                                "leave some %.0f steps",
                                NameOf(next->kind), next->rank,
                                next->price + kStepsMin, next->expected)
                          : "there is no larger factor, or no memory for one";
  }

  double Expected(Index run) const {
    return IterationsExpected(probe_.run(run).residuals, probe_.run(run).norms);
  }

  void Record(const Trial& trial) {
    const std::vector<double>& residuals = probe_.run(trial.run).residuals;
    choice_.trials.push_back(
        {.preconditioner = trial.preconditioner->kind(),
         .rank = trial.preconditioner->rank(),
         .iterations = static_cast<int>(residuals.size()) - 1,
         .contraction = ContractionOf(residuals),
         .build_seconds = trial.seconds});
  }

  const PreconditionerSource& source_;
  const PreconditionerLimits& limits_;
  const ComputeContext& context_;
  Probe probe_;
  FactorWork work_;
  std::optional<RandomPivots> pivots_;
  Index pivot_rank_ = 0;
  Index monomial_rank_ = 0;
  PreconditionerChoice choice_;
  double leftover_ = 1.0;  // of the diagonal, with the choice
  std::optional<Seen> seen_pivots_;
  std::optional<Seen> seen_monomials_;
  double built_products_ = 0.0;
  bool named_ = false;  // one kind alone
};

}  // namespace

double IterationsExpected(const std::vector<double>& residuals,
                          const std::vector<double>& norms) {
  for (std::size_t step = 0; step < residuals.size(); ++step) {
    if (residuals[step] <= kGoal) return static_cast<double>(step);
  }
  const std::size_t steps = residuals.size() - 1;
  // At the rate of the later half, or of all steps where that one did not fall.
  for (const std::size_t from : {steps / 2, std::size_t{0}}) {
    if (from == steps) continue;
    const double fallen = std::log(norms[from] / norms[steps]);
    if (!(fallen > 0.0)) continue;
    const double rate = fallen / static_cast<double>(steps - from);
    return std::min(
        kIterationsMax,
        static_cast<double>(steps) + std::log(residuals[steps] / kGoal) / rate);
  }
  return kIterationsMax;
}

absl::StatusOr<PreconditionerChoice> ChoosePreconditioner(
    const PreconditionerSource& source, const PreconditionerLimits& limits,
    const ComputeContext& context) {
  Chooser chooser(source, limits, context);
  return limits.kind.has_value() ? chooser.Only(*limits.kind) : chooser.Any();
}

}  // namespace steelyard
