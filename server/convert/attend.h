// AttendRequest, and the messages of StreamAttend -> problems of core.
//
// A problem has passed every check of the contract that needs no number of a
// tensor; nobody checks again. The messages must outlive their problems.
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
#include "steelyard/attend.h"
#include "steelyard/cost.h"
#include "steelyard/universal_set.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// What every query attends to: all of a request but its queries.
class AttendTerms {
 public:
  // Unset: a set that the server holds is attended alone.
  const std::optional<TensorInput>& keys() const { return keys_; }
  const TensorInput& values() const { return values_; }
  // Brings stored keys and values; part of the admitted work, before
  // TensorMatrices.
  absl::Status Load(const StopToken& stop) const;
  // Of keys and values.
  const Lengths& lengths() const { return lengths_; }
  const KeyShape& shape() const { return shape_; }
  // Without positions.
  const AttendOptions& options() const { return options_; }
  // A set that the server holds is attended.
  bool with_set() const { return with_set_; }
  // Of the set: its keys, all heads together.
  double members() const { return members_; }
  StorageType output_type() const { return output_type_; }
  // Of the answer; not used in streams.
  std::int64_t max_response_bytes() const { return max_response_bytes_; }

  // The set is found from the keys, by these options; unset: there is none to
  // find.
  std::optional<UniversalSetOptions> search() const;

 private:
  friend class AttendTermsReader;
  explicit AttendTerms(TensorInput values) : values_(std::move(values)) {}

  std::optional<TensorInput> keys_;
  TensorInput values_;
  Lengths lengths_;
  KeyShape shape_;
  AttendOptions options_;
  bool with_set_ = false;
  double members_ = 0.0;
  StorageType output_type_ = StorageType::kFloat64;
  std::int64_t max_response_bytes_ = 0;
};

class AttendProblem {
 public:
  const AttendTerms& terms() const { return terms_; }
  const QueryRows& rows() const { return rows_; }
  // With positions.
  AttendOptions options() const;

 private:
  friend absl::StatusOr<AttendProblem> AttendProblemFromProto(
      const v1::AttendRequest& request, const SetFacts* set,
      const Limits& limits, const MatrixLookup& matrices);
  friend absl::StatusOr<AttendProblem> AttendBlockFromProto(
      const v1::QueryBlock& block, const AttendTerms& terms,
      const Limits& limits);
  AttendProblem(AttendTerms terms, QueryRows rows)
      : terms_(std::move(terms)), rows_(std::move(rows)) {}

  AttendTerms terms_;
  QueryRows rows_;
};

// `set`: what the set that the request names tells; null: it names none.
// `matrices`: empty where the server keeps none.
absl::StatusOr<AttendProblem> AttendProblemFromProto(
    const v1::AttendRequest& request, const SetFacts* set, const Limits& limits,
    const MatrixLookup& matrices = {});

// The first message of a stream: without queries.
absl::StatusOr<AttendTerms> AttendOpenFromProto(
    const v1::AttendRequest& request, const SetFacts* set, const Limits& limits,
    const MatrixLookup& matrices = {});
absl::StatusOr<AttendProblem> AttendBlockFromProto(const v1::QueryBlock& block,
                                                   const AttendTerms& terms,
                                                   const Limits& limits);

// Flops, and bytes beyond the request message: the work of core, aligned copies
// of tensors, the answer's message and its wire form.
Cost CostOf(const AttendProblem& problem, int workers);

// Of an open, without its answers: PrepareAttend and what it returns, aligned
// copies of tensors.
Cost CostOfOpen(const AttendTerms& terms, int workers);

// Of a block, its answer in parts.
Cost CostOfBlock(const AttendProblem& problem, const AttendKeys& keys,
                 const Limits& limits, int workers);

// "keys 12x512x32 FLOAT16, values 12x512x32 FLOAT16, queries ...", for logs.
std::string DescriptionOf(const AttendTerms& terms);
std::string DescriptionOf(const AttendProblem& problem);

// An error of core with core's argument ("values") replaced by the proto path
// (`values.dense.data`; `values.dense.shape[0]` where it has other rows than a
// set has keys, and `lengths` where these say so).
absl::Status AtProtoPath(const absl::Status& status, const AttendTerms& terms);
absl::Status AtProtoPath(const absl::Status& status,
                         const AttendProblem& problem);

}  // namespace steelyard::server
