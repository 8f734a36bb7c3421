// How a tensor is named on a command line.
//
//     keys.npy                             the whole file
//     model.safetensors:layer0.keys        one tensor of several
//     model.safetensors:layer0.keys[3]     head 3 of it
//     model.safetensors:layer0.keys[0:4]   heads 0 to 3
//     keys.npy[:1000, 0:16]                1000 rows, 16 columns
//
// Slices are those of Python: zero-based, the end excluded, a negative number
// counts from the end; a single number drops its axis. Steps do not exist.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace steelyard::tensor_files {

struct AxisSlice {
  std::optional<int64_t> begin;  // Unset: from the start.
  std::optional<int64_t> end;    // Unset: to the end.
  bool single = false;           // [begin], and the axis goes.
};

struct TensorSpec {
  std::string text;    // As it was given, for messages.
  std::string path;    // Ends in .npy or .safetensors.
  std::string tensor;  // Empty: the only one of the file.
  std::vector<AxisSlice> slices;
};

// InvalidArgument: another ending, brackets that do not close, a slice that is
// no number or range. The message starts with `text`.
absl::StatusOr<TensorSpec> ParseTensorSpec(const std::string& text);

}  // namespace steelyard::tensor_files
