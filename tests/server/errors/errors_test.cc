#include "server/errors/errors.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using std::chrono::milliseconds;

struct Case {
  absl::Status status;
  absl::StatusCode code;
  const char* reason;
  const char* message;
};

TEST(ErrorsTest, EachConstructorHasItsCodeReasonAndSentence) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
  const std::vector<Case> cases = {
      {FieldRequiredError("b", "rule"), kInvalid, "FIELD_REQUIRED",
       "b is required: rule"},
      {OutOfRangeError("epsilon", "2", "it must be in (0, 1]"), kInvalid,
       "FIELD_OUT_OF_RANGE", "epsilon is 2; it must be in (0, 1]"},
      {UnknownEnumError("method", 99, "Method"), kInvalid, "UNKNOWN_ENUM",
       "method is 99; this version knows no such Method"},
      {WrongShapeError("b.shape[0]", "is 99", "a has 100 rows"), kInvalid,
       "WRONG_SHAPE", "b.shape[0] is 99; a has 100 rows"},
      {WrongDtypeError("f", "is g", "r"), kInvalid, "WRONG_DTYPE", "f is g; r"},
      {WrongSizeError("f", "is g", "r"), kInvalid, "WRONG_SIZE", "f is g; r"},
      {ShapeOverflowError("f", "is g", "r"), kInvalid, "SHAPE_OVERFLOW",
       "f is g; r"},
      {ConflictingFieldsError("f", "is g", "r"), kInvalid, "CONFLICTING_FIELDS",
       "f is g; r"},
      {LimitExceededError({"f", "f", "columns_max", 9000, 8192}), kExhausted,
       "LIMIT_EXCEEDED",
       "f is 9000; this server takes at most 8192 (columns_max)"},
      {ResponseTooLargeError(5000, 4000, "Stream it."), kExhausted,
       "RESPONSE_TOO_LARGE",
       "the answer has at least 5000 bytes; max_response_bytes is 4000. Stream "
       "it."},
      {QueueFullError(64, milliseconds(250)), kExhausted, "QUEUE_FULL",
       "the queue is full: 64 requests wait; retry later"},
      {MemoryBudgetError({5e9, 3e9, 7e9}, milliseconds(1)), kExhausted,
       "MEMORY_BUDGET",
       "this request needs 5000000000 bytes; 3000000000 of 7000000000 are "
       "reserved by others; retry later"},
      {OutOfMemoryError(milliseconds(1)), kExhausted, "MEMORY_BUDGET",
       "the process could not allocate memory for this request; retry later"},
      {DeadlineTooShortError(12.5, 1.0), absl::StatusCode::kDeadlineExceeded,
       "DEADLINE_TOO_SHORT",
       "the work would take about 12.5 s, queue included; 1 s are left until "
       "the deadline"},
      {DrainingError(), absl::StatusCode::kUnavailable, "DRAINING",
       "this server is shutting down and takes no new work; retry elsewhere"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(each.status.code(), each.code) << each.status;
    EXPECT_EQ(each.status.message(), each.message);
    ASSERT_TRUE(DetailOf(each.status).has_value());
    EXPECT_EQ(DetailOf(each.status)->reason, each.reason);
  }
}

TEST(ErrorsTest, StreamsAndSetsHaveTheirOwn) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const std::vector<Case> cases = {
      {OutOfOrderError("open", "came twice", "r"), kInvalid,
       "MESSAGE_OUT_OF_ORDER", "open came twice; r"},
      {OffsetMismatchError("f", "is 1", "r"), kInvalid, "OFFSET_MISMATCH",
       "f is 1; r"},
      {ChecksumMismatchError("f", "is 1", "r"), kInvalid, "CHECKSUM_MISMATCH",
       "f is 1; r"},
      {StateCorruptError("f", "is g", "r"), kInvalid, "STATE_CORRUPT",
       "f is g; r"},
      {StateFormatError("f", "is 2", "r"), kInvalid, "STATE_FORMAT_TOO_NEW",
       "f is 2; r"},
      {SetFinishedError("universalSets/a"),
       absl::StatusCode::kFailedPrecondition, "SET_FINISHED",
       "universalSets/a is finished and takes no more keys"},
      {TakenOverError("universalSets/a"), absl::StatusCode::kAborted,
       "TAKEN_OVER", "another stream has attached to universalSets/a"},
      {StreamIdleError("universalSets/a", milliseconds(1500)),
       absl::StatusCode::kAborted, "STREAM_IDLE",
       "no message has come for 1.5 s; resume universalSets/a to go on"},
      {StreamsFullError(7, milliseconds(250)),
       absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
       "7 streams are open, as many as there may be; retry later"},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(each.status.code(), each.code) << each.status;
    EXPECT_EQ(each.status.message(), each.message);
    EXPECT_EQ(DetailOf(each.status)->reason, each.reason);
  }
  EXPECT_EQ(RetryDelayOf(cases.back().status), milliseconds(250));
  EXPECT_EQ(SetNotFoundError("universalSets/a").code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(SetExistsError("universalSets/a").code(),
            absl::StatusCode::kAlreadyExists);
}

