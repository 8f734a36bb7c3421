#include "client/verify/score_check.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace steelyard::verify {
namespace {

// Weights of |<q, k_l>| up to a common factor.
struct Weigh {
  const Eigen::VectorXd& products;
  int64_t columns;

  Eigen::VectorXd operator()(const client::Power& power) const {
    const double largest = products.cwiseAbs().maxCoeff();
    if (!(largest > 0)) return Eigen::VectorXd::Zero(products.size());
    return (products.cwiseAbs() / largest).array().pow(power.p);
  }
  Eigen::VectorXd operator()(const client::PowerSum& sum) const {
    Eigen::ArrayXd total = Eigen::ArrayXd::Zero(products.size());
    for (const client::PowerTerm& term : sum.terms) {
      total += term.coefficient * products.cwiseAbs().array().pow(term.p);
    }
    return total;
  }
  Eigen::VectorXd operator()(const client::Softmax& softmax) const {
    const double scale =
        softmax.scale.value_or(1.0 / std::sqrt(static_cast<double>(columns)));
    const Eigen::ArrayXd logits = scale * products.array();
    return (logits - logits.maxCoeff()).exp();
  }
};

}  // namespace

Eigen::VectorXd ScoresOf(const RowMatrix& keys, const Eigen::RowVectorXd& query,
                         const client::ScoreFunction& function,
                         int64_t visible) {
  const Eigen::VectorXd products = keys.topRows(visible) * query.transpose();
  Eigen::VectorXd weights = std::visit(Weigh{products, keys.cols()}, function);
  const double sum = weights.sum();
  if (sum > 0) weights /= sum;
  return weights;
}

int64_t VisibleKeys(const std::vector<int64_t>& positions, int64_t i,
                    int64_t n) {
  if (static_cast<std::size_t>(i) >= positions.size()) return n;
  return std::clamp<int64_t>(positions[static_cast<std::size_t>(i)] + 1, 1, n);
}

HeavyCheck CheckScores(const Rows& keys, const Rows& queries,
                       const client::ScoreFunction& function,
                       const std::vector<int64_t>& positions, double epsilon,
                       absl::Span<const client::HeavyRow> rows, double band) {
  HeavyCheck result;
  result.queries = queries.rows();
  const RowMatrix all = keys.All();
  int64_t missed = -1;
  int64_t surplus = -1;
  int64_t wrong = -1;
  for (int64_t i = 0; i < queries.rows(); ++i) {
    const client::HeavyRow& row = rows[static_cast<std::size_t>(i)];
    const int64_t visible = VisibleKeys(positions, i, all.rows());
    const Eigen::VectorXd scores =
        ScoresOf(all, queries.Block(i, 1).row(0), function, visible);
    result.returned += static_cast<int64_t>(row.indices.size());
    if (row.undefined) continue;
    std::size_t next = 0;
    double mass = 0.0;
    for (int64_t l = 0; l < visible; ++l) {
      const bool returned = next < row.indices.size() && row.indices[next] == l;
      const double score = scores[l];
      if (score >= epsilon) ++result.expected;
      if (std::abs(score - epsilon) <= band * epsilon) ++result.undecided;
      if (score >= epsilon * (1 + band) && !returned) missed = i;
      if (!returned) continue;
      mass += score;
      const double lower = row.scores[next];
      const double upper =
          row.scores_upper.empty() ? lower : row.scores_upper[next];
      if (upper < epsilon * (1 - band)) surplus = i;
      const double outside = std::max({0.0, lower - score, score - upper});
      result.largest_score_error = std::max(
          result.largest_score_error, score > 0 ? outside / score : outside);
      if (outside > band * score) wrong = i;
      ++next;
    }
    if (next < row.indices.size()) surplus = i;
    const bool intervals = !row.scores_upper.empty();
    if (row.captured_mass > mass + band ||
        (!intervals && row.captured_mass < mass - band)) {
      wrong = i;
    }
  }
  const auto add = [&](const char* rule, int64_t query) {
    result.verdict.Add(rule, query < 0,
                       query < 0
                           ? absl::StrFormat("%d expected, %d returned",
                                             result.expected, result.returned)
                           : absl::StrFormat("query %d", query));
  };
  add("every score >= epsilon is returned", missed);
  add("nothing below epsilon is returned", surplus);
  add("every score lies in its interval", wrong);
  return result;
}

}  // namespace steelyard::verify
