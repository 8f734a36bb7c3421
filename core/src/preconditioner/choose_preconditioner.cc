#include "preconditioner/choose_preconditioner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "linalg/stopped.h"
#include "preconditioner/polynomial_sketch.h"
#include "preconditioner/probe.h"
#include "preconditioner/random_pivots.h"

namespace steelyard {
namespace {

constexpr double kGoal = 1e-8;
constexpr double kIterationsMax = 1e4;
constexpr int kJacobiSteps = 2;
// Jacobi that takes no more than these is not worth the flops of another.
constexpr double kJacobiIterations = 10.0;
// Of the steps, by a doubled rank: a quarter to three quarters.
constexpr double kSaved = 0.4;
constexpr int kStepsMin = 4;
constexpr int kStepsMax = 16;
// Of the price of the next rank, on steps to find out whether it pays.
constexpr double kProbing = 0.125;

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double ContractionOf(const std::vector<double>& residuals) {
  const auto steps = static_cast<double>(residuals.size() - 1);
  if (steps == 0.0) return 1.0;
  return std::pow(std::max(residuals.back(), 1e-300), 1.0 / steps);
}

class Chooser {
 public:
  Chooser(const PreconditionerSource& source,
          const PreconditionerLimits& limits, const ComputeContext& context)
      : source_(source),
        context_(context),
        probe_(source, StepPrecision(source)) {
    const Index n = source.rows.rows();
    const Index d = source.rows.cols();
    product_flops_ = static_cast<double>(n) * static_cast<double>(n) *
                     static_cast<double>(d + 2);
    rank_max_ =
        std::min(LargestRank(limits.bytes, n, d, context.workers.count()),
                 limits.max_rank.value_or(n));
  }

