// Keys and values of a request: heads, and how many rows of each are valid.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "google/protobuf/repeated_field.h"
#include "server/convert/tensor_input.h"
#include "server/limits/limits.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::server {

// Valid rows of each head; empty: all.
using Lengths = std::vector<Index>;

// The field `keys`. ERRORS  FIELD_REQUIRED where it is not given; those of
// TensorFromProto.
absl::StatusOr<TensorInput> KeysFromProto(bool given,
                                          const v1::MatrixInput& keys,
                                          const Limits& limits,
                                          const MatrixLookup& matrices = {});

// The field `lengths`: empty, or one a head of `keys`, each in [1, n].
// ERRORS  WRONG_SHAPE, FIELD_OUT_OF_RANGE.
absl::StatusOr<Lengths> LengthsFromProto(
    const google::protobuf::RepeatedField<std::int64_t>& lengths,
    const TensorInput& keys);

// The valid rows of heads of `matrices`, which must outlive them.
std::vector<AnyMatrixView> ValidRows(const TensorMatrices& matrices,
                                     const Lengths& lengths);

// An error of core about its argument `argument` with the proto path of the
// tensor that core was given. Core counts the rows of all heads through, valid
// ones only; `index` becomes that in the tensor. Other errors stay as they are.
absl::Status AtTensor(const absl::Status& status, const std::string& argument,
                      const TensorInput& tensor, const Lengths& lengths = {});

}  // namespace steelyard::server
