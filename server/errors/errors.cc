#include "server/errors/errors.h"

#include <cmath>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace steelyard::server {
namespace {

constexpr absl::string_view kRetryDelayUrl = "steelyard/retry_delay_ms";
constexpr absl::string_view kQuotaSubjectUrl = "steelyard/quota_subject";

absl::Status InvalidField(const char* reason, const std::string& field,
                          const std::string& message) {
  return ErrorWithDetail(absl::StatusCode::kInvalidArgument, message,
                         {.reason = reason, .field = field, .metadata = {}});
}

// "`field` `given`; `rule`".
std::string Message(const std::string& field, const std::string& given,
                    const std::string& rule) {
  return absl::StrCat(field, " ", given, "; ", rule);
}

// Sizes as people count them: whole numbers, without an exponent.
std::string Whole(double value) { return absl::StrFormat("%.0f", value); }

absl::Status Busy(const char* reason, const char* quota_subject,
                  const std::string& message,
                  std::chrono::milliseconds retry_delay) {
  absl::Status status =
      ErrorWithDetail(absl::StatusCode::kResourceExhausted, message,
                      {.reason = reason, .field = "", .metadata = {}});
  status.SetPayload(kRetryDelayUrl,
                    absl::Cord(absl::StrCat(retry_delay.count())));
  status.SetPayload(kQuotaSubjectUrl, absl::Cord(quota_subject));
  return status;
}

}  // namespace

absl::Status FieldRequiredError(const std::string& field,
                                const std::string& rule) {
  return InvalidField("FIELD_REQUIRED", field,
                      absl::StrCat(field, " is required: ", rule));
}

absl::Status OutOfRangeError(const std::string& field, const std::string& given,
                             const std::string& rule) {
  return InvalidField("FIELD_OUT_OF_RANGE", field,
                      absl::StrCat(field, " is ", given, "; ", rule));
}

absl::Status UnknownEnumError(const std::string& field, int value,
                              const std::string& enum_name) {
  return InvalidField("UNKNOWN_ENUM", field,
                      absl::StrCat(field, " is ", value,
                                   "; this version knows no such ", enum_name));
}

absl::Status WrongShapeError(const std::string& field, const std::string& given,
                             const std::string& rule) {
  return InvalidField("WRONG_SHAPE", field, Message(field, given, rule));
}

absl::Status WrongDtypeError(const std::string& field, const std::string& given,
                             const std::string& rule) {
  return InvalidField("WRONG_DTYPE", field, Message(field, given, rule));
}

absl::Status WrongSizeError(const std::string& field, const std::string& given,
                            const std::string& rule) {
  return InvalidField("WRONG_SIZE", field, Message(field, given, rule));
}

absl::Status ShapeOverflowError(const std::string& field,
                                const std::string& given,
                                const std::string& rule) {
  return InvalidField("SHAPE_OVERFLOW", field, Message(field, given, rule));
}

absl::Status ConflictingFieldsError(const std::string& field,
                                    const std::string& given,
                                    const std::string& rule) {
  return InvalidField("CONFLICTING_FIELDS", field, Message(field, given, rule));
}

absl::Status OutOfOrderError(const std::string& field, const std::string& given,
                             const std::string& rule) {
  return InvalidField("MESSAGE_OUT_OF_ORDER", field,
                      Message(field, given, rule));
}

absl::Status OffsetMismatchError(const std::string& field,
                                 const std::string& given,
                                 const std::string& rule) {
  return InvalidField("OFFSET_MISMATCH", field, Message(field, given, rule));
}

absl::Status ChecksumMismatchError(const std::string& field,
                                   const std::string& given,
                                   const std::string& rule) {
  return InvalidField("CHECKSUM_MISMATCH", field, Message(field, given, rule));
}

absl::Status StateCorruptError(const std::string& field,
                               const std::string& given,
                               const std::string& rule) {
  return InvalidField("STATE_CORRUPT", field, Message(field, given, rule));
}

