#include "sensitivity/power_pass.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sensitivity/sensitivity_set.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

// Rounding of powers, outward.
constexpr double kOutward = 1e-11;

}  // namespace

PowerPass::PowerPass(const ScoreFunction& function, Index d) : d_(d) {
  if (IsSquare(function)) return;
  for (const double p : ExponentsOf(function)) coresets_.emplace_back(p, d);
}

double PowerPass::bytes() const {
  double bytes = 0.0;
  for (const PowerCoreset& coreset : coresets_) bytes += coreset.bytes();
  return bytes;
}

absl::Status PowerPass::Add(const AnyMatrixView& keys,
                            const ComputeContext& context,
                            std::vector<double>* arrival) {
  if (arrival != nullptr)
    arrival->assign(static_cast<std::size_t>(Rows(keys)), 0.0);
  for (PowerCoreset& coreset : coresets_) {
    std::vector<double> bounds;
    const absl::Status added =
        coreset.Add(keys, context, arrival == nullptr ? nullptr : &bounds);
    if (!added.ok()) return added;
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      (*arrival)[i] = std::max((*arrival)[i], bounds[i]);
    }
  }
  return absl::OkStatus();
}

absl::Status PowerPass::Refresh(const ComputeContext& context) {
  for (PowerCoreset& coreset : coresets_) {
    if (absl::Status s = coreset.Refresh(context); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SensitivityInterval>> PowerPass::Intervals(
    const AnyMatrixView& keys, const LeverageScores& leverage,
    const ComputeContext& context) const {
  std::vector<SensitivityInterval> intervals(leverage.tau.size(), {0.0, 0.0});
  const double spread = 1.0 + leverage.delta;
  for (const PowerCoreset& coreset : coresets_) {
    const double p = coreset.p();
    absl::StatusOr<std::vector<double>> bounds =
        coreset.UpperBounds(keys, context);
    if (!bounds.ok()) return bounds.status();
    // Below, only the smallest and the largest p count (scaled queries).
    const bool outer = p == coresets_.front().p() || p == coresets_.back().p();
    const double shrink =
        p < 2.0 ? std::pow(static_cast<double>(coreset.keys()), 0.5 * p - 1.0)
                : 1.0;
    for (std::size_t i = 0; i < intervals.size(); ++i) {
      const double tau = leverage.tau[i];
      double upper = (*bounds)[i];
      const bool fresh = std::binary_search(leverage.new_direction.begin(),
                                            leverage.new_direction.end(),
                                            static_cast<Index>(i));
      // sigma <= tau^(p/2) for p <= 2; a clipped score says nothing.
      if (p <= 2.0 && !fresh && tau > 0.0 && tau * spread < 1.0) {
        upper =
            std::min(upper, std::pow(tau * spread, 0.5 * p) * (1.0 + kOutward));
      }
      intervals[i].upper = std::max(intervals[i].upper, upper);
      if (!outer || fresh) continue;
      const double lower =
          std::pow(tau / spread, 0.5 * p) * shrink * (1.0 - kOutward);
      intervals[i].lower = std::max(intervals[i].lower, lower);
    }
  }
  for (SensitivityInterval& interval : intervals) {
    interval.lower = std::min(interval.lower, interval.upper);
  }
  return intervals;
}

double PowerPass::TotalSensitivity(Index rank) const {
  double total = 0.0;
  for (const PowerCoreset& coreset : coresets_) {
    total +=
        std::pow(static_cast<double>(rank), std::max(1.0, 0.5 * coreset.p()));
  }
  return total;
}

absl::Status PowerPass::Merge(const PowerPass& other,
                              const ComputeContext& context) {
  for (std::size_t i = 0; i < coresets_.size(); ++i) {
    const absl::Status merged = coresets_[i].Merge(other.coresets_[i], context);
    if (!merged.ok()) return merged;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PowerPass::Serialize(
    const ComputeContext& context) const {
  std::string all;
  for (const PowerCoreset& coreset : coresets_) {
    const absl::StatusOr<std::string> bytes = coreset.Serialize(context);
    if (!bytes.ok()) return bytes.status();
    all += *bytes;
  }
  return all;
}

absl::Status PowerPass::Resume(absl::string_view bytes, Index keys,
                               const ComputeContext& context) {
  for (PowerCoreset& coreset : coresets_) {
    absl::StatusOr<PowerCoreset> back =
        PowerCoreset::Parse(coreset.p(), d_, keys, context, &bytes);
    if (!back.ok()) return back.status();
    coreset = *std::move(back);
  }
  if (bytes.empty()) return absl::OkStatus();
  return ErrorWithDetail(
      absl::StatusCode::kInvalidArgument,
      used() ? "bytes are left behind the coresets" : "|x|^2 needs no coreset",
      {.reason = "STATE_CORRUPT", .field = "coreset"});
}

}  // namespace steelyard
