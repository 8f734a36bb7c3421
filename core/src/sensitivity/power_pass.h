// One pass for f = sum c_i |x|^p_i: a coreset for every p, and what they and
// the leverage scores say together.
//
// SOURCE  NUMERICS N7: sigma^f <= max_i sigma^(p_i).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sensitivity/key_refiner.h"
#include "sensitivity/power_coreset.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix_view.h"
#include "steelyard/score_function.h"
#include "universal_set/membership.h"

namespace steelyard {

class PowerPass {
 public:
  // |x|^2: nothing is kept, `used` is false. Not for softmax.
  PowerPass(const ScoreFunction& function, Index d);

  bool used() const { return !coresets_.empty(); }
  double bytes() const;

  // As PowerCoreset::Add, the largest bound of all p.
  absl::Status Add(const AnyMatrixView& keys, const ComputeContext& context,
                   std::vector<double>* arrival);
  absl::Status Refresh(const ComputeContext& context);

  // Intervals of keys among those added. `leverage`: scores of the same keys,
  // of all keys so far or fewer; for ends from below all `n` of them.
  absl::StatusOr<std::vector<SensitivityInterval>> Intervals(
      const AnyMatrixView& keys, const LeverageScores& leverage,
      const ComputeContext& context) const;

  // An upper bound of the sum of all true sensitivities: d^max(1, p/2), summed
  // over p.
  double TotalSensitivity(Index rank) const;

  absl::Status Merge(const PowerPass& other, const ComputeContext& context);
  absl::StatusOr<std::string> Serialize(const ComputeContext& context) const;
  // ERRORS  InvalidArgument STATE_CORRUPT, STATE_FORMAT_TOO_NEW.
  absl::Status Resume(absl::string_view bytes, Index keys,
                      const ComputeContext& context);

 private:
  Index d_;
  std::vector<PowerCoreset> coresets_;
};

}  // namespace steelyard
