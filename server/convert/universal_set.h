// FindUniversalSetRequest -> a problem of core, and back.
//
// A problem has passed every check of the contract that needs no number of a
// tensor; nobody checks again. That the numbers are finite is core's first
// pass. The request message must outlive its problem.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/key_heads.h"
#include "server/convert/tensor_input.h"
#include "server/convert/timing.h"
#include "server/limits/limits.h"
#include "server/sets/set_registry.h"
#include "steelyard/cost.h"
#include "steelyard/universal_set.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class UniversalSetProblem {
 public:
  // H heads of n x d, of which the first `lengths()` rows are valid.
  const TensorInput& keys() const { return keys_; }
  const Lengths& lengths() const { return lengths_; }
  const UniversalSetOptions& options() const { return options_; }
  // Where the set is to be kept; unset: nowhere.
  const std::optional<SetRequest>& kept() const { return kept_; }
  // Of the answer, bytes.
  std::int64_t max_response_bytes() const { return max_response_bytes_; }

 private:
  friend absl::StatusOr<UniversalSetProblem> UniversalSetProblemFromProto(
      const v1::FindUniversalSetRequest& request, const Limits& limits,
      const MatrixLookup& matrices);
  explicit UniversalSetProblem(TensorInput keys) : keys_(std::move(keys)) {}

  TensorInput keys_;
  Lengths lengths_;
  UniversalSetOptions options_;
  std::optional<SetRequest> kept_;
  std::int64_t max_response_bytes_ = 0;
};

// `matrices`: empty where the server keeps none.
absl::StatusOr<UniversalSetProblem> UniversalSetProblemFromProto(
    const v1::FindUniversalSetRequest& request, const Limits& limits,
    const MatrixLookup& matrices = {});

// What is kept where the request asks for it.
SetDescription SetDescriptionOf(const UniversalSetProblem& problem);
// Valid keys, one a head.
std::vector<Index> KeyCounts(const UniversalSetProblem& problem);

// Flops, and bytes beyond the request message: the work of core, aligned copies
// of tensors, the answer's message and its wire form.
Cost CostOf(const UniversalSetProblem& problem, int workers);

// "keys 12x512x32 FLOAT16", for logs.
std::string DescriptionOf(const UniversalSetProblem& problem);

// An error of core with core's argument ("keys") replaced by the proto path
// (`keys.dense.data`). Its rows are those of the padded tensor.
absl::Status AtProtoPath(const absl::Status& status,
                         const UniversalSetProblem& problem);

// Fill `response`, or RESPONSE_TOO_LARGE (then it stays empty, and nothing of
// more than max_response_bytes' own order was allocated). `sets`: one a head,
// in head order.
absl::Status ToProto(const std::vector<UniversalSet>& sets,
                     const UniversalSetProblem& problem, const Timing& timing,
                     v1::FindUniversalSetResponse* response);

// The sets as events of a stream, those of more than limits.chunk_bytes_max in
// parts. `write` returns false when the stream is broken: CANCELLED.
absl::Status WriteSets(
    const std::vector<UniversalSet>& sets, const UniversalSetProblem& problem,
    const Limits& limits,
    absl::FunctionRef<bool(const v1::FindUniversalSetEvent&)> write);

}  // namespace steelyard::server
