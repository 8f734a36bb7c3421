// The messages of UploadMatrix: what is to be stored, and its pieces.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/limits/limits.h"
#include "server/storage/matrix_layout.h"
#include "steelyard/compute_context.h"
#include "steelyard/v1/matrix_service.pb.h"

namespace steelyard::server {

// A header whose layout some matrix can have.
struct UploadOrder {
  std::string id;
  MatrixLayout layout;
  std::uint32_t crc32c = 0;
};

// ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE (the id), WRONG_DTYPE,
//         UNKNOWN_ENUM, WRONG_SHAPE, SHAPE_OVERFLOW, LIMIT_EXCEEDED.
absl::StatusOr<UploadOrder> UploadOrderFromProto(const v1::UploadHeader& header,
                                                 const Limits& limits);

// Whether the bytes of a chunk are whole and the next ones of `total`, of which
// `committed` are there.
//
// ERRORS  FIELD_REQUIRED, LIMIT_EXCEEDED (chunk_bytes_max), OFFSET_MISMATCH,
//         WRONG_SIZE, CHECKSUM_MISMATCH.
absl::Status CheckChunk(const v1::UploadChunk& chunk, std::int64_t committed,
                        std::int64_t total, const Limits& limits);

// The stream ended after `committed` of `total` bytes.
absl::Status EndedEarlyError(std::int64_t committed, std::int64_t total);

// The numbers of all bytes of a matrix: finite; of a sparse one also offsets,
// columns and padding. Part of the admitted work.
//
// ERRORS  NOT_FINITE with the index, WRONG_SHAPE, FIELD_OUT_OF_RANGE (padding),
//         all at `chunk.data`; those of the stop token.
absl::Status CheckNumbers(const MatrixLayout& layout, const std::byte* bytes,
                          const ComputeContext& context);

// "400000x256 FLOAT64", "1000x500 CSR of 2500 FLOAT32", for logs.
std::string DescriptionOf(const MatrixLayout& layout);

}  // namespace steelyard::server
