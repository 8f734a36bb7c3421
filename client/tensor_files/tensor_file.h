// Tensors out of .npy and .safetensors files.
//
// The files may come from anywhere: whatever they hold, the answer is a tensor
// or one line that names the file and the rule it breaks. Nothing is read
// before the header agrees with the size of the file, and memory is taken only
// for the header and for what the slice asks for.
//
// ERRORS  NotFound: no such file; no such tensor in it (the message lists what
//         is there). InvalidArgument: malformed, or of a type that is not
//         taken, or a slice outside the shape. DataLoss: the file shrank while
//         it was read. ResourceExhausted: no memory for it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/tensor_files/input_file.h"
#include "client/tensor_files/stored_tensor.h"
#include "client/tensor_files/tensor_spec.h"

namespace steelyard::tensor_files {

// Type and shape of what Load would return; reads the header only.
absl::StatusOr<TensorInfo> Describe(const TensorSpec& spec);

// The tensor, sliced, row-major. A column-major .npy file is transposed.
absl::StatusOr<StoredTensor> Load(const TensorSpec& spec);

// The whole numbers (I64) of the tensor `name` of the .safetensors file of
// `spec`, all of them; nullopt: there is none of that name, or it is another
// kind of file.
absl::StatusOr<std::optional<std::vector<int64_t>>> LoadIntegers(
    const TensorSpec& spec, const std::string& name);

// The bytes of a tensor, row-major, from any of them on: read as they are asked
// for where they lie together in the file; else (some columns, column-major)
// loaded at once.
class TensorReader {
 public:
  static absl::StatusOr<TensorReader> Open(const TensorSpec& spec);

  const TensorInfo& info() const { return info_; }

  // Bytes [offset, offset + out.size()), which lie within info().bytes().
  absl::Status Read(int64_t offset, absl::Span<char> out) const;

 private:
  TensorInfo info_;
  std::shared_ptr<const InputFile> file_;  // nullptr: loaded.
  int64_t first_byte_ = 0;
  std::shared_ptr<const StoredTensor> loaded_;
};

}  // namespace steelyard::tensor_files
