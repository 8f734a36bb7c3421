#include "client/verify/heavy_check.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace steelyard::verify {
namespace {

constexpr double kUnit = 0x1p-53;

// All scores of one query.
struct BruteForce {
  Eigen::VectorXd products;  // <q, k_l>
  Eigen::VectorXd slack;     // (d + 2) u |q| |k_l|
  double normalizer = 0.0;   // Z
  double negligible = 0.0;   // Z at or below this counts as 0.
};

class Check {
 public:
  Check(const Rows& keys, const LeverageReference& reference,
        const Rows& queries, double epsilon)
      : keys_(keys.All()), queries_(queries), epsilon_(epsilon) {
    norms_ = keys_.rowwise().stableNorm();
    keys_norm_ = keys_.stableNorm();
    const double f = static_cast<double>(keys_.rows() + keys_.cols() + 4) *
                     kUnit * reference.frobenius_condition() *
                     reference.frobenius_condition();
    normalizer_error_ = std::min(1e-3, f);
  }

  HeavyCheck Run(absl::Span<const client::HeavyRow> rows) {
    result_.queries = queries_.rows();
    for (int64_t i = 0; i < queries_.rows(); ++i) {
      CheckRow(i, rows[static_cast<std::size_t>(i)]);
    }
    Report(
        "every score >= epsilon is returned", missed_,
        absl::StrFormat("%d expected, %d returned, %d undecided",
                        result_.expected, result_.returned, result_.undecided));
    Report("nothing below epsilon is returned", surplus_, "");
    Report("every score is the brute-force score", wrong_score_,
           absl::StrFormat("largest relative difference %.2g",
                           result_.largest_score_error));
    Report("normalisers and captured mass", wrong_sum_, "");
    Report("undefined rows", wrong_undefined_, "");
    return std::move(result_);
  }

 private:
  // Where a rule is broken first.
  struct Place {
    int64_t query = -1;
    int64_t key = -1;
  };

  static void Mark(Place* place, int64_t query, int64_t key) {
    if (place->query < 0) *place = {query, key};
  }

  void Report(const char* rule, const Place& place, std::string held) {
    if (place.query < 0) {
      result_.verdict.Add(rule, true, std::move(held));
    } else if (place.key < 0) {
      result_.verdict.Add(rule, false,
                          absl::StrFormat("query %d", place.query));
    } else {
      result_.verdict.Add(
          rule, false,
          absl::StrFormat("query %d, key %d", place.query, place.key));
    }
  }

  // The query scaled to a norm near 1: scores do not change, and neither
  // products nor squares leave the range of float64.
  BruteForce ScoresOf(Eigen::RowVectorXd query, int* exponent) const {
    const double largest = query.cwiseAbs().maxCoeff();
    const double key_largest = norms_.maxCoeff();
    const int query_exponent = largest > 0 ? std::ilogb(largest) : 0;
    const int key_exponent = key_largest > 0 ? std::ilogb(key_largest) : 0;
    *exponent = query_exponent + key_exponent;
    const auto scaled = [](auto& entries, int by) {
      for (double& entry : entries) entry = std::ldexp(entry, -by);
    };
    scaled(query, query_exponent);
    BruteForce all;
    if (std::abs(key_exponent) < 400) {
      all.products = keys_ * query.transpose();
      scaled(all.products, key_exponent);
    } else {
      RowMatrix copy = keys_;
      for (Eigen::Index i = 0; i < copy.size(); ++i) {
        copy.data()[i] = std::ldexp(copy.data()[i], -key_exponent);
      }
      all.products = copy * query.transpose();
    }
    const auto d = static_cast<double>(keys_.cols());
    const double query_norm = query.norm();
    all.slack = norms_;
    scaled(all.slack, key_exponent);
    all.slack *= (d + 2) * kUnit * query_norm;
    all.normalizer = all.products.squaredNorm();
    all.negligible = std::pow(
        4 * d * kUnit * std::ldexp(keys_norm_, -key_exponent) * query_norm, 2);
    return all;
  }

