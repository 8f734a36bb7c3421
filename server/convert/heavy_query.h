// QueryHeavyRequest, and the messages of StreamQueryHeavy -> problems of core.
//
// A problem has passed every check of the contract that needs no number of a
// tensor; nobody checks again. That the numbers are finite is core's first
// pass. The messages must outlive their problems.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/key_heads.h"
#include "server/convert/query_rows.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/cost.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// What is asked of every query: all of a request but its queries.
class HeavyTerms {
 public:
  // Unset: a set that the server holds.
  const std::optional<TensorInput>& keys() const { return keys_; }
  // Brings stored keys; part of the admitted work, before TensorMatrices.
  absl::Status Load(const StopToken& stop) const;
  const Lengths& lengths() const { return lengths_; }
  const KeyShape& shape() const { return shape_; }
  // Without positions.
  const HeavyOptions& options() const { return options_; }
  // In arrays instead of rows.
  bool packed() const { return packed_; }
  // Of the answer; not used in streams.
  std::int64_t max_response_bytes() const { return max_response_bytes_; }
  // Of a set: its keys, all heads together.
  double members() const { return members_; }

 private:
  friend absl::StatusOr<HeavyTerms> HeavyTermsFromProto(
      const v1::QueryHeavyRequest& request, const SetFacts* set,
      const Limits& limits, const MatrixLookup& matrices);

  std::optional<TensorInput> keys_;
  Lengths lengths_;
  KeyShape shape_;
  HeavyOptions options_;
  bool packed_ = false;
  std::int64_t max_response_bytes_ = 0;
  double members_ = 0.0;
};

class HeavyProblem {
 public:
  const HeavyTerms& terms() const { return terms_; }
  const QueryRows& rows() const { return rows_; }
  // With positions.
  HeavyOptions options() const;

 private:
  friend absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
      const v1::QueryHeavyRequest& request, const SetFacts* set,
      const Limits& limits, const MatrixLookup& matrices);
  friend absl::StatusOr<HeavyProblem> HeavyBlockFromProto(
      const v1::QueryBlock& block, const HeavyTerms& terms,
      const Limits& limits);
  HeavyProblem(HeavyTerms terms, QueryRows rows)
      : terms_(std::move(terms)), rows_(std::move(rows)) {}

  HeavyTerms terms_;
  QueryRows rows_;
};

// `set`: what the set that the request names tells; null: it names none.
// `matrices`: empty where the server keeps none.
absl::StatusOr<HeavyTerms> HeavyTermsFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices = {});
absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices = {});

// The first message of a stream: without queries.
absl::StatusOr<HeavyTerms> HeavyOpenFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices = {});
absl::StatusOr<HeavyProblem> HeavyBlockFromProto(const v1::QueryBlock& block,
                                                 const HeavyTerms& terms,
                                                 const Limits& limits);

// Flops, and bytes beyond the request message: the work of core, aligned copies
// of tensors, the answer's message and its wire form.
Cost CostOf(const HeavyProblem& problem, int workers);

// The answer's part of it, where no message has more than `max` bytes.
double AnswerMemoryOf(const HeavyProblem& problem, std::int64_t max);

// "keys 12x512x32 FLOAT16, queries 12x8x32 FLOAT32", for logs.
std::string DescriptionOf(const HeavyTerms& terms);
std::string DescriptionOf(const HeavyProblem& problem);

// An error of core with core's argument ("keys") replaced by the proto path
// (`keys.dense.data`).
absl::Status AtProtoPath(const absl::Status& status, const HeavyTerms& terms);
absl::Status AtProtoPath(const absl::Status& status,
                         const HeavyProblem& problem);

}  // namespace steelyard::server
