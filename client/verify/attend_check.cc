#include "client/verify/attend_check.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_format.h"
#include "client/verify/score_check.h"

namespace steelyard::verify {
namespace {

bool IsLocal(const client::LocalKeys& local, int64_t position, int64_t key) {
  if (const auto* window = std::get_if<client::Window>(&local)) {
    return std::abs(position - key) <= window->radius;
  }
  if (const auto* grid = std::get_if<client::Grid>(&local)) {
    const int64_t cells = grid->height * grid->width;
    const int64_t a = position - grid->first;
    const int64_t b = key - grid->first;
    if (a < 0 || b < 0 || a >= cells || b >= cells) return false;
    return std::abs(a / grid->width - b / grid->width) +
               std::abs(a % grid->width - b % grid->width) <=
           grid->radius;
  }
  return false;
}

void AddRules(int64_t wrong_count, int64_t queries, AttendCheck* result) {
  constexpr double kAllowed = 1e-5;
  result->verdict.Add("the keys attended", wrong_count < 0,
                      wrong_count < 0
                          ? absl::StrFormat("%d queries", queries)
                          : absl::StrFormat("query %d", wrong_count));
  result->verdict.Add(
      "the output is the weighted sum of their values",
      result->largest_error <= kAllowed,
      absl::StrFormat("largest difference %.2g of the largest value; against "
                      "full attention %.3g",
                      result->largest_error, result->full_attention_error));
}

}  // namespace

AttendCheck CheckAttention(const Rows& keys, const Rows& values,
                           const Rows& queries,
                           const client::AttendOptions& options,
                           const client::ScoreFunction& function,
                           const std::vector<int64_t>& members,
                           const RowMatrix& output,
                           const std::vector<int64_t>& attended) {
  AttendCheck result;
  const RowMatrix k = keys.All();
  const RowMatrix v = values.All();
  const int64_t n = k.rows();
  const int64_t m = queries.rows();
  const double scale = std::max(v.cwiseAbs().maxCoeff(), 1e-300);
  int64_t wrong_count = -1;
  double difference = 0.0;
  double whole = 0.0;
  for (int64_t i = 0; i < m; ++i) {
    const int64_t position =
        options.positions.empty()
            ? n - m + i
            : options.positions[static_cast<std::size_t>(i)];
    const int64_t visible =
        options.causal ? std::clamp<int64_t>(position + 1, 1, n) : n;
    const Eigen::VectorXd scores =
        ScoresOf(k, queries.Block(i, 1).row(0), function, visible);
    Eigen::RowVectorXd sum = Eigen::RowVectorXd::Zero(v.cols());
    double mass = 0.0;
    int64_t count = 0;
    for (int64_t l = 0; l < visible; ++l) {
      if (l < options.sinks || IsLocal(options.local, position, l) ||
          std::binary_search(members.begin(), members.end(), l)) {
        sum += scores[l] * v.row(l);
        mass += scores[l];
        ++count;
      }
    }
    if (options.normalization == client::AttentionNormalization::kAttended &&
        mass > 0) {
      sum /= mass;
    }
    if (count != attended[static_cast<std::size_t>(i)]) wrong_count = i;
    const Eigen::RowVectorXd full = scores.transpose() * v.topRows(visible);
    result.largest_error =
        std::max(result.largest_error,
                 (output.row(i) - sum).cwiseAbs().maxCoeff() / scale);
    difference += (output.row(i) - full).squaredNorm();
    whole += full.squaredNorm();
  }
  result.full_attention_error = whole > 0 ? std::sqrt(difference / whole) : 0.0;
  AddRules(wrong_count, m, &result);
  return result;
}

}  // namespace steelyard::verify
