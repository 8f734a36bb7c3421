#include "sensitivity/interval_refinement.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "linalg/stopped.h"

namespace steelyard {
namespace {

constexpr int kStepsMax = 60;
// Steps that a key takes as a rule; a round is planned for these.
constexpr double kStepsExpected = 12.0;
// A head may always take this much (seconds; enough to refine every one of 2000
// keys of width 32 at p = 1); one with more keys as much as some 64 of its
// Grams.
constexpr double kBudgetOfAnyHead = 1.2e11;
constexpr double kBudgetInGrams = 64.0;

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// Refiners that tasks borrow: as many as run at once, one kind for each term.
class RefinerPool {
 public:
  RefinerPool(const WhitenedKeys& keys, const std::vector<TermBounds>& terms)
      : keys_(keys), terms_(terms), free_(terms.size()) {}

  std::unique_ptr<KeyRefiner> Take(std::size_t term) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_[term].empty()) {
        std::unique_ptr<KeyRefiner> refiner = std::move(free_[term].back());
        free_[term].pop_back();
        return refiner;
      }
    }
    return std::make_unique<KeyRefiner>(keys_, terms_[term].certificate,
                                        terms_[term].lewis);
  }

  void Give(std::size_t term, std::unique_ptr<KeyRefiner> refiner) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_[term].push_back(std::move(refiner));
  }

 private:
  const WhitenedKeys& keys_;
  const std::vector<TermBounds>& terms_;
  std::mutex mutex_;
  std::vector<std::vector<std::unique_ptr<KeyRefiner>>> free_;
};

}  // namespace

IntervalRefinement::IntervalRefinement(const WhitenedKeys& keys,
                                       std::vector<TermBounds>* terms,
                                       const Threshold& threshold)
    : keys_(keys),
      terms_(*terms),
      threshold_(threshold),
      turns_(keys.norms.size(), 0) {}

SensitivityInterval IntervalRefinement::IntervalOf(Index j) const {
  SensitivityInterval interval{.lower = std::max(terms_.front().lower[At(j)],
                                                 terms_.back().lower[At(j)]),
                               .upper = 0.0};
  for (const TermBounds& term : terms_) {
    interval.upper = std::max(interval.upper, term.upper[At(j)]);
  }
  // Rounding can cross ends that meet.
  interval.lower = std::min(interval.lower, interval.upper);
  return interval;
}

double IntervalRefinement::CurrentEpsilon() const {
  const double epsilon = threshold_.epsilon.value_or(0.0);
  const auto n = static_cast<Index>(turns_.size());
  if (!threshold_.top_m.has_value() || *threshold_.top_m >= n) return epsilon;
  std::vector<double> lower(turns_.size());
  for (Index j = 0; j < n; ++j) lower[At(j)] = IntervalOf(j).lower;
  const auto cut = lower.begin() + (*threshold_.top_m - 1);
  std::nth_element(lower.begin(), cut, lower.end(), std::greater<>());
  return std::max(epsilon, *cut);
}

