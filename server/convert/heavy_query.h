// QueryHeavyRequest -> a problem of core, and back.
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

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/tensor_input.h"
#include "server/convert/timing.h"
#include "server/limits/limits.h"
#include "steelyard/cost.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class HeavyProblem {
 public:
  // H heads of n x d.
  const TensorInput& keys() const { return keys_; }
  // G heads of m x d, G a multiple of H.
  const TensorInput& queries() const { return queries_; }
  const HeavyOptions& options() const { return options_; }
  std::int64_t max_response_bytes() const { return max_response_bytes_; }

 private:
  friend absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
      const v1::QueryHeavyRequest& request, const Limits& limits);
  HeavyProblem(TensorInput keys, TensorInput queries)
      : keys_(std::move(keys)), queries_(std::move(queries)) {}

  TensorInput keys_;
  TensorInput queries_;
  HeavyOptions options_;
  std::int64_t max_response_bytes_ = 0;
};

absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
    const v1::QueryHeavyRequest& request, const Limits& limits);

// Flops, and bytes beyond the request message: the work of core, aligned copies
// of tensors, the answer's message and its wire form.
Cost CostOf(const HeavyProblem& problem, int workers);

// "keys 12x512x32 FLOAT16", for logs.
std::string DescriptionOf(const HeavyProblem& problem);

// An error of core with core's argument ("keys") replaced by the proto path
// (`keys.dense.data`).
absl::Status AtProtoPath(const absl::Status& status,
                         const HeavyProblem& problem);

// RESPONSE_TOO_LARGE before any work, where the shapes alone decide it.
absl::Status CheckResponseSize(const HeavyProblem& problem);

// Fill `response`, or RESPONSE_TOO_LARGE (then it stays empty, and nothing of
// more than max_response_bytes' own order was allocated). `rows`: G * m,
// head-major.
absl::Status ToProto(const std::vector<HeavyRow>& rows,
                     const HeavyProblem& problem, const Timing& timing,
                     v1::QueryHeavyResponse* response);

}  // namespace steelyard::server
