// Upper bounds of |x|^p sensitivities in one pass: d^2 numbers, whatever the
// number of keys.
//
//     M = sum w_i^(1-2/p) k_i k_i',  W = sum w_i,  a_j = k_j' M^-1 k_j
//     p >= 2   sigma_j <= a_j^(p/2) W^(p/2-1)
//     p <= 2   sigma_j <= a_j^(p/2)
//
// METHOD  A key's weight is fixed on arrival: the root of w^(2/p) + w q = q,
//   q = k'M^-1 k for the M before its panel (w = 1 for a new direction, for
//   q >= 1 and where no error is certified). Then w^(2/p) >= a_i from there on,
//   as a_i only falls: for p <= 2 the factor C of lewis_bounds.h is at most 1.
//   p >= 2: any weights do. The first panel gets Lewis weights of its own. M is
//   kept as a RunningFactor of the weighted keys; their rounding, u an entry,
//   is far below the error that it counts for each of its panels.
//   M and W of shards add up (N6).
//
// SOURCE  NUMERICS N7, N5, N6.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "factor/factor.h"
#include "one_pass/running_factor.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// w^(2/p) + w q >= q, and equal to rounding; 0 <= q < 1.
double ArrivalWeight(double q, double p);

// Copies share nothing that changes: work on a copy, keep it when all went
// well.
class PowerCoreset {
 public:
  // p in [1, 64]. p = 2: w = q / (1 + q), and M is R'R.
  PowerCoreset(double p, Index d);

  double p() const { return p_; }
  Index keys() const { return factor_.keys(); }
  double weight_sum() const { return weight_hi_ + weight_lo_; }
  double bytes() const;

  // More keys, finite, a panel at a time (thousands of rows).
  // arrival: unset, or filled with upper bounds of each key's sensitivity among
  // the keys up to itself, by panels that are at most a quarter of what is
  // there.
  // COST    4 c d^2 flops and O(d^3); the first panel some 24 times as much.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted; then this copy is good for
  //         nothing.
  absl::Status Add(const AnyMatrixView& keys, const ComputeContext& context,
                   std::vector<double>* arrival = nullptr);

  // Upper bounds for keys among those added, by the M of the last Refresh.
  absl::StatusOr<std::vector<double>> UpperBounds(
      const AnyMatrixView& keys, const ComputeContext& context) const;
  // Takes all keys so far into account. COST d^3 flops.
  absl::Status Refresh(const ComputeContext& context);

  absl::Status Merge(const PowerCoreset& other, const ComputeContext& context);

  // Version, p, d and all of the above; little-endian.
  absl::StatusOr<std::string> Serialize(const ComputeContext& context) const;
  // Takes one coreset off the front of `bytes`. ERRORS InvalidArgument
  // STATE_CORRUPT, field "coreset": not a coreset of this p, d and number of
  // keys; STATE_FORMAT_TOO_NEW.
  static absl::StatusOr<PowerCoreset> Parse(double p, Index d, Index keys,
                                            const ComputeContext& context,
                                            absl::string_view* bytes);

 private:
  absl::StatusOr<std::vector<double>> WeightsOfFirst(
      const AnyMatrixView& keys, const ComputeContext& context) const;
  absl::StatusOr<std::vector<double>> WeightsOnArrival(
      const AnyMatrixView& keys, const ComputeContext& context) const;
  absl::Status AddPanel(const AnyMatrixView& keys,
                        const ComputeContext& context,
                        std::vector<double>* arrival);
  absl::Status Fold(const AnyMatrixView& keys,
                    const std::vector<double>& weights,
                    const ComputeContext& context);
  // A column that was zero for the scorer has been filled since.
  bool ScorerMissesColumns() const;
  void AddWeight(double w);
  double BoundOf(double a, double weight_sum) const;

  double p_;
  RunningFactor factor_;  // of w^(1/2-1/p) k
  double weight_hi_ = 0.0;
  double weight_lo_ = 0.0;
  std::shared_ptr<const Factor> scorer_;  // unset: nothing is known
  Index refreshed_at_ = 0;
};

// Keys that one pass keeps beside R: coresets of every p of a function.
double BytesOfPowerCoreset(Index d);

}  // namespace steelyard
