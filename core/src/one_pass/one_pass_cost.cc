// BytesOfOnePass and CostOfOnePass.
#include <algorithm>
#include <cmath>

#include "factor/factor.h"
#include "one_pass/candidate_buffer.h"
#include "one_pass/pass_state.h"
#include "sensitivity/lewis_bounds.h"
#include "sensitivity/power_pass.h"
#include "sensitivity/sensitivity_set.h"
#include "universal_set/filtered_scores.h"
#include "universal_set/leverage.h"

namespace steelyard {
namespace {

// Lists, strings, alignment.
constexpr double kSmallThings = 65536.0;
// (1 + delta)^2 of the worst Gram that is kept.
constexpr double kErrorFactor = 1.01;

double Real(Index i) { return static_cast<double>(i); }

double BytesPerCandidate(const OnePassOptions& options) {
  const double row = Real(options.columns) *
                     Real(static_cast<Index>(BytesPerNumber(options.storage)));
  return row + 8.0 + (options.causal ? 16.0 : 0.0);
}

// The longest panel that blocks of this many rows make.
Index PanelRowsOf(const OnePassOptions& options, Index block_rows) {
  return std::clamp(block_rows, PendingRows(options.columns),
                    MostPanelRows(options.columns));
}

// d / epsilon keys at the most are heavy for p = 2, d^max(1, p/2) / epsilon for
// other p: true ones. Bounds of one pass weigh more, ln n of it for p <= 2 and
// its power p/2 - 1 beyond; callers watch bytes().
double MostMembers(const OnePassOptions& options) {
  const double d = Real(options.columns);
  if (IsSquare(options.function)) return kErrorFactor * d / options.epsilon;
  const PowerPass pass(options.function, options.columns);
  // Leverage scores of at least kLeverageKept: 16 d.
  return kErrorFactor * pass.TotalSensitivity(options.columns) /
             options.epsilon +
         d / kLeverageKept;
}

// The coresets of a pass.
double BytesOfCoresets(const OnePassOptions& options) {
  if (IsSquare(options.function)) return 0.0;
  return static_cast<double>(ExponentsOf(options.function).size()) *
         BytesOfPowerCoreset(options.columns);
}

// After pruning rank (1 + delta)^2 / epsilon; twice that, or a quarter of what
// waits, and a panel until the next.
double MostCandidates(const OnePassOptions& options, Index block_rows) {
  const double members = MostMembers(options);
  const double panel = Real(PanelRowsOf(options, block_rows));
  // Sum of arrival scores: d ln n.
  if (options.causal) return 32.0 * std::log(2.0) * members + panel;
  return 2.0 * members + Real(PendingRows(options.columns)) / 4.0 + panel;
}

}  // namespace

double BytesOfOnePass(const OnePassOptions& options, Index block_rows) {
  const double square = Real(options.columns) * Real(options.columns);
  const double waiting =
      Real(PendingRows(options.columns)) * BytesPerCandidate(options);
  // R or a Gram in two parts; the scorer's R, perhaps with V.
  return 4.0 * 8.0 * square + waiting +
         MostCandidates(options, block_rows) * BytesPerCandidate(options) +
         BytesOfCoresets(options) + kSmallThings;
}

Cost CostOfOnePass(const OnePassOptions& options, Index block_rows,
                   int workers) {
  const Index d = options.columns;
  const Index panel = PanelRowsOf(options, block_rows);
  const double square = Real(d) * Real(d);
  // A panel with R above it; the SVD and the factor itself are in there.
  const Cost factor = CostOfFactor(panel + d, d, workers);
  const Cost scores = CostOfLeverageScores(panel, d, workers);
  const double candidates = MostCandidates(options, block_rows);
  const Cost filter = CostOfFilter(d, workers);
  // A second state (its R, a new scorer), candidates once more, joined or
  // kept, and their scores; flags, lengths and scores of the panel.
  const double state = 6.0 * 8.0 * square + Real(panel) * 34.0 +
                       candidates * (BytesPerCandidate(options) + 34.0) +
                       Real(PendingRows(d)) * BytesPerCandidate(options);
  // Each coreset scores and folds the panel as R does, weighted copies beside;
  // the first panel finds weights of its own.
  const double coresets = static_cast<double>(
      IsSquare(options.function) ? 0 : ExponentsOf(options.function).size());
  const double weights = 2.0 * kLewisRounds * Real(panel) * square;
  const double copies = 8.0 * (4096.0 + 2.0 * Real(panel)) * Real(d) +
                        64.0 * Real(panel) + 2.0 * BytesOfPowerCoreset(d);
  return {
      .flops = std::max(1.0, Real(block_rows) / Real(panel)) *
                   (1.0 + coresets) * (factor.flops + scores.flops) +
               coresets * weights,
      .bytes = factor.bytes + scores.bytes + filter.bytes + state +
               kSmallThings + coresets * copies +
               (coresets > 0.0 ? CostOfFactor(panel, d, workers).bytes : 0.0)};
}

}  // namespace steelyard
