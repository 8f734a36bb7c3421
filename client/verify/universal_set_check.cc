#include "client/verify/universal_set_check.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace steelyard::verify {
namespace {

bool AscendingWithin(const std::vector<int64_t>& indices, int64_t n) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= n) return false;
    if (i > 0 && indices[i] <= indices[i - 1]) return false;
  }
  return true;
}

bool Contains(const std::vector<int64_t>& sorted, int64_t key) {
  return std::binary_search(sorted.begin(), sorted.end(), key);
}

class Check {
 public:
  Check(const Rows& keys, const LeverageReference& reference,
        const client::UniversalSetOptions& asked,
        const client::UniversalSet& set)
      : keys_(keys), reference_(reference), asked_(asked), set_(set) {}

  UniversalSetCheck Run(double flops_max) {
    if (!CheckForm()) return std::move(result_);
    CheckCounts();
    CheckExcluded();
    CheckMembers();
    if (asked_.top_m) CheckTop();
    CheckAttainingQueries(flops_max);
    return std::move(result_);
  }

 private:
  Verdict& verdict() { return result_.verdict; }

  bool CheckForm() {
    const int64_t n = keys_.rows();
    const bool members_only =
        std::includes(set_.indices.begin(), set_.indices.end(),
                      set_.undecided.begin(), set_.undecided.end()) &&
        std::includes(set_.indices.begin(), set_.indices.end(),
                      set_.new_direction.begin(), set_.new_direction.end());
    const bool good = set_.keys == n && AscendingWithin(set_.indices, n) &&
                      set_.sensitivities.size() == set_.indices.size() &&
                      AscendingWithin(set_.undecided, n) &&
                      AscendingWithin(set_.new_direction, n) && members_only;
    verdict().Add("the lists are ascending, within the keys, of one length",
                  good, absl::StrFormat("n = %d", n));
    return good;
  }

  void CheckCounts() {
    const bool same = set_.rank == reference_.rank();
    const std::string detail =
        absl::StrFormat("rank %d, recomputed %d", set_.rank, reference_.rank());
    if (same || !reference_.rank_is_borderline()) {
      verdict().Add("the rank", same, detail);
    } else {
      verdict().AddUnchecked("the rank",
                             absl::StrCat(detail, ", a borderline"));
    }
    const auto size = static_cast<double>(set_.indices.size());
    verdict().Add("|U| is within its bound", size <= set_.size_bound,
                  absl::StrFormat("%.0f <= %.6g", size, set_.size_bound));
    if (asked_.top_m) {
      verdict().Add("|U| is at most top_m",
                    size <= static_cast<double>(*asked_.top_m),
                    absl::StrFormat("%.0f <= %d", size, *asked_.top_m));
    }
  }

  // tau_j <= effective_epsilon < epsilon for every j outside.
  void CheckExcluded() {
    int64_t first_above = -1;
    const double limit = set_.effective_epsilon * upward();
    for (int64_t j = 0; j < keys_.rows(); ++j) {
      if (Contains(set_.indices, j)) continue;
      const double score = reference_.scores()[j];
      if (result_.largest_excluded_key < 0 ||
          score > result_.largest_excluded) {
        result_.largest_excluded = score;
        result_.largest_excluded_key = j;
      }
      // Scores of keys that are 0 up to rounding are 0 up to rounding.
      const bool negligible = score <= kNegligible * unit_sum();
      if (score > limit && !negligible && first_above < 0) first_above = j;
    }
    verdict().Add(
        "every key outside scores at most effective_epsilon", first_above < 0,
        first_above < 0
            ? absl::StrFormat(
                  "largest %.6g of key %d <= %.6g", result_.largest_excluded,
                  result_.largest_excluded_key, set_.effective_epsilon)
            : absl::StrFormat("key %d scores %.17g", first_above,
                              reference_.scores()[first_above]));
    // With top_m, a key above epsilon may have to stay outside.
    if (asked_.epsilon && !asked_.top_m) {
      verdict().Add("effective_epsilon < epsilon",
                    set_.effective_epsilon < *asked_.epsilon,
                    absl::StrFormat("%.6g < %.6g", set_.effective_epsilon,
                                    *asked_.epsilon));
    }
  }

  void CheckMembers() {
    int64_t outside_interval = -1;
    int64_t below_epsilon = -1;
    // reported in [t / (1 + w), t (1 + w)]
    const double width = (1 + set_.relative_score_error) * upward();
    for (std::size_t i = 0; i < set_.indices.size(); ++i) {
      const int64_t j = set_.indices[i];
      if (Contains(set_.new_direction, j)) continue;
      const double score = reference_.scores()[j];
      const double reported = set_.sensitivities[i];
      const double error = std::abs(reported - score);
      if (score > 0) {
        result_.largest_member_error =
            std::max(result_.largest_member_error, error / score);
      }
      if (!(reported <= score * width && score <= reported * width) &&
          !(error <= kNegligible * unit_sum()) && outside_interval < 0) {
        outside_interval = j;
      }
      const bool decided = !Contains(set_.undecided, j);
      if (asked_.epsilon && decided && below_epsilon < 0 &&
          score * upward() < *asked_.epsilon) {
        below_epsilon = j;
      }
    }
    verdict().Add(
        "every member's score lies in its interval", outside_interval < 0,
        outside_interval < 0
            ? absl::StrFormat("largest relative difference %.2g",
                              result_.largest_member_error)
            : absl::StrFormat("key %d: recomputed %.17g", outside_interval,
                              reference_.scores()[outside_interval]));
    if (!asked_.epsilon) return;
    verdict().Add(
        "every decided member scores at least epsilon", below_epsilon < 0,
        below_epsilon < 0
            ? absl::StrFormat("%d members, %d undecided", set_.indices.size(),
                              set_.undecided.size())
            : absl::StrFormat("key %d scores %.17g", below_epsilon,
                              reference_.scores()[below_epsilon]));
  }

