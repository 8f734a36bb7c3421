// Where the tensors of a file lie. The readers of the two formats make one of
// these from a header that may be wrong in every way; what they return has been
// checked against the size of the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/tensor_files/input_file.h"
#include "client/tensor_files/stored_tensor.h"

namespace steelyard::tensor_files {

struct LayoutEntry {
  std::string name;       // Empty in a .npy file.
  std::string type_name;  // As the file spells it.
  // Unset: a type that Steelyard does not take (integers, 8-bit floats, ...).
  std::optional<ElementType> type;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // Of the first byte, from the start of the file.
  bool column_major = false;
};

struct FileLayout {
  std::vector<LayoutEntry> entries;
};

// NumPy's format, versions 1 to 3:
//   "\x93NUMPY" major minor, length of the header (2 bytes in version 1, 4 in 2
//   and 3), a Python dictionary of descr, fortran_order and shape, the data.
// InvalidArgument names the file and the rule it breaks.
absl::StatusOr<FileLayout> ReadNpyLayout(const InputFile& file);

// What precedes the data of a .npy file.
struct NpyHeader {
  std::string descr;  // "<f8"
  bool column_major = false;
  std::vector<int64_t> shape;
  int64_t data_offset = 0;
};

// Of a file of `size` bytes that begins with `start`: all of it, or enough for
// any header. InvalidArgument starts with `name`.
absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& name,
                                         absl::string_view start, int64_t size);

// The safetensors format:
//   8 bytes: length of the header; a JSON object of
//   name: {"dtype", "shape", "data_offsets": [begin, end]}; the data, which the
//   tensors cover without gap or overlap.
// InvalidArgument names the file and the rule it breaks.
absl::StatusOr<FileLayout> ReadSafetensorsLayout(const InputFile& file);

// The product of `shape` and `bits_per_element` / 8, or nullopt when it does
// not fit in 63 bits or is no whole number of bytes. Extents are >= 0.
std::optional<int64_t> CheckedBytes(absl::Span<const int64_t> shape,
                                    int64_t bits_per_element);

}  // namespace steelyard::tensor_files