  absl::StatusOr<PreconditionerChoice> Any() {
    absl::Status done = TryJacobi();
    if (!done.ok()) return done;
    if (choice_.iterations_expected <= kJacobiIterations) {
      choice_.reason = absl::StrFormat(
          "Jacobi: some %.0f steps are expected, no more are worth a factor",
          choice_.iterations_expected);
    } else if (rank_max_ == 0) {
      choice_.reason = "Jacobi: no memory for a factor";
    } else {
      done = Climb(KernelPreconditioner::kRpCholesky);
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
    rank_max_ = std::max<Index>(1, rank_max_);
    absl::Status done = Climb(kind);
    if (!done.ok()) return done;
    return Finish();
  }

 private:
  PreconditionerChoice Finish() {
    choice_.products = built_products_ + probe_.products();
    return std::move(choice_);
  }

  absl::Status TryJacobi() {
    auto made =
        MakePreconditioner(KernelPreconditioner::kJacobi, 0, source_, context_);
    if (!made.ok()) return made.status();
    choice_.preconditioner = *std::move(made);
    const absl::StatusOr<Index> run =
        probe_.Add(*choice_.preconditioner, context_);
    if (!run.ok()) return run.status();
    for (int step = 0; step < kJacobiSteps; ++step) {
      absl::Status done = probe_.Step({*run}, context_);
      if (!done.ok()) return done;
      if (probe_.run(*run).residuals.back() <= kGoal) break;
    }
    choice_.iterations_expected = Expected(*run);
    Record(*choice_.preconditioner, *run, 0.0);
    return absl::OkStatus();
  }

  double Expected(Index run) const {
    return IterationsExpected(probe_.run(run).residuals, probe_.run(run).norms);
  }

  void Record(const Preconditioner& preconditioner, Index run,
              double build_seconds) {
    const std::vector<double>& residuals = probe_.run(run).residuals;
    choice_.trials.push_back(
        {.preconditioner = preconditioner.kind(),
         .rank = preconditioner.rank(),
         .iterations = static_cast<int>(residuals.size()) - 1,
         .contraction = ContractionOf(residuals),
         .build_seconds = build_seconds});
  }

  // A factor of this rank; its flops are counted.
  absl::StatusOr<std::unique_ptr<Preconditioner>> Build(
      KernelPreconditioner kind, Index rank) {
    if (kind == KernelPreconditioner::kPolynomialSketch) {
      built_products_ += SketchProducts(rank);
      return MakePreconditioner(kind, rank, source_, context_);
    }
    if (!pivots_.has_value()) pivots_.emplace(source_);
    const Index before = pivots_->columns();
    absl::Status done = pivots_->Grow(rank, context_);
    if (!done.ok()) return done;
    built_products_ += GrowProducts(before, pivots_->columns()) +
                       InverseProducts(std::min(rank, pivots_->columns()));
    return MakeRpCholesky(*pivots_, rank, source_, context_);
  }

  // In products: columns of F from one rank to another.
  double GrowProducts(Index from, Index to) const {
    const double more = static_cast<double>(to - from);
    const double mean = static_cast<double>(to + from);
    const auto d = static_cast<double>(source_.rows.cols());
    return Rows() * more * (mean + 2.0 * d) / product_flops_;
  }

  // The small factor of Woodbury.
  double InverseProducts(Index rank) const {
    const auto r = static_cast<double>(rank);
    return r * r * (Rows() + r / 3.0) / product_flops_;
  }

  double SketchProducts(Index rank) const {
    return PlanTaylorFeatures(source_.rows, rank, source_.seed).flops /
               product_flops_ +
           InverseProducts(rank);
  }

  double NextProducts(KernelPreconditioner kind, Index from, Index to) const {
    return kind == KernelPreconditioner::kPolynomialSketch
               ? SketchProducts(to)
               : GrowProducts(from, to) + InverseProducts(to);
  }

  double Rows() const { return static_cast<double>(source_.rows.rows()); }

  absl::Status Climb(KernelPreconditioner kind) {
    // 2 n r^2 flops, 2 products.
    Index rank = std::clamp<Index>(
        static_cast<Index>(std::lround(std::sqrt(product_flops_ / Rows()))), 1,
        rank_max_);
    double before = kIterationsMax;  // expected with the rank before
    while (true) {
      const Clock::time_point start = Clock::now();
      absl::StatusOr<std::unique_ptr<Preconditioner>> made = Build(kind, rank);
      if (!made.ok()) return made.status();
      const double seconds = SecondsSince(start);
      const bool last = rank == rank_max_ || (*made)->rank() < rank ||
                        (pivots_.has_value() && pivots_->complete());
      const Index next = std::min(rank_max_, 2 * rank);
      const double price = last ? 0.0 : NextProducts(kind, rank, next) / kSaved;
      std::shared_ptr<const Preconditioner> now = *std::move(made);
      const absl::StatusOr<double> expected =
          ProbeRank(*now, price, seconds, before);
      if (!expected.ok()) return expected.status();
      Keep(std::move(now), *expected, last, price);
      if (last || *expected <= price) return absl::OkStatus();
      before = *expected;
      rank = next;
    }
  }

  // Steps that are expected with `now`; probed until that is clearly more or
  // less than `price`. Half the rank took `before`: where that is clearly less
  // than the price already, one step for the record will do.
  absl::StatusOr<double> ProbeRank(const Preconditioner& now, double price,
                                   double seconds, double before) {
    const absl::StatusOr<Index> run = probe_.Add(now, context_);
    if (!run.ok()) return run.status();
    const bool decided = before <= 0.5 * price;
    const int steps = decided ? 1
                              : std::clamp(static_cast<int>(price * kProbing),
                                           kStepsMin, kStepsMax);
    double expected = kIterationsMax;
    for (int step = 1; step <= steps; ++step) {
      absl::Status done = probe_.Step({*run}, context_);
      if (!done.ok()) return done;
      expected = Expected(*run);
      if (probe_.run(*run).residuals.back() <= kGoal ||
          probe_.run(*run).broken) {
        break;
      }
      if (step >= kStepsMin && expected <= 0.5 * price) break;
    }
    Record(now, *run, seconds);
    return decided ? std::min(expected, (1.0 - kSaved) * before) : expected;
  }

  void Keep(std::shared_ptr<const Preconditioner> now, double expected,
            bool last, double price) {
    // What was made is kept: a larger factor takes fewer steps, whatever some
    // steps of either seem to say.
    choice_.preconditioner = std::move(now);
    choice_.iterations_expected = expected;
    const char* const name = NameOf(choice_.preconditioner->kind());
    const Index rank = choice_.preconditioner->rank();
    choice_.reason = last ? absl::StrFormat(
                                "%s of rank %d: the largest that there is or "
                                "that memory allows; some %.0f steps are "
                                "expected",
                                name, rank, choice_.iterations_expected)
                          : absl::StrFormat(
                                "%s of rank %d: some %.0f steps are expected, "
                                "twice the rank would pay from %.0f on",
                                name, rank, choice_.iterations_expected, price);
  }

  const PreconditionerSource& source_;
  const ComputeContext& context_;
  Probe probe_;
  std::optional<RandomPivots> pivots_;
  PreconditionerChoice choice_;
  double product_flops_ = 1.0;
  double built_products_ = 0.0;
  Index rank_max_ = 0;
};

}  // namespace

double IterationsExpected(const std::vector<double>& residuals,
                          const std::vector<double>& norms) {
  for (std::size_t step = 0; step < residuals.size(); ++step) {
    if (residuals[step] <= kGoal) return static_cast<double>(step);
  }
  const std::size_t steps = residuals.size() - 1;
  // At the rate of all steps, or of the later half.
  double expected = kIterationsMax;
  for (const std::size_t from : {std::size_t{0}, steps / 2}) {
    if (from == steps) continue;
    const double fallen = std::log(norms[from] / norms[steps]);
    if (!(fallen > 0.0)) continue;
    const double rate = fallen / static_cast<double>(steps - from);
    expected =
        std::min(expected, static_cast<double>(steps) +
                               std::log(residuals[steps] / kGoal) / rate);
  }
  return expected;
}

TilePrecision StepPrecision(const PreconditionerSource& source) {
  constexpr double kErrorMax = 1e-2;
  constexpr double kUnitRoundoff32 = 0x1p-24;
  double most = LargestSquare(source.rows);
  for (const double offset : source.form.offsets) {
    most = std::max(most, std::abs(offset));
  }
  return 4.0 * kUnitRoundoff32 * most <= kErrorMax ? TilePrecision::kFloat32
                                                   : TilePrecision::kFloat64;
}

Index LargestRank(double bytes, Index n, Index d, int workers) {
  Index fits = 0;
  Index too_large = n + 1;
  while (fits + 1 < too_large) {
    const Index middle = fits + (too_large - fits) / 2;
    const double needed =
        CostOfPreconditioner(KernelPreconditioner::kRpCholesky, middle, n, d,
                             workers)
            .bytes;
    (needed <= bytes ? fits : too_large) = middle;
  }
  return fits;
}

absl::StatusOr<PreconditionerChoice> ChoosePreconditioner(
    const PreconditionerSource& source, const PreconditionerLimits& limits,
    const ComputeContext& context) {
  Chooser chooser(source, limits, context);
  return limits.kind.has_value() ? chooser.Only(*limits.kind) : chooser.Any();
}

}  // namespace steelyard