  void CheckRow(int64_t i, const client::HeavyRow& row) {
    int exponent = 0;
    const BruteForce all = ScoresOf(queries_.Block(i, 1).row(0), &exponent);
    result_.returned += static_cast<int64_t>(row.indices.size());
    if (!(all.normalizer > all.negligible)) {
      // Near the limit either is right.
      if (!row.undefined && all.normalizer <= all.negligible / 16) {
        Mark(&wrong_undefined_, i, -1);
      }
      return;
    }
    if (row.undefined) {
      if (all.normalizer > 16 * all.negligible) Mark(&wrong_undefined_, i, -1);
      return;
    }
    if (row.scores.size() != row.indices.size()) {
      Mark(&wrong_score_, i, -1);
      return;
    }
    CheckMembership(i, row, all);
    CheckScores(i, row, all);
    const double normalizer =
        std::ldexp(row.normalizer, row.normalizer_exponent - 2 * exponent);
    if (!(std::abs(normalizer - all.normalizer) <=
          2 * normalizer_error_ * all.normalizer)) {
      Mark(&wrong_sum_, i, -1);
    }
  }

  void CheckMembership(int64_t i, const client::HeavyRow& row,
                       const BruteForce& all) {
    std::size_t next = 0;
    for (int64_t l = 0; l < keys_.rows(); ++l) {
      const bool returned = next < row.indices.size() && row.indices[next] == l;
      if (returned) ++next;
      const double product = std::abs(all.products[l]);
      const double slack = 2 * all.slack[l];
      const double lower = std::pow(std::max(0.0, product - slack), 2) /
                           (all.normalizer * (1 + normalizer_error_));
      const double upper = std::pow(product + slack, 2) /
                           (all.normalizer * (1 - 2 * normalizer_error_));
      if (product * product >= epsilon_ * all.normalizer) ++result_.expected;
      if (lower < epsilon_ && upper >= epsilon_) ++result_.undecided;
      if (lower >= epsilon_ && !returned) Mark(&missed_, i, l);
      if (upper < epsilon_ && returned) Mark(&surplus_, i, l);
    }
    // What was not consumed is out of order, doubled or no key at all.
    if (next < row.indices.size()) Mark(&surplus_, i, row.indices[next]);
  }

  void CheckScores(int64_t i, const client::HeavyRow& row,
                   const BruteForce& all) {
    double mass = 0.0;
    for (std::size_t m = 0; m < row.indices.size(); ++m) {
      const int64_t l = row.indices[m];
      if (l < 0 || l >= keys_.rows()) return;
      const double product = all.products[l];
      const double score = product * product / all.normalizer;
      mass += score;
      const double error = std::abs(row.scores[m] - score);
      const double allowed = 2 * normalizer_error_ * score +
                             4 * all.slack[l] *
                                 (std::abs(product) + all.slack[l]) /
                                 all.normalizer;
      if (!(error <= allowed)) Mark(&wrong_score_, i, l);
      if (score > 0) {
        result_.largest_score_error =
            std::max(result_.largest_score_error, error / score);
      }
    }
    const double allowed =
        2 * normalizer_error_ +
        kUnit * static_cast<double>(keys_.rows() + keys_.cols());
    if (!(std::abs(row.captured_mass - mass) <= allowed)) {
      Mark(&wrong_sum_, i, -1);
    }
  }

  RowMatrix keys_;
  const Rows& queries_;
  double epsilon_;
  Eigen::VectorXd norms_;
  double keys_norm_ = 0.0;
  double normalizer_error_ = 0.0;
  Place missed_;
  Place surplus_;
  Place wrong_score_;
  Place wrong_sum_;
  Place wrong_undefined_;
  HeavyCheck result_;
};

}  // namespace

HeavyCheck CheckHeavyRows(const Rows& keys, const LeverageReference& reference,
                          const Rows& queries, double epsilon,
                          absl::Span<const client::HeavyRow> rows) {
  assert(static_cast<int64_t>(rows.size()) == queries.rows());
  return Check(keys, reference, queries, epsilon).Run(rows);
}

}  // namespace steelyard::verify