std::vector<Index> IntervalRefinement::Candidates(bool values,
                                                  double epsilon) const {
  const unsigned char turn = values ? 2 : 1;
  std::vector<std::pair<double, Index>> found;
  for (Index j = 0; j < static_cast<Index>(turns_.size()); ++j) {
    if ((turns_[At(j)] & turn) != 0) continue;
    const SensitivityInterval interval = IntervalOf(j);
    if (interval.upper == 0.0 || interval.upper < epsilon) continue;
    if (IsTight(interval)) continue;
    if (values || interval.lower < epsilon) {
      found.emplace_back(-interval.upper, j);
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<Index> order;
  for (const auto& candidate : found) order.push_back(candidate.second);
  return order;
}

absl::Status IntervalRefinement::Run(double flops,
                                     const ComputeContext& context) {
  flops_left_ = flops;
  const bool any = std::any_of(terms_.begin(), terms_.end(),
                               [](const auto& t) { return t.refinable(); });
  if (!any) return absl::OkStatus();
  for (const bool values : {false, true}) {
    if (absl::Status s = RunPhase(values, context); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status IntervalRefinement::RunPhase(bool values,
                                          const ComputeContext& context) {
  const double step = FlopsOfRefinementStep(keys_.rows(), keys_.rank()) *
                      static_cast<double>(terms_.size());
  // Every round gives at least one key its turn.
  for (std::size_t rounds = 0; rounds < turns_.size(); ++rounds) {
    const double epsilon = CurrentEpsilon();
    std::vector<Index> round = Candidates(values, epsilon);
    const double affordable = flops_left_ / (step * kStepsExpected);
    if (round.empty() || flops_left_ < step) break;
    const auto most = static_cast<std::size_t>(
        std::clamp(affordable, 1.0, static_cast<double>(kRefinementRound)));
    if (round.size() > most) round.resize(most);
    const double each = flops_left_ / step / static_cast<double>(round.size());
    const RefinementGoal goal{
        .epsilon = epsilon,
        // The threshold of top_m moves: a side taken now may not last.
        .value = values || threshold_.top_m.has_value(),
        .steps_max =
            static_cast<int>(std::min(static_cast<double>(kStepsMax), each))};
    if (absl::Status s = RunRound(round, goal, context); !s.ok()) return s;
    for (const Index j : round) {
      turns_[At(j)] |= static_cast<unsigned char>(values ? 2 : 1);
    }
    refined_ += static_cast<Index>(round.size());
  }
  return absl::OkStatus();
}

absl::Status IntervalRefinement::RunRound(const std::vector<Index>& round,
                                          const RefinementGoal& goal,
                                          const ComputeContext& context) {
  RefinerPool pool(keys_, terms_);
  const auto count = terms_.size();
  std::vector<SensitivityInterval> ends(round.size() * count);
  std::vector<int> steps(round.size() * count, 0);
  // Tasks read the ends of before the round; these are written.
  std::mutex mutex;
  std::vector<std::vector<double>> raised;
  for (const TermBounds& term : terms_) raised.push_back(term.lower);

  context.workers.ParallelFor(
      static_cast<Index>(ends.size()), context.stop, [&](Index task) {
        const std::size_t term = At(task) % count;
        const Index j = round[At(task) / count];
        SensitivityInterval& interval = ends[At(task)];
        interval = {terms_[term].lower[At(j)], terms_[term].upper[At(j)]};
        // A term that cannot be the largest decides nothing.
        const bool matters =
            interval.upper > IntervalOf(j).lower * (1.0 + kTightInterval);
        if (!terms_[term].refinable() || !matters ||
            IsReached(goal, interval)) {
          return;
        }
        std::unique_ptr<KeyRefiner> refiner = pool.Take(term);
        steps[At(task)] = refiner->Refine(j, goal, context, &interval);
        if (!context.stop.stop_requested()) {
          const std::lock_guard<std::mutex> lock(mutex);
          refiner->RaiseLowerEnds(&raised[term]);
        }
        pool.Give(term, std::move(refiner));
      });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;

  const double step = FlopsOfRefinementStep(keys_.rows(), keys_.rank());
  for (std::size_t term = 0; term < count; ++term) {
    terms_[term].lower = std::move(raised[term]);
  }
  for (std::size_t task = 0; task < ends.size(); ++task) {
    TermBounds& term = terms_[task % count];
    const std::size_t j = At(round[task / count]);
    term.lower[j] = std::max(term.lower[j], ends[task].lower);
    term.upper[j] = std::min(term.upper[j], ends[task].upper);
    flops_left_ -= step * static_cast<double>(steps[task]);
  }
  return absl::OkStatus();
}

double RefinementBudget(Index n, Index r) {
  const auto rank = static_cast<double>(r);
  return kBudgetOfAnyHead +
         kBudgetInGrams * static_cast<double>(n) * rank * rank;
}

double FlopsOfRefinement(Index n, Index r, Index terms) {
  // Every key, once for its side and once for its value.
  return std::min(RefinementBudget(n, r), 2.0 * kStepsExpected *
                                              static_cast<double>(n * terms) *
                                              FlopsOfRefinementStep(n, r));
}

}  // namespace steelyard
