// Queries of a request or of a block of a stream, and where they stand among
// the keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/score_function.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// What a set that the server holds tells before any work.
struct SetFacts {
  Index heads = 1;
  Index columns = 1;
  ScoreFunction function = Power{2.0};
  bool causal = false;
  // Keys that numerators are taken over, all heads together, at most.
  double members = 0.0;
};

// The id that a request names a set by; unset: it names none. ERRORS
// FIELD_REQUIRED, FIELD_OUT_OF_RANGE.
absl::StatusOr<std::optional<std::string>> SetIdFromProto(
    const v1::QueryHeavyRequest& request);
absl::StatusOr<std::optional<std::string>> SetIdFromProto(
    const v1::AttendRequest& request);

// What queries must fit.
struct KeyShape {
  Index heads = 1;
  Index columns = 1;
  // n; unset: not known (a set's keys are global).
  std::optional<Index> rows;
};

struct QueryRows {
  // G heads of m x d, G a multiple of H.
  TensorInput queries;
  // One a query of a head; empty: not given.
  std::vector<Index> positions;
  // Of the field `positions`.
  std::string positions_path;

  double count() const {
    return static_cast<double>(queries.heads()) *
           static_cast<double>(queries.rows());
  }
};

// Where the two fields stand in their message, and how positions are treated.
struct QueryRowsRule {
  std::string prefix = {};  // "block." in a block of a stream
  bool positions_required = false;
  bool positions_refused = false;
};

using PositionList = google::protobuf::RepeatedField<std::int64_t>;

// ERRORS  FIELD_REQUIRED (queries; positions where the rule says so),
//         WRONG_SHAPE, FIELD_OUT_OF_RANGE (positions), CONFLICTING_FIELDS,
//         those of TensorFromProto.
absl::StatusOr<QueryRows> QueryRowsFromProto(const v1::Tensor* queries,
                                             const PositionList& positions,
                                             const KeyShape& keys,
                                             const QueryRowsRule& rule,
                                             const Limits& limits);

// An error of core about "queries" or "positions" at its proto path.
absl::Status AtQueries(const absl::Status& status, const QueryRows& rows);

// An error about a field of the message `message` ("open") of a stream's
// request: its path, and the text where it begins with the path, begin with
// that.
absl::Status InMessage(const absl::Status& status, const std::string& message);

// Unset, or that of the set: CONFLICTING_FIELDS otherwise, also where certified
// softmax is asked of a set.
absl::StatusOr<ScoreFunction> FunctionOfSet(bool given,
                                            const v1::ScoreFunction& function,
                                            const SetFacts& set);

}  // namespace steelyard::server
