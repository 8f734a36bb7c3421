#include "client/analyze/attention_mass.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace steelyard::analyze {
namespace {

constexpr int64_t kQueryBlock = 64;

// Evenly spaced, the first and the last among them where there are two.
std::vector<int64_t> ChosenQueries(int64_t queries, int64_t most) {
  const int64_t count = std::min(queries, most);
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) {
    chosen.push_back(count == 1 ? 0 : i * (queries - 1) / (count - 1));
  }
  return chosen;
}

// Turns logits into scores; false where they have no sum.
bool ToScores(const MassOptions& options, absl::Span<double> row) {
  double largest = 0.0;
  if (options.power) {
    for (const double x : row) largest = std::max(largest, std::abs(x));
    if (!(largest > 0.0) || !std::isfinite(largest)) return false;
    for (double& x : row) x = std::pow(std::abs(x) / largest, *options.power);
  } else {
    for (double& x : row) x *= options.scale;
    largest = *std::max_element(row.begin(), row.end());
    if (!std::isfinite(largest)) return false;
    for (double& x : row) x = std::exp(x - largest);
  }
  const double sum = std::accumulate(row.begin(), row.end(), 0.0);
  if (!std::isfinite(sum)) return false;
  for (double& x : row) x /= sum;
  return true;
}

double TopMass(absl::Span<const double> row, int64_t top,
               std::vector<double>* work) {
  work->assign(row.begin(), row.end());
  const auto count = std::min(work->size(), static_cast<std::size_t>(top));
  const auto middle = work->begin() + static_cast<std::ptrdiff_t>(count);
  if (middle != work->end()) {
    std::nth_element(work->begin(), middle, work->end(), std::greater<>());
  }
  return std::accumulate(work->begin(), middle, 0.0);
}

class HeadMasses {
 public:
  HeadMasses(int64_t keys, absl::Span<const int64_t> important,
             const MassOptions& options)
      : keys_(keys),
        options_(options),
        important_(important.begin(), important.end()),
        is_important_(static_cast<std::size_t>(keys), false) {
    for (const int64_t key : important_) {
      is_important_[static_cast<std::size_t>(key)] = true;
    }
  }

  // `logits`: of all keys.
  void Add(int64_t position, absl::Span<double> logits) {
    const int64_t visible =
        options_.causal ? std::min(keys_, position + 1) : keys_;
    const auto row = logits.subspan(0, static_cast<std::size_t>(visible));
    if (!ToScores(options_, row)) {
      ++masses_.undefined;
      return;
    }
    masses_.top.push_back(std::min(1.0, TopMass(row, options_.top, &work_)));
    double near = 0.0;
    double both = 0.0;
    double important = 0.0;
    for (const int64_t key : important_) {
      if (key >= visible) break;
      important += row[static_cast<std::size_t>(key)];
      kept_ += 1.0;
    }
    for (const int64_t key : KeysNear(options_.near, position, visible)) {
      const double score = row[static_cast<std::size_t>(key)];
      near += score;
      if (is_important_[static_cast<std::size_t>(key)]) continue;
      both += score;
      kept_ += 1.0;
    }
    masses_.near.push_back(std::min(1.0, near));
    masses_.important.push_back(std::min(1.0, important));
    masses_.important_and_near.push_back(std::min(1.0, important + both));
  }

  Masses Take() {
    if (!masses_.top.empty()) {
      masses_.keys_kept = kept_ / static_cast<double>(masses_.top.size());
    }
    return std::move(masses_);
  }

 private:
  const int64_t keys_;
  const MassOptions& options_;
  std::vector<int64_t> important_;
  std::vector<bool> is_important_;
  std::vector<double> work_;
  double kept_ = 0.0;
  Masses masses_;
};

}  // namespace

absl::StatusOr<Masses> MassesOf(const verify::Rows& keys,
                                const verify::Rows& queries,
                                absl::Span<const int64_t> important,
                                const MassOptions& options) {
  const verify::RowMatrix k = keys.All();
  const std::vector<int64_t> chosen =
      ChosenQueries(queries.rows(), options.queries_max);
  HeadMasses masses(keys.rows(), important, options);
  verify::RowMatrix block(kQueryBlock, queries.columns());
  for (std::size_t first = 0; first < chosen.size(); first += kQueryBlock) {
    const std::size_t count =
        std::min<std::size_t>(kQueryBlock, chosen.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = static_cast<Eigen::Index>(i);
      block.row(row) = queries.Block(chosen[first + i], 1);
      if (!block.row(row).allFinite()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "query ", chosen[first + i], " has an entry that is not finite"));
      }
    }
    verify::RowMatrix logits =
        block.topRows(static_cast<Eigen::Index>(count)) * k.transpose();
    for (std::size_t i = 0; i < count; ++i) {
      const int64_t position = keys.rows() - queries.rows() + chosen[first + i];
      masses.Add(position,
                 absl::MakeSpan(logits.row(static_cast<Eigen::Index>(i)).data(),
                                static_cast<std::size_t>(keys.rows())));
    }
  }
  return masses.Take();
}

}  // namespace steelyard::analyze
