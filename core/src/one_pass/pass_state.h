// What a pass knows after whole panels of keys: R and the keys that no score so
// far has excluded.
//
// METHOD  A panel is folded into R, then scored by the R at hand (the scorer),
//   which is made anew when the keys have grown by a quarter. A key that the
//   scorer has not seen scores q / (1 + q), q = k'(R'R)^-1 k: that is its score
//   among fewer keys, so an upper bound, as scores only fall. Keys that bounds by
//   length or in float32 exclude (universal_set/filtered_scores.h) get no score.
//   Candidates are
//   rescored by a fresh R when they have doubled. A scorer without a certified
//   error excludes nobody, and does not replace one that has. Other functions
//   than |x|^2: the same by the bounds of a PowerPass.
//   Rank < d: a key is dropped below EpsilonOfMembers (queryable_set_data.h),
//   which queries near the null space ask for.
//   Causal: a key stays or goes by its score on arrival, once.
//
// SOURCE  NUMERICS N5, N7.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "factor/factor.h"
#include "one_pass/arrival_scores.h"
#include "one_pass/candidate_buffer.h"
#include "one_pass/running_factor.h"
#include "sensitivity/power_pass.h"
#include "steelyard/one_pass.h"
#include "universal_set/membership.h"

namespace steelyard {

// Rows below which a panel is not worth its O(d^3): smaller blocks wait.
Index PendingRows(Index d);
// Of the longest panel.
Index MostPanelRows(Index d);

// Other functions than |x|^2: also kept are keys whose leverage score reaches
// this, at most 16 d, for what they add to Z of a query (N8).
inline constexpr double kLeverageKept = 1.0 / 16.0;

// Copies are cheap (d^2 numbers): work on a copy, and keep it when it went
// well.
class PassState {
 public:
  explicit PassState(const OnePassOptions& options);

  Index keys() const { return factor_.keys(); }
  // Global index of the next key.
  Index next_index() const;
  const std::vector<KeyRange>& ranges() const { return ranges_; }
  const RunningFactor& factor() const { return factor_; }
  const CandidateBuffer& candidates() const { return candidates_; }
  double bytes() const;
  // Rows of the next panel of a long block.
  Index PanelRows() const;

  // The next keys. `row_offset` is added to the row that an error names.
  // COST    2 c d^2 flops, d^3 amortised. ERRORS as OnePassUniversalSet::Add;
  //         then this copy is good for nothing.
  absl::Status AddPanel(const AnyMatrixView& keys, Index row_offset,
                        const ComputeContext& context);

  // The factor of all keys so far, with a condition number.
  absl::StatusOr<Factor> CurrentFactor(const ComputeContext& context) const;

  // Scores of all candidates, in their order.
  absl::StatusOr<LeverageScores> ScoreCandidates(
      const Factor& factor, const ComputeContext& context) const;

  // Other functions than |x|^2: intervals of all candidates, in their order,
  // with their `leverage`.
  absl::StatusOr<std::vector<SensitivityInterval>> IntervalsOfCandidates(
      const LeverageScores& leverage, const ComputeContext& context) const;
  const PowerPass& power() const { return power_; }

  // Causal only: sum of the scores on arrival, and of their upper ends.
  double arrival_total() const { return arrival_total_; }
  double arrival_bound() const { return arrival_bound_; }

  // Goes on where a state that was checked left off. This one has seen nothing.
  // ERRORS  InvalidArgument STATE_CORRUPT: the coreset.
  absl::Status Resume(Triangle triangle, CandidateList candidates,
                      const OnePassState& state, const ComputeContext& context);

  // All keys of `other`; `ranges` are those of both, disjoint.
  absl::Status Join(const PassState& other, std::vector<KeyRange> ranges,
                    const ComputeContext& context);

  // Drops what a fresh R excludes.
  absl::Status Prune(const ComputeContext& context);

 private:
  struct Scorer {
    Factor factor;
    Index keys = 0;                   // that the factor is of
    std::vector<Index> zero_columns;  // of these keys
  };

  absl::Status Refresh(const ComputeContext& context);
  // A column that was zero for the scorer has been filled since. In the scales
  // of the scorer its numbers may be so small that they seem to be rounding.
  bool ScorerMissesColumns() const;
  // Keys can be excluded by the scorer at hand.
  bool ScorerExcludes() const;
  absl::Status AddByArrival(const AnyMatrixView& keys, Index row_offset,
                            const ComputeContext& context);
  void TakeCandidates(const AnyMatrixView& keys,
                      const std::vector<unsigned char>& keep,
                      const ArrivalScores* arrivals);
  // Other functions than |x|^2.
  absl::Status AddByBounds(const AnyMatrixView& keys, Index row_offset,
                           const ComputeContext& context);
  absl::Status PruneByBounds(const ComputeContext& context);
  absl::StatusOr<std::vector<unsigned char>> KeysToKeepByBounds(
      const AnyMatrixView& keys, const ComputeContext& context) const;
  // `lengths`: of the keys, or without squares.
  absl::StatusOr<std::vector<unsigned char>> KeysToKeep(
      const AnyMatrixView& keys, RowLengths lengths,
      const ComputeContext& context) const;
  // Scores of the keys; above them where that is below `epsilon`, too.
  absl::StatusOr<LeverageScores> ScoresUpTo(
      double epsilon, const AnyMatrixView& keys, RowLengths lengths,
      const ComputeContext& context) const;

  double epsilon_;
  bool causal_;
  Index first_index_;
  RunningFactor factor_;
  PowerPass power_;
  std::vector<KeyRange> ranges_;
  CandidateBuffer candidates_;
  std::shared_ptr<const Scorer> scorer_;
  Index refreshed_at_ = 0;  // keys when the scorer was last made
  Index prune_above_;       // candidates
  double arrival_total_ = 0.0;
  double arrival_bound_ = 0.0;
};

}  // namespace steelyard
