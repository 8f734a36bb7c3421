// Keys and values of a stream of attention, made ready once for all its blocks.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "server/convert/attend.h"
#include "server/convert/tensor_input.h"
#include "server/handlers/used_set.h"
#include "steelyard/attend.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"

namespace steelyard::server {

// Immutable.
class AttendSource {
 public:
  // Finds the set, or takes that of `used` as of now, and gathers what every
  // query attends. Where blocks need the tensors of `terms` themselves, they
  // are kept with `message`, which owns them.
  //
  // ERRORS  those of core, about its own arguments.
  static absl::StatusOr<std::shared_ptr<const AttendSource>> Prepare(
      std::shared_ptr<const void> message, const AttendTerms& terms,
      const std::optional<UsedSet>& used, const ComputeContext& context);

  absl::StatusOr<std::vector<AttendedHead>> Find(
      const AttendProblem& problem, const ComputeContext& context) const;

  // Of Find, the answer in parts included.
  Cost CostOf(const AttendProblem& problem, const Limits& limits,
              int workers) const {
    return CostOfBlock(problem, keys_, limits, workers);
  }

  // Held in memory, the message included where it is kept.
  double bytes() const;
  bool keeps_message() const { return inputs_ != nullptr; }

 private:
  // As they came.
  struct Inputs {
    Inputs(std::shared_ptr<const void> owner, const AttendTerms& terms);
    double bytes() const;

    const std::shared_ptr<const void> message;
    const TensorMatrices values;
    std::optional<TensorMatrices> keys;
    const std::vector<AnyMatrixView> value_heads;
    std::vector<AnyMatrixView> key_heads;
    double tensor_bytes = 0.0;
  };

  AttendSource(std::unique_ptr<const Inputs> inputs, AttendKeys keys)
      : inputs_(std::move(inputs)), keys_(std::move(keys)) {}

  const std::unique_ptr<const Inputs> inputs_;  // null: not read any more
  const AttendKeys keys_;
};

// Of Prepare, what it holds included; nothing of reading a set.
Cost CostOfSource(const AttendTerms& terms, int workers);

}  // namespace steelyard::server
