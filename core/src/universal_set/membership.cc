#include "universal_set/membership.h"

#include <algorithm>
#include <cmath>

namespace steelyard {
namespace {

// tau~ (1 + delta), the upper end; 0 stays 0 however large delta is: a key of
// zeros scores 0 exactly.
double UpperEnd(double tau, double delta) {
  return tau == 0.0 ? 0.0 : tau * (1.0 + delta);
}

double LowerEnd(double tau, double delta) { return tau / (1.0 + delta); }

// Neumaier's compensated sum, in index order: the error is u, not n u.
double Sum(const std::vector<double>& terms) {
  double sum = 0.0;
  double compensation = 0.0;
  for (const double term : terms) {
    const double next = sum + term;
    compensation +=
        std::abs(sum) >= term ? (sum - next) + term : (term - next) + sum;
    sum = next;
  }
  return sum + compensation;
}

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// The most sensitive `top_m` of `members`, ties to the lower index, ascending.
void KeepMostSensitive(const std::vector<double>& tau, Index top_m,
                       std::vector<Index>* members) {
  if (static_cast<Index>(members->size()) <= top_m) return;
  const auto more_sensitive = [&](Index a, Index b) {
    return tau[At(a)] != tau[At(b)] ? tau[At(a)] > tau[At(b)] : a < b;
  };
  std::nth_element(members->begin(), members->begin() + top_m - 1,
                   members->end(), more_sensitive);
  members->resize(At(top_m));
  std::sort(members->begin(), members->end());
}

// Is key j sure to be where it is put, given epsilon alone?
bool IsDecided(double tau, double delta, double epsilon) {
  return tau >= epsilon * (1.0 + delta) || UpperEnd(tau, delta) < epsilon;
}

}  // namespace

void SelectMembers(const LeverageScores& scores,
                   const UniversalSetOptions& options, UniversalSet* set) {
  const std::vector<double>& tau = scores.tau;
  const double delta = scores.delta;
  const double epsilon = options.epsilon.value_or(0.0);
  const auto is_new = [&](Index j) {
    return std::binary_search(scores.new_direction.begin(),
                              scores.new_direction.end(), j);
  };

  std::vector<Index> members;
  for (Index j = 0; j < static_cast<Index>(tau.size()); ++j) {
    if (UpperEnd(tau[At(j)], delta) >= epsilon || is_new(j)) {
      members.push_back(j);
    }
  }
  const std::size_t above_epsilon = members.size();
  if (options.top_m.has_value()) {
    KeepMostSensitive(tau, *options.top_m, &members);
  }
  const bool cut = members.size() < above_epsilon;

  set->effective_epsilon = 0.0;
  auto member = members.begin();
  for (Index j = 0; j < static_cast<Index>(tau.size()); ++j) {
    if (member != members.end() && *member == j) {
      ++member;
      continue;
    }
    set->effective_epsilon =
        std::max(set->effective_epsilon, UpperEnd(tau[At(j)], delta));
  }

  set->undecided.clear();
  set->new_direction.clear();
  set->sensitivities.clear();
  for (const Index j : members) {
    set->sensitivities.push_back(tau[At(j)]);
    if (is_new(j)) set->new_direction.push_back(j);
    const bool near_epsilon =
        epsilon > 0.0 && !is_new(j) && !IsDecided(tau[At(j)], delta, epsilon);
    const bool near_cut =
        cut && LowerEnd(tau[At(j)], delta) <= set->effective_epsilon;
    if (near_epsilon || near_cut) set->undecided.push_back(j);
  }
  // No score exceeds 1, whatever its error bound says.
  set->effective_epsilon = std::min(set->effective_epsilon, 1.0);
  set->exact = scores.certain && set->undecided.empty();
  set->total_sensitivity = scores.total.has_value() ? *scores.total : Sum(tau);
  set->indices = std::move(members);
}

}  // namespace steelyard
