// Stored matrices and sources of matrices: structs to messages and back.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/matrices.h"
#include "steelyard/client/matrix_source.h"
#include "steelyard/v1/matrix_service.pb.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::client {

// "matrices/{id}" of itself or of the id alone; the id of either.
std::string MatrixName(const std::string& name_or_id);
std::string MatrixId(const std::string& name_or_id);

// `field`: the path of the input in the request, as "keys". Numbers are copied
// once.
// ERRORS  those of a tensor (tensor_codec.h) and of CheckCsr (matrix_bytes.h).
absl::Status ToProto(const DenseSource& source, const std::string& field,
                     std::int64_t bytes_max, v1::MatrixInput* input);
absl::Status ToProto(const MatrixSource& source, const std::string& field,
                     std::int64_t bytes_max, v1::MatrixInput* input);

void ToProto(const std::string& matrix_id, const MatrixLayout& layout,
             std::uint32_t crc32c, v1::UploadHeader* header);

// ERRORS  Internal: no layout, or a type that no matrix has.
absl::StatusOr<MatrixInfo> FromProto(const v1::Matrix& wire);
UploadStatus FromProto(const v1::UploadStatus& wire);

}  // namespace steelyard::client
