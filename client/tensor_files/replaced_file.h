// A file that is written whole or not at all.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace steelyard::tensor_files {

// Writes the parts one after the other beside `path` and renames: whoever reads
// `path` finds the old file or the new one, never a part.
//
// ERRORS  InvalidArgument: the path cannot be written, or is a folder, a device
//   or a pipe, which no file takes the place of. DataLoss: the disk is
//   full or broken. The message starts with `path`; nothing is left behind.
absl::Status ReplaceFile(const std::string& path,
                         absl::Span<const absl::Span<const char>> parts);

// Whether ReplaceFile could begin now: for answers that take long to come. A
// file is made beside `path` and taken away again.
//
// ERRORS  as above, but for the size of the disk.
absl::Status CheckWritable(const std::string& path);

}  // namespace steelyard::tensor_files
