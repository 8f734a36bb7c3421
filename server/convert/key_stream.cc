#include "server/convert/key_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/checksum/crc32c.h"
#include "server/convert/score_function.h"
#include "server/convert/set_resource.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Errors of shared converters name fields of a message; here it stands in
// `open`.
absl::Status InOpen(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value()) return status;
  const absl::string_view message = status.message();
  ErrorDetail moved = *detail;
  moved.field = "open." + detail->field;
  return ErrorWithDetail(status.code(), absl::StrCat("open.", message), moved);
}

absl::StatusOr<StorageType> StorageFromProto(const v1::OpenKeys& open) {
  switch (open.dtype()) {
    case v1::DTYPE_FLOAT64:
      return StorageType::kFloat64;
    case v1::DTYPE_FLOAT32:
      return StorageType::kFloat32;
    case v1::DTYPE_FLOAT16:
      return StorageType::kFloat16;
    case v1::DTYPE_BFLOAT16:
      return StorageType::kBFloat16;
    case v1::DTYPE_UNSPECIFIED:
      return FieldRequiredError("open.dtype", "that of every chunk");
    case v1::DTYPE_INT64:
      return WrongDtypeError("open.dtype", "is DTYPE_INT64",
                             "keys are floating-point numbers");
    default:
      return UnknownEnumError("open.dtype", static_cast<int>(open.dtype()),
                              "DType");
  }
}

absl::Status CheckExtent(const char* field, Index given, Index max,
                         const char* limit) {
  if (given < 1) {
    return OutOfRangeError(field, absl::StrCat(given), "it must be >= 1");
  }
  if (given <= max) return absl::OkStatus();
  return LimitExceededError({.field = field,
                             .what = field,
                             .limit = limit,
                             .value = double(given),
                             .max = double(max)});
}

std::optional<Index> TopM(const v1::OpenKeys& open) {
  if (!open.has_top_m()) return std::nullopt;
  return open.top_m();
}

absl::StatusOr<SetDescription> DescriptionFromProto(const v1::OpenKeys& open,
                                                    const Limits& limits) {
  SetDescription description;
  description.heads = open.heads() == 0 ? 1 : open.heads();
  absl::Status extent = CheckExtent("open.heads", description.heads,
                                    limits.heads_max, "heads_max");
  if (!extent.ok()) return extent;
  if (open.columns() == 0) {
    return FieldRequiredError("open.columns", "d, the length of a key");
  }
  extent = CheckExtent("open.columns", open.columns(), limits.columns_max,
                       "columns_max");
  if (!extent.ok()) return extent;
  description.columns = open.columns();
  if (open.epsilon() == 0.0) {
    return FieldRequiredError(
        "open.epsilon",
        "without a threshold no pass has bounded memory; it must be in (0, 1]");
  }
  const absl::StatusOr<Threshold> threshold =
      ThresholdFromProto(open.epsilon(), TopM(open));
  if (!threshold.ok()) return InOpen(threshold.status());
  description.epsilon = threshold->epsilon;
  description.top_m = threshold->top_m;
  absl::StatusOr<ScoreFunction> function = ScoreFunctionFromProto(
      open.has_function(), open.function(), description.columns);
  if (!function.ok()) return InOpen(function.status());
  if (std::holds_alternative<Softmax>(*function)) {
    return OutOfRangeError("open.function.softmax", "set",
                           "no single pass holds every large softmax score");
  }
  description.function = *std::move(function);
  description.causal = open.causal();
  return description;
}

absl::Status Disagreement(const std::string& field) {
  return ConflictingFieldsError("open." + field, "differs from the state",
                                "with import_state it must agree or be unset");
}

absl::Status CheckOffset(const v1::KeyChunk& chunk,
                         const std::vector<Index>& next_offset) {
  const std::size_t first =
      chunk.has_head() ? static_cast<std::size_t>(chunk.head()) : 0;
  const std::size_t last = chunk.has_head() ? first + 1 : next_offset.size();
  for (std::size_t head = first; head < last; ++head) {
    if (chunk.offset() == next_offset[head]) continue;
    return OffsetMismatchError(
        "chunk.offset", absl::StrCat("is ", chunk.offset()),
        absl::StrCat("head ", head, " goes on at ", next_offset[head]));
  }
  return absl::OkStatus();
}

