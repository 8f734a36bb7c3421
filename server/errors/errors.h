// One constructor for each way a request is refused.
//
// The reasons are the closed list of the wire contract; clients branch on them.
// Every message names the field, what was given and what is required:
// `b.shape[0] is 99; a has 100 rows`. Field paths are proto paths with indices:
// `keys.dense.shape[1]`. grpc_status.h turns these statuses into wire bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "steelyard/matrix_view.h"
#include "steelyard/status.h"

namespace steelyard::server {

// INVALID_ARGUMENT: the request can never succeed as it stands.

// FIELD_REQUIRED: "`field` is required: `rule`".
absl::Status FieldRequiredError(const std::string& field,
                                const std::string& rule);

// FIELD_OUT_OF_RANGE: "`field` is `given`; `rule`".
absl::Status OutOfRangeError(const std::string& field, const std::string& given,
                             const std::string& rule);

// UNKNOWN_ENUM: `value` is not a member of `enum_name` in this version.
absl::Status UnknownEnumError(const std::string& field, int value,
                              const std::string& enum_name);

// WRONG_SHAPE, WRONG_DTYPE, WRONG_SIZE, SHAPE_OVERFLOW, CONFLICTING_FIELDS:
// "`field` `given`; `rule`", as in WrongShapeError("b.shape[0]", "is 99",
// "a has 100 rows").
absl::Status WrongShapeError(const std::string& field, const std::string& given,
                             const std::string& rule);
absl::Status WrongDtypeError(const std::string& field, const std::string& given,
                             const std::string& rule);
absl::Status WrongSizeError(const std::string& field, const std::string& given,
                            const std::string& rule);
absl::Status ShapeOverflowError(const std::string& field,
                                const std::string& given,
                                const std::string& rule);
absl::Status ConflictingFieldsError(const std::string& field,
                                    const std::string& given,
                                    const std::string& rule);

// Messages of a stream: MESSAGE_OUT_OF_ORDER, OFFSET_MISMATCH,
// CHECKSUM_MISMATCH, STATE_CORRUPT, STATE_FORMAT_TOO_NEW, all
// "`field` `given`; `rule`".
absl::Status OutOfOrderError(const std::string& field, const std::string& given,
                             const std::string& rule);
absl::Status OffsetMismatchError(const std::string& field,
                                 const std::string& given,
                                 const std::string& rule);
absl::Status ChecksumMismatchError(const std::string& field,
                                   const std::string& given,
                                   const std::string& rule);
absl::Status StateCorruptError(const std::string& field,
                               const std::string& given,
                               const std::string& rule);
absl::Status StateFormatError(const std::string& field,
                              const std::string& given,
                              const std::string& rule);

// About sets by name.

// NOT_FOUND, ALREADY_EXISTS.
absl::Status SetNotFoundError(const std::string& name);
absl::Status SetExistsError(const std::string& name);
// FAILED_PRECONDITION, SET_FINISHED.
absl::Status SetFinishedError(const std::string& name);
// ABORTED, TAKEN_OVER: another stream has attached to the session.
absl::Status TakenOverError(const std::string& name);
// ABORTED, STREAM_IDLE: nothing has come for so long.
absl::Status StreamIdleError(const std::string& name,
                             std::chrono::milliseconds idle);
// The same of a stream that leaves nothing behind.
absl::Status StreamIdleError(std::chrono::milliseconds idle);
// FAILED_PRECONDITION, EPSILON_BELOW_SET: the set answers for epsilon >= its
// `effective_epsilon`. Metadata: effective_epsilon.
absl::Status EpsilonBelowSetError(double epsilon, double effective_epsilon);

// About stored matrices, by their names "matrices/{id}".

// NOT_FOUND.
absl::Status MatrixNotFoundError(const std::string& name);
// ALREADY_EXISTS: `name` is a matrix or an unfinished upload of another layout
// or checksum; `differs` says what does.
absl::Status MatrixExistsError(const std::string& name,
                               const std::string& differs);

// RESOURCE_EXHAUSTED without RetryInfo: refused again, however often.

// DISK_FULL: there was no room to write `file`. No retry delay: somebody has to
// make room first.
absl::Status DiskFullError(const std::string& file);

// LIMIT_EXCEEDED, limit matrix_directory: this server keeps no matrices.
absl::Status NoMatrixDirectoryError();

// LIMIT_EXCEEDED: `what` (a field path, or a quantity such as "the memory of
// this request") is `value`; the server's limit `limit` is `max`. `field` may
// be empty. Metadata: limit, value, max.
struct LimitExcess {
  std::string field;
  std::string what;
  std::string limit;  // a name of GetServerInfo: "columns_max"
  double value = 0.0;
  double max = 0.0;
};
absl::Status LimitExceededError(const LimitExcess& excess);

// RESPONSE_TOO_LARGE: the answer needs at least `bytes`, the caller takes
// `max`; `remedy` names what to do (the streaming RPC, a larger epsilon).
// Metadata: limit (max_response_bytes), value, max.
absl::Status ResponseTooLargeError(std::int64_t bytes, std::int64_t max,
                                   const std::string& remedy);

// RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure: a retry can succeed.

// QUEUE_FULL: `waiting` requests wait already, as many as may.
absl::Status QueueFullError(std::int64_t waiting,
                            std::chrono::milliseconds retry_delay);

// QUEUE_FULL: as many streams as there may be are open.
absl::Status StreamsFullError(std::int64_t streams,
                              std::chrono::milliseconds retry_delay);

// QUEUE_FULL: as many unfinished uploads as there may be are kept.
absl::Status UploadsFullError(std::int64_t uploads,
                              std::chrono::milliseconds retry_delay);

// MEMORY_BUDGET: `needed` bytes do not fit beside the `reserved` ones now. For
// a request that is larger than the whole budget use LimitExceededError.
struct MemoryShortage {
  double needed = 0.0;
  double reserved = 0.0;
  double budget = 0.0;
};
absl::Status MemoryBudgetError(const MemoryShortage& shortage,
                               std::chrono::milliseconds retry_delay);

// MEMORY_BUDGET: an allocation failed (std::bad_alloc).
absl::Status OutOfMemoryError(std::chrono::milliseconds retry_delay);

// DEADLINE_EXCEEDED, DEADLINE_TOO_SHORT: the work would take about
// `estimated_seconds`, queue included, and `remaining_seconds` are left.
// Metadata: estimated_seconds.
absl::Status DeadlineTooShortError(double estimated_seconds,
                                   double remaining_seconds);

// UNAVAILABLE, DRAINING: another server, or this one after its restart.
absl::Status DrainingError();

// What the constructors above attach besides steelyard::DetailOf.
std::optional<std::chrono::milliseconds> RetryDelayOf(
    const absl::Status& status);
// Subject of the quota that is used up: "queue", "memory".
std::optional<std::string> QuotaSubjectOf(const absl::Status& status);

// The same status with another field path: core names its own arguments
// ("keys"), the wire names proto paths (`keys.dense.data`). A status without
// detail is returned as it is.
absl::Status WithField(const absl::Status& status, const std::string& field);

// NOT_FINITE of a matrix of `cols` columns, told with another row: core counts
// the rows of what it was given. Message and `index` follow. Any other status,
// and one without an index, is returned as it is.
absl::Status WithRow(const absl::Status& status, Index cols,
                     absl::FunctionRef<Index(Index row)> row);

}  // namespace steelyard::server