TEST(ErrorsTest, StoredMatricesHaveTheirOwn) {
  const absl::Status missing = MatrixNotFoundError("matrices/a");
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(missing.message(),
            "this server has no matrices/a; it was never here, was deleted or "
            "has expired");
  const absl::Status taken = MatrixExistsError("matrices/a", "checksum");
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(taken.message(),
            "matrices/a is here with another checksum; choose another id or "
            "delete it first");
  const absl::Status full = DiskFullError("uploads/a-1.part");
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(full)->reason, "DISK_FULL");
  EXPECT_EQ(RetryDelayOf(full), std::nullopt);
  const absl::Status many = UploadsFullError(7, milliseconds(250));
  EXPECT_EQ(many.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(many)->reason, "QUEUE_FULL");
  EXPECT_EQ(many.message(),
            "7 uploads are not finished, as many as there may be "
            "(--uploads-max); go on with one, delete one or retry later");
  EXPECT_EQ(RetryDelayOf(many), milliseconds(250));
  EXPECT_EQ(QuotaSubjectOf(many), "uploads");
}

TEST(ErrorsTest, OnlyWhatARetryCanCureCarriesADelay) {
  EXPECT_EQ(RetryDelayOf(QueueFullError(1, milliseconds(250))),
            milliseconds(250));
  EXPECT_EQ(RetryDelayOf(MemoryBudgetError({}, milliseconds(1500))),
            milliseconds(1500));
  EXPECT_EQ(QuotaSubjectOf(QueueFullError(1, milliseconds(1))), "queue");
  EXPECT_EQ(QuotaSubjectOf(OutOfMemoryError(milliseconds(1))), "memory");
  for (const absl::Status& final :
       {LimitExceededError({}), ResponseTooLargeError(2, 1, ""),
        DeadlineTooShortError(2, 1), FieldRequiredError("b", "")}) {
    EXPECT_EQ(RetryDelayOf(final), std::nullopt) << final;
    EXPECT_EQ(QuotaSubjectOf(final), std::nullopt) << final;
  }
}

TEST(ErrorsTest, LimitsTellNameValueAndBound) {
  const absl::Status status = LimitExceededError({.field = "a.dense.shape[1]",
                                                  .what = "a.dense.shape[1]",
                                                  .limit = "columns_max",
                                                  .value = 1e15,
                                                  .max = 8192});
  const auto metadata = DetailOf(status)->metadata;
  EXPECT_EQ(metadata.at("limit"), "columns_max");
  EXPECT_EQ(metadata.at("value"), "1000000000000000");
  EXPECT_EQ(metadata.at("max"), "8192");
}

TEST(ErrorsTest, DeadlineTellsItsEstimate) {
  EXPECT_EQ(DetailOf(DeadlineTooShortError(12.5, 1))
                ->metadata.at("estimated_seconds"),
            "12.5");
}

TEST(ErrorsTest, WithFieldChangesNothingElse) {
  const absl::Status core = NotFiniteError("keys", 1, 2, 10, 1.0 / 0.0);
  const absl::Status wire = WithField(core, "keys.dense.data");
  EXPECT_EQ(DetailOf(wire)->field, "keys.dense.data");
  EXPECT_EQ(DetailOf(wire)->metadata, DetailOf(core)->metadata);
  EXPECT_EQ(wire.message(), core.message());
  EXPECT_EQ(wire.code(), core.code());
  const absl::Status plain = absl::CancelledError("gone");
  EXPECT_EQ(WithField(plain, "keys"), plain);
}

}  // namespace
}  // namespace steelyard::server