  void CheckTop() {
    double smallest = 1.0;
    for (std::size_t i = 0; i < set_.indices.size(); ++i) {
      if (Contains(set_.new_direction, set_.indices[i])) continue;
      smallest = std::min(smallest, reference_.scores()[set_.indices[i]]);
    }
    const bool full = static_cast<int64_t>(set_.indices.size()) ==
                      std::min(*asked_.top_m, keys_.rows());
    const double width = (1 + set_.relative_score_error) * upward();
    const bool ordered = !full || result_.largest_excluded_key < 0 ||
                         result_.largest_excluded <= smallest * width;
    verdict().Add("no key outside scores above a member", ordered,
                  absl::StrFormat("smallest member %.6g, largest outside %.6g",
                                  smallest, result_.largest_excluded));
    if (!asked_.epsilon) {
      verdict().Add("the set is full", full,
                    absl::StrFormat("%d members", set_.indices.size()));
    }
  }

  // Members first, then the others from the highest score down.
  std::vector<int64_t> KeysToAttain(double flops_max) const {
    const auto n = static_cast<double>(keys_.rows());
    const double each = 2.0 * n * static_cast<double>(keys_.columns());
    const auto most =
        static_cast<std::size_t>(std::clamp(flops_max / each, 1.0, n));
    std::vector<int64_t> order(static_cast<std::size_t>(keys_.rows()));
    for (std::size_t j = 0; j < order.size(); ++j) {
      order[j] = static_cast<int64_t>(j);
    }
    const auto rank_of = [this](int64_t j) {
      return Contains(set_.indices, j) ? 2.0 : reference_.scores()[j];
    };
    std::partial_sort(order.begin(),
                      order.begin() + static_cast<std::ptrdiff_t>(most),
                      order.end(), [&rank_of](int64_t a, int64_t b) {
                        const double left = rank_of(a);
                        const double right = rank_of(b);
                        return left != right ? left > right : a < b;
                      });
    order.resize(most);
    return order;
  }

  void CheckAttainingQueries(double flops_max) {
    if (reference_.rank() == 0) return;
    const std::vector<int64_t> chosen = KeysToAttain(flops_max);
    const auto count = static_cast<Eigen::Index>(chosen.size());
    RowMatrix queries(count, keys_.columns());
    for (Eigen::Index i = 0; i < count; ++i) {
      const int64_t key = chosen[static_cast<std::size_t>(i)];
      queries.row(i) = reference_.AttainingQueries(keys_.Block(key, 1));
    }
    result_.attaining_queries = count;
    if (!queries.allFinite()) {
      verdict().AddUnchecked("attaining queries",
                             "out of the range of float64");
      return;
    }
    // score of key j = <k_j, y>^2 / sum_l <k_l, y>^2
    Eigen::VectorXd sums = Eigen::VectorXd::Zero(count);
    constexpr int64_t kStep = 512;
    for (int64_t first = 0; first < keys_.rows(); first += kStep) {
      const RowMatrix products =
          keys_.Block(first, std::min(kStep, keys_.rows() - first)) *
          queries.transpose();
      sums += products.colwise().squaredNorm().transpose();
    }
    double worst = 0.0;
    for (Eigen::Index i = 0; i < count; ++i) {
      const int64_t key = chosen[static_cast<std::size_t>(i)];
      const double tau = reference_.scores()[key];
      const double dot = keys_.Block(key, 1).row(0).dot(queries.row(i));
      if (!(sums[i] > 0)) continue;
      worst = std::max(worst, std::abs(dot * dot / sums[i] - tau));
    }
    // The query carries the errors of W twice, hence the factor.
    const double allowed = 4 * (reference_.score_error() + unit_sum());
    verdict().Add("the attaining queries give the keys their scores",
                  worst <= allowed,
                  absl::StrFormat("%d queries over all %d keys, largest "
                                  "difference %.2g",
                                  count, keys_.rows(), worst));
  }

  double upward() const { return 1 + reference_.score_error(); }
  // Rounding of a sum of n squares, relative to a score of 1.
  double unit_sum() const {
    return 0x1p-53 * static_cast<double>(keys_.rows() + keys_.columns());
  }

  static constexpr double kNegligible = 16.0;

  const Rows& keys_;
  const LeverageReference& reference_;
  const client::UniversalSetOptions& asked_;
  const client::UniversalSet& set_;
  UniversalSetCheck result_;
};

}  // namespace

UniversalSetCheck CheckUniversalSet(const Rows& keys,
                                    const LeverageReference& reference,
                                    const client::UniversalSetOptions& asked,
                                    const client::UniversalSet& set,
                                    double flops_max) {
  return Check(keys, reference, asked, set).Run(flops_max);
}

}  // namespace steelyard::verify
