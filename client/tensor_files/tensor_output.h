// Results into .npy and .safetensors files, bit for bit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/tensor_files/stored_tensor.h"

namespace steelyard::tensor_files {

// One result. Extents may be 0 here: an empty set is a result.
struct NamedArray {
  static NamedArray Doubles(std::string name, std::vector<double> values,
                            std::vector<int64_t> shape);
  static NamedArray Integers(std::string name, std::vector<int64_t> values,
                             std::vector<int64_t> shape);

  std::string name;
  ElementType type = ElementType::kFloat64;  // Or kInt64.
  std::vector<int64_t> shape;
  std::vector<double> doubles;
  std::vector<int64_t> integers;
};

// Text that goes into the header of a .safetensors file.
struct Annotation {
  std::string key;
  std::string value;
};

// The number of arrays that fit: 1 for .npy, any for .safetensors.
// InvalidArgument when `path` has another ending or `count` do not fit.
absl::Status CheckOutputPath(const std::string& path, std::size_t count);

// Writes beside `path` first and renames: whoever reads `path` finds the old
// file or the new one, never a part. A .npy file has no names and keeps no
// annotations.
absl::Status WriteArrays(const std::string& path,
                         absl::Span<const NamedArray> arrays,
                         absl::Span<const Annotation> annotations = {});

// The same for an answer that may have one array more than was foreseen: where
// a .npy file cannot hold them, they go to "PATH.safetensors".
//
// ERRORS  FailedPrecondition, naming that file: it was written there.
absl::Status WriteArraysOrBeside(const std::string& path,
                                 absl::Span<const NamedArray> arrays,
                                 absl::Span<const Annotation> annotations = {});

}  // namespace steelyard::tensor_files
