// Messages of StreamKeys -> what a session takes, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "server/sets/set_registry.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::server {

// What the opening message asks for.
struct StreamOpening {
  enum class Kind { kNew, kResume, kImport };
  Kind kind = Kind::kNew;
  // kResume: only `id` is set.
  SetRequest request;
  // kNew.
  SetDescription description;
  StorageType storage = StorageType::kFloat32;
  Index first_index = 0;
};

// Field paths begin with "open.". ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE,
// UNKNOWN_ENUM, LIMIT_EXCEEDED, CONFLICTING_FIELDS, WRONG_DTYPE.
absl::StatusOr<StreamOpening> OpeningFromProto(const v1::OpenKeys& open,
                                               const Limits& limits);

// The fields that an import may repeat agree with the state, or are unset.
// ERRORS  CONFLICTING_FIELDS.
absl::Status CheckAgreement(const v1::OpenKeys& open,
                            const SetDescription& description,
                            StorageType storage, Index first_index);

// One chunk whose header is right. The message must outlive it.
struct KeyChunkInput {
  std::optional<Index> head;
  Index offset = 0;
  Index rows = 0;  // of each head
  TensorInput keys;
  std::optional<std::uint32_t> crc32c;
};

// `next_offset`: what is expected, one a head. Numbers and checksum are left to
// the admitted work. ERRORS  OFFSET_MISMATCH, WRONG_SHAPE, WRONG_DTYPE,
// WRONG_SIZE, LIMIT_EXCEEDED, FIELD_OUT_OF_RANGE and those of TensorFromProto.
absl::StatusOr<KeyChunkInput> ChunkFromProto(
    const v1::KeyChunk& chunk, const SetDescription& description,
    StorageType storage, const std::vector<Index>& next_offset,
    const Limits& limits);

// ERRORS  CHECKSUM_MISMATCH.
absl::Status CheckChecksum(const v1::KeyChunk& chunk,
                           const KeyChunkInput& input);

// NOT_FINITE of a session's Add with the field path, and the global row in
// message and metadata (`row`, `head`). Others as they are.
absl::Status AtChunk(const absl::Status& status, const KeyChunkInput& chunk,
                     Index first_index);

// Bytes of the keys in a message, 0 where it has none.
std::int64_t KeyBytes(const v1::StreamKeysRequest& request);

void OpenedToProto(const std::string& name,
                   const std::vector<Index>& next_offset, const Limits& limits,
                   v1::StreamKeysResponse* response);
void AckToProto(const std::vector<Index>& next_offset,
                v1::StreamKeysResponse* response);

}  // namespace steelyard::server