absl::Status StateFormatError(const std::string& field,
                              const std::string& given,
                              const std::string& rule) {
  return InvalidField("STATE_FORMAT_TOO_NEW", field,
                      Message(field, given, rule));
}

absl::Status SetNotFoundError(const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat("this server has no ", name,
                   "; it was never here, was deleted or has expired"));
}

absl::Status SetExistsError(const std::string& name) {
  return absl::AlreadyExistsError(
      absl::StrCat(name, " is taken; choose another id or delete it first"));
}

absl::Status NoMatrixDirectoryError() {
  return ErrorWithDetail(
      absl::StatusCode::kResourceExhausted,
      "this server keeps no matrices; start it with --matrix-directory",
      {.reason = "LIMIT_EXCEEDED",
       .field = "",
       .metadata = {
           {"limit", "matrix_directory"}, {"value", "1"}, {"max", "0"}}});
}

absl::Status SetFinishedError(const std::string& name) {
  return ErrorWithDetail(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(name, " is finished and takes no more keys"),
      {.reason = "SET_FINISHED", .field = "open.set_id", .metadata = {}});
}

absl::Status TakenOverError(const std::string& name) {
  return ErrorWithDetail(absl::StatusCode::kAborted,
                         absl::StrCat("another stream has attached to ", name),
                         {.reason = "TAKEN_OVER", .field = "", .metadata = {}});
}

absl::Status StreamIdleError(const std::string& name,
                             std::chrono::milliseconds idle) {
  return ErrorWithDetail(
      absl::StatusCode::kAborted,
      absl::StrFormat("no message has come for %.3g s; resume %s to go on",
                      std::chrono::duration<double>(idle).count(), name),
      {.reason = "STREAM_IDLE", .field = "", .metadata = {}});
}

absl::Status StreamIdleError(std::chrono::milliseconds idle) {
  return ErrorWithDetail(
      absl::StatusCode::kAborted,
      absl::StrFormat("no message has come for %.3g s; open another stream to "
                      "go on",
                      std::chrono::duration<double>(idle).count()),
      {.reason = "STREAM_IDLE", .field = "", .metadata = {}});
}

absl::Status EpsilonBelowSetError(double epsilon, double effective_epsilon) {
  return ErrorWithDetail(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("epsilon is ", epsilon, "; this set answers for epsilon >= ",
                   effective_epsilon, ", its effective_epsilon"),
      {.reason = "EPSILON_BELOW_SET",
       .field = "epsilon",
       .metadata = {{"effective_epsilon", absl::StrCat(effective_epsilon)}}});
}

absl::Status MatrixNotFoundError(const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat("this server has no ", name,
                   "; it was never here, was deleted or has expired"));
}

absl::Status MatrixExistsError(const std::string& name,
                               const std::string& differs) {
  return absl::AlreadyExistsError(
      absl::StrCat(name, " is here with another ", differs,
                   "; choose another id or delete it first"));
}

absl::Status DiskFullError(const std::string& file) {
  return ErrorWithDetail(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the disk of the stored matrices is full, writing ", file,
                   "; what was acknowledged is kept: go on when there is room"),
      {.reason = "DISK_FULL", .field = "", .metadata = {}});
}

absl::Status LimitExceededError(const LimitExcess& excess) {
  return ErrorWithDetail(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat(excess.what, " is ", Whole(excess.value),
                   "; this server takes at most ", Whole(excess.max), " (",
                   excess.limit, ")"),
      {.reason = "LIMIT_EXCEEDED",
       .field = excess.field,
       .metadata = {{"limit", excess.limit},
                    {"value", Whole(excess.value)},
                    {"max", Whole(excess.max)}}});
}

absl::Status ResponseTooLargeError(std::int64_t bytes, std::int64_t max,
                                   const std::string& remedy) {
  return ErrorWithDetail(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the answer has at least ", bytes,
                   " bytes; max_response_bytes is ", max, ". ", remedy),
      {.reason = "RESPONSE_TOO_LARGE",
       .field = "max_response_bytes",
       .metadata = {{"limit", "max_response_bytes"},
                    {"value", absl::StrCat(bytes)},
                    {"max", absl::StrCat(max)}}});
}

