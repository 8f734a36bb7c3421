#include "client/verify/query_check.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "absl/strings/str_format.h"

namespace steelyard::verify {
namespace {

// Rounding of a product of d numbers and a sum of n powers up to p = 64,
// relative: 64 (d + 2) u + n u, and room for the reported sensitivity.
double Slack(const Rows& keys) {
  return 0x1p-53 * (128.0 * static_cast<double>(keys.columns() + 2) +
                    static_cast<double>(keys.rows()));
}

class Check {
 public:
  Check(const Rows& keys, const client::UniversalSetOptions& asked,
        const client::UniversalSet& set)
      : keys_(keys.All()), asked_(asked), set_(set), slack_(Slack(keys)) {}

  bool CheckForm() {
    const int64_t n = keys_.rows();
    bool good =
        set_.keys == n && set_.sensitivities.size() == set_.indices.size();
    for (std::size_t i = 0; i < set_.indices.size(); ++i) {
      good = good && set_.indices[i] >= 0 && set_.indices[i] < n &&
             (i == 0 || set_.indices[i] > set_.indices[i - 1]);
    }
    verdict().Add("the lists are ascending, within the keys, of one length",
                  good, absl::StrFormat("n = %d", n));
    if (!good) return false;
    const auto size = static_cast<double>(set_.indices.size());
    verdict().Add("|U| is within its bound", size <= set_.size_bound,
                  absl::StrFormat("%.0f <= %.6g", size, set_.size_bound));
    bound_.assign(static_cast<std::size_t>(n), -1.0);
    for (std::size_t i = 0; i < set_.indices.size(); ++i) {
      bound_[static_cast<std::size_t>(set_.indices[i])] =
          set_.sensitivities[i] * (1 + set_.relative_score_error);
    }
    return true;
  }

  // A query of the first `visible` keys.
  void Ask(const Eigen::VectorXd& query, int64_t visible) {
    if (!query.allFinite() || query.squaredNorm() == 0) return;
    Eigen::VectorXd values =
        (keys_.topRows(visible) * query.normalized()).cwiseAbs();
    if (asked_.ridge &&
        values.squaredNorm() < asked_.ridge->ratio * asked_.ridge->lambda) {
      return;
    }
    const double largest = values.maxCoeff();
    if (!(largest > 0)) return;
    Evaluate(largest, query.norm(), &values);
    const double sum = values.sum();
    ++result_.attaining_queries;
    for (int64_t j = 0; j < visible; ++j) {
      const double score = values[j] / sum;
      const double bound = bound_[static_cast<std::size_t>(j)];
      if (bound < 0) {
        if (score > result_.largest_excluded) {
          result_.largest_excluded = score;
          result_.largest_excluded_key = j;
        }
      } else if (score > bound * (1 + slack_) + slack_ && above_ < 0) {
        above_ = j;
        above_score_ = score;
      }
    }
  }

  UniversalSetCheck Report() {
    verdict().Add(
        "no query gives a key outside a score above effective_epsilon",
        result_.largest_excluded <=
            set_.effective_epsilon * (1 + slack_) + slack_,
        absl::StrFormat("%d queries over %d keys, largest %.6g of key %d, "
                        "effective_epsilon %.6g",
                        result_.attaining_queries, keys_.rows(),
                        result_.largest_excluded, result_.largest_excluded_key,
                        set_.effective_epsilon));
    verdict().Add(
        "no query gives a member a score above its sensitivity", above_ < 0,
        above_ < 0
            ? absl::StrFormat("%d members", set_.indices.size())
            : absl::StrFormat("key %d scores %.17g", above_, above_score_));
    return result_;
  }

  const RowMatrix& keys() const { return keys_; }
  Verdict& verdict() { return result_.verdict; }
  UniversalSetCheck& result() { return result_; }

 private:
  // values: |<q/|q|, k_l>| on entry, f(<q, k_l>) times a constant after.
  void Evaluate(double largest, double norm, Eigen::VectorXd* values) const {
    if (const auto* power = std::get_if<client::Power>(&asked_.function)) {
      *values = (*values / largest).array().pow(power->p);
      return;
    }
    // A sum is not homogeneous: the length of the query counts.
    Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(values->size());
    for (const client::PowerTerm& term :
         std::get<client::PowerSum>(asked_.function).terms) {
      sum += term.coefficient * (*values * norm).array().pow(term.p);
    }
    *values = sum;
  }

  const RowMatrix keys_;
  const client::UniversalSetOptions& asked_;
  const client::UniversalSet& set_;
  const double slack_;
  std::vector<double> bound_;  // -1: outside.
  int64_t above_ = -1;
  double above_score_ = 0.0;
  UniversalSetCheck result_;
};

// Members first, then the keys of highest leverage.
std::vector<int64_t> KeysToAttain(const LeverageReference& reference,
                                  const client::UniversalSet& set,
                                  std::size_t most) {
  std::vector<int64_t> order(
      static_cast<std::size_t>(reference.scores().size()));
  for (std::size_t j = 0; j < order.size(); ++j) {
    order[j] = static_cast<int64_t>(j);
  }
  const auto rank_of = [&](int64_t j) {
    const bool member =
        std::binary_search(set.indices.begin(), set.indices.end(), j);
    return reference.scores()[j] + (member ? 2.0 : 0.0);
  };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return rank_of(a) > rank_of(b);
  });
  order.resize(std::min(order.size(), most));
  return order;
}

}  // namespace

UniversalSetCheck CheckByQueries(const Rows& keys,
                                 const LeverageReference& reference,
                                 const client::UniversalSetOptions& asked,
                                 const client::UniversalSet& set,
                                 double flops_max) {
  Check check(keys, asked, set);
  if (std::holds_alternative<client::Softmax>(asked.function)) {
    check.verdict().AddUnchecked("the set", "softmax has no sensitivities");
    return check.result();
  }
  if (!check.CheckForm()) return check.result();
  const int64_t n = keys.rows();
  const int64_t d = keys.columns();
  const double each = 2.0 * static_cast<double>(n) * static_cast<double>(d);
  // A prefix is factored anew for every causal query that attains.
  const double attain =
      asked.causal ? 3.0 * each * static_cast<double>(d) : each;
  constexpr double kRandomMost = 256.0;
  const auto random_count =
      static_cast<int>(std::clamp(0.5 * flops_max / each, 1.0, kRandomMost));
  const auto attain_count = static_cast<std::size_t>(
      std::clamp(0.5 * flops_max / attain, 1.0, static_cast<double>(n)));

  std::mt19937_64 engine(20260101);
  std::normal_distribution<double> normal;
  for (int i = 0; i < random_count; ++i) {
    Eigen::VectorXd query(d);
    for (Eigen::Index c = 0; c < d; ++c) query[c] = normal(engine);
    const int64_t visible = asked.causal ? 1 + (i * n) / random_count : n;
    check.Ask(query, visible);
  }
  for (const int64_t j : KeysToAttain(reference, set, attain_count)) {
    const RowMatrix key = keys.Block(j, 1);
    if (asked.causal) {
      const Rows prefix = keys.First(j + 1);
      check.Ask(LeverageReference(prefix).AttainingQueries(key).row(0), j + 1);
    } else {
      check.Ask(reference.AttainingQueries(key).row(0), n);
    }
    check.Ask(key.row(0), asked.causal ? j + 1 : n);
  }
  return check.Report();
}

}  // namespace steelyard::verify