absl::Status CheckTensor(const TensorInput& keys, bool one_head,
                         const SetDescription& description,
                         StorageType storage) {
  const std::string path = "chunk.keys";
  if (keys.type() != storage) {
    return WrongDtypeError(path + ".dtype",
                           absl::StrCat("is ", NameOf(keys.type())),
                           absl::StrCat("open.dtype is ", NameOf(storage)));
  }
  if (keys.cols() != description.columns) {
    return WrongShapeError(
        absl::StrCat(path, ".shape[", keys.extents() - 1, "]"),
        absl::StrCat("is ", keys.cols()),
        absl::StrCat("the keys of this session have ", description.columns,
                     " columns"));
  }
  const Index heads = one_head ? 1 : description.heads;
  if (keys.heads() != heads) {
    return WrongShapeError(
        path + ".shape",
        keys.extents() == 3 ? absl::StrCat("has ", keys.heads(), " heads")
                            : "is one head",
        one_head ? "chunk.head is set, so it must be rows x columns"
                 : absl::StrCat("chunk.head is unset, so it must be ", heads,
                                " heads x rows x columns"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StreamOpening> OpeningFromProto(const v1::OpenKeys& open,
                                               const Limits& limits) {
  StreamOpening opening;
  if (open.resume() && open.import_state()) {
    return ConflictingFieldsError("open.import_state", "is set",
                                  "open.resume is set, too");
  }
  if (open.resume() && open.set_id().empty()) {
    return FieldRequiredError("open.set_id", "the session to resume");
  }
  absl::StatusOr<SetRequest> request = SetRequestFromProto(
      open.set_id(), open.has_ttl() && !open.resume(), open.ttl(), "open.");
  if (!request.ok()) return request.status();
  opening.request = *std::move(request);
  if (open.resume()) {
    opening.kind = StreamOpening::Kind::kResume;
    return opening;
  }
  if (open.first_index() < 0) {
    return OutOfRangeError("open.first_index", absl::StrCat(open.first_index()),
                           "it must be >= 0");
  }
  if (open.import_state()) {
    opening.kind = StreamOpening::Kind::kImport;
    return opening;
  }
  absl::StatusOr<SetDescription> description =
      DescriptionFromProto(open, limits);
  if (!description.ok()) return description.status();
  opening.description = *std::move(description);
  const absl::StatusOr<StorageType> storage = StorageFromProto(open);
  if (!storage.ok()) return storage.status();
  opening.storage = *storage;
  opening.first_index = open.first_index();
  return opening;
}

absl::Status CheckAgreement(const v1::OpenKeys& open,
                            const SetDescription& description,
                            StorageType storage, Index first_index) {
  if (open.heads() != 0 && open.heads() != description.heads) {
    return Disagreement("heads");
  }
  if (open.columns() != 0 && open.columns() != description.columns) {
    return Disagreement("columns");
  }
  if (open.dtype() != v1::DTYPE_UNSPECIFIED) {
    const absl::StatusOr<StorageType> given = StorageFromProto(open);
    if (!given.ok()) return given.status();
    if (*given != storage) return Disagreement("dtype");
  }
  if (open.epsilon() != 0.0 && open.epsilon() != description.epsilon) {
    return Disagreement("epsilon");
  }
  if (open.has_function()) {
    const absl::StatusOr<ScoreFunction> given =
        ScoreFunctionFromProto(true, open.function(), description.columns);
    if (!given.ok()) return InOpen(given.status());
    if (!GiveTheSameScores(*given, description.function)) {
      return Disagreement("function");
    }
  }
  if (open.has_top_m() && TopM(open) != description.top_m) {
    return Disagreement("top_m");
  }
  if (open.causal() && !description.causal) return Disagreement("causal");
  if (open.first_index() != 0 && open.first_index() != first_index) {
    return Disagreement("first_index");
  }
  return absl::OkStatus();
}

absl::StatusOr<KeyChunkInput> ChunkFromProto(
    const v1::KeyChunk& chunk, const SetDescription& description,
    StorageType storage, const std::vector<Index>& next_offset,
    const Limits& limits) {
  if (chunk.has_head() &&
      (chunk.head() < 0 || chunk.head() >= description.heads)) {
    return OutOfRangeError(
        "chunk.head", absl::StrCat(chunk.head()),
        absl::StrCat("it must be in [0, ", description.heads, ")"));
  }
  if (absl::Status offset = CheckOffset(chunk, next_offset); !offset.ok()) {
    return offset;
  }
  if (!chunk.has_keys()) {
    return FieldRequiredError("chunk.keys", "the next keys");
  }
  const auto bytes = static_cast<std::int64_t>(chunk.keys().data().size());
  if (bytes > limits.chunk_bytes_max) {
    return LimitExceededError({.field = "chunk.keys.data",
                               .what = "the size of chunk.keys.data",
                               .limit = "chunk_bytes_max",
                               .value = double(bytes),
                               .max = double(limits.chunk_bytes_max)});
  }
  absl::StatusOr<TensorInput> keys = TensorFromProto(
      chunk.keys(), "chunk.keys", {.cols_max = limits.columns_max}, limits);
  if (!keys.ok()) return keys.status();
  if (absl::Status fits =
          CheckTensor(*keys, chunk.has_head(), description, storage);
      !fits.ok()) {
    return fits;
  }
  KeyChunkInput input{.head = {},
                      .offset = chunk.offset(),
                      .rows = keys->rows(),
                      .keys = *std::move(keys),
                      .crc32c = {}};
  if (chunk.has_head()) input.head = chunk.head();
  if (chunk.has_crc32c()) input.crc32c = chunk.crc32c();
  return input;
}

absl::Status CheckChecksum(const v1::KeyChunk& chunk,
                           const KeyChunkInput& input) {
  if (!input.crc32c.has_value()) return absl::OkStatus();
  const std::uint32_t computed = Crc32c(chunk.keys().data());
  if (computed == *input.crc32c) return absl::OkStatus();
  return ChecksumMismatchError(
      "chunk.crc32c", absl::StrCat("is ", *input.crc32c),
      absl::StrCat("that of chunk.keys.data at offset ", input.offset, " is ",
                   computed));
}

absl::Status AtChunk(const absl::Status& status, const KeyChunkInput& chunk,
                     Index first_index) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value() || detail->reason != "NOT_FINITE") return status;
  const auto found = detail->metadata.find("index");
  Index index = 0;
  if (found == detail->metadata.end() ||
      !absl::SimpleAtoi(found->second, &index)) {
    return status;
  }
  const Index row = index / chunk.keys.cols();
  const Index head = chunk.head.value_or(row / chunk.rows);
  const Index key = first_index + chunk.offset + row % chunk.rows;
  ErrorDetail moved = *detail;
  moved.field = chunk.keys.PathOfNumber(found->second);
  moved.metadata["row"] = absl::StrCat(key);
  moved.metadata["head"] = absl::StrCat(head);
  const absl::string_view message = status.message();
  return ErrorWithDetail(
      status.code(),
      absl::StrCat("chunk.", message, "; this is row ", key, " of head ", head),
      moved);
}

std::int64_t KeyBytes(const v1::StreamKeysRequest& request) {
  return request.has_chunk()
             ? static_cast<std::int64_t>(request.chunk().keys().data().size())
             : 0;
}

void OpenedToProto(const std::string& name,
                   const std::vector<Index>& next_offset, const Limits& limits,
                   v1::StreamKeysResponse* response) {
  v1::OpenedKeys* const opened = response->mutable_opened();
  opened->set_name(name);
  opened->mutable_next_offset()->Add(next_offset.begin(), next_offset.end());
  opened->set_chunk_bytes_max(limits.chunk_bytes_max);
}

void AckToProto(const std::vector<Index>& next_offset,
                v1::StreamKeysResponse* response) {
  response->mutable_ack()->mutable_next_offset()->Add(next_offset.begin(),
                                                      next_offset.end());
}

}  // namespace steelyard::server