absl::Status QueueFullError(std::int64_t waiting,
                            std::chrono::milliseconds retry_delay) {
  return Busy("QUEUE_FULL", "queue",
              absl::StrCat("the queue is full: ", waiting,
                           " requests wait; retry later"),
              retry_delay);
}

absl::Status StreamsFullError(std::int64_t streams,
                              std::chrono::milliseconds retry_delay) {
  return Busy("QUEUE_FULL", "streams",
              absl::StrCat(streams,
                           " streams are open, as many as there may be; retry "
                           "later"),
              retry_delay);
}

absl::Status UploadsFullError(std::int64_t uploads,
                              std::chrono::milliseconds retry_delay) {
  return Busy("QUEUE_FULL", "uploads",
              absl::StrCat(uploads,
                           " uploads are not finished, as many as there may be "
                           "(--uploads-max); go on with one, delete one or "
                           "retry later"),
              retry_delay);
}

absl::Status MemoryBudgetError(const MemoryShortage& shortage,
                               std::chrono::milliseconds retry_delay) {
  return Busy(
      "MEMORY_BUDGET", "memory",
      absl::StrCat("this request needs ", Whole(shortage.needed), " bytes; ",
                   Whole(shortage.reserved), " of ", Whole(shortage.budget),
                   " are reserved by others; retry later"),
      retry_delay);
}

absl::Status OutOfMemoryError(std::chrono::milliseconds retry_delay) {
  return Busy("MEMORY_BUDGET", "memory",
              "the process could not allocate memory for this request; retry "
              "later",
              retry_delay);
}

absl::Status DeadlineTooShortError(double estimated_seconds,
                                   double remaining_seconds) {
  return ErrorWithDetail(
      absl::StatusCode::kDeadlineExceeded,
      absl::StrFormat("the work would take about %.3g s, queue included; %.3g "
                      "s are left until the deadline",
                      estimated_seconds, remaining_seconds),
      {.reason = "DEADLINE_TOO_SHORT",
       .field = "",
       .metadata = {
           {"estimated_seconds", absl::StrFormat("%.6g", estimated_seconds)}}});
}

absl::Status DrainingError() {
  return ErrorWithDetail(
      absl::StatusCode::kUnavailable,
      "this server is shutting down and takes no new work; retry elsewhere",
      {.reason = "DRAINING", .field = "", .metadata = {}});
}

std::optional<std::chrono::milliseconds> RetryDelayOf(
    const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryDelayUrl);
  std::int64_t milliseconds = 0;
  if (!payload.has_value() ||
      !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

std::optional<std::string> QuotaSubjectOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kQuotaSubjectUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

absl::Status WithField(const absl::Status& status, const std::string& field) {
  std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return status;
  detail->field = field;
  const absl::string_view message = status.message();
  return ErrorWithDetail(
      status.code(), std::string_view(message.data(), message.size()), *detail);
}

absl::Status WithRow(const absl::Status& status, Index cols,
                     absl::FunctionRef<Index(Index row)> row) {
  std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value() || detail->reason != "NOT_FINITE") return status;
  const auto index = detail->metadata.find("index");
  Index flat = 0;
  if (index == detail->metadata.end() ||
      !absl::SimpleAtoi(index->second, &flat)) {
    return status;
  }
  const Index moved = row(flat / cols);
  index->second = absl::StrCat(moved * cols + flat % cols);
  // "keys[7,3] is nan; ...": what stands in the brackets.
  std::string message(status.message());
  const std::string given = absl::StrCat("[", flat / cols, ",");
  const std::size_t place = message.find(given);
  if (place != std::string::npos) {
    message.replace(place, given.size(), absl::StrCat("[", moved, ","));
  }
  return ErrorWithDetail(status.code(), message, *detail);
}

}  // namespace steelyard::server
