// Tensors, and times, between the caller's memory and the wire.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "steelyard/client/options.h"
#include "steelyard/client/regression.h"
#include "steelyard/client/tensor_view.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::client {

// One copy, whatever the strides are.
//
// ERRORS  named with `field`, the path of the tensor in the request:
//   InvalidArgument: not 1 to 3 extents (WRONG_SHAPE), an extent < 1
//     (FIELD_OUT_OF_RANGE), more bytes than an int64 counts (SHAPE_OVERFLOW),
//     a shape that the numbers do not fill (WRONG_SIZE).
//   ResourceExhausted LIMIT_EXCEEDED: more than `bytes_max` bytes.
absl::Status ToProto(const TensorView& view, const std::string& field,
                     std::int64_t bytes_max, v1::Tensor* tensor);

// How many bytes the tensor has.
// ERRORS  as above, but for the limit.
absl::StatusOr<std::int64_t> CheckedBytes(const TensorView& view,
                                          const std::string& field);

// ResourceExhausted LIMIT_EXCEEDED where `bytes` are more than `bytes_max`.
absl::Status CheckBytesMax(std::int64_t bytes, const std::string& field,
                           std::int64_t bytes_max);

// Those of `dtype`; nullopt: no float type.
std::optional<ScalarType> ScalarTypeOf(v1::DType dtype);

// n (then one column) or n x k FLOAT64 of an answer. `name` is for messages.
// ERRORS  Internal: any other tensor.
absl::StatusOr<RowMajorMatrix> MatrixFromProto(const v1::Tensor& tensor,
                                               const std::string& name);

// The rows of a float tensor of 1 to 3 extents, n x d or (H n) x d, as float64.
// ERRORS  Internal: any other tensor.
absl::StatusOr<RowMajorMatrix> RowsFromProto(const v1::Tensor& tensor,
                                             const std::string& name);

// A vector of FLOAT64 (INT64), which may be empty.
// ERRORS  Internal: any other tensor.
absl::StatusOr<std::vector<double>> DoublesFromProto(const v1::Tensor& tensor,
                                                     const std::string& name);
absl::StatusOr<std::vector<std::int64_t>> IntegersFromProto(
    const v1::Tensor& tensor, const std::string& name);

v1::DType DTypeOf(ScalarType type);

Seconds SecondsFromProto(const google::protobuf::Duration& duration);

std::chrono::system_clock::time_point TimeFromProto(
    const google::protobuf::Timestamp& time);

// Rounded up to a nanosecond; the longest duration of the wire where it is
// longer, or infinite.
google::protobuf::Duration DurationToProto(Seconds seconds);

}  // namespace steelyard::client
