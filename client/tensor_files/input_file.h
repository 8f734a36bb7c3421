// A regular file that is read by position, never beyond its size.
//
// Reads and not a memory map: a map of a file that somebody truncates ends the
// process with a signal, a read ends with a status.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace steelyard::tensor_files {

class InputFile {
 public:
  // NotFound, PermissionDenied, InvalidArgument (a folder, a pipe).
  static absl::StatusOr<InputFile> Open(const std::string& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }

  // Exactly `count` bytes from `offset`. DataLoss when the file has fewer.
  absl::Status Read(int64_t offset, int64_t count, char* out) const;

  // InvalidArgument whose message names this file first.
  absl::Status Malformed(const std::string& rule) const;

 private:
  InputFile(std::string path, int descriptor, int64_t size);

  std::string path_;
  int descriptor_;
  int64_t size_;
};

// Text out of a file, fit for one line of a terminal: escaped, at most 60
// characters.
std::string Printable(const std::string& untrusted);

}  // namespace steelyard::tensor_files
