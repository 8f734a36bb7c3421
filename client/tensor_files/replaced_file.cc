#include "client/tensor_files/replaced_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace steelyard::tensor_files {
namespace {

absl::Status WriteAll(int descriptor, absl::Span<const char> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return absl::DataLossError(std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return absl::OkStatus();
}

absl::Status WriteParts(const std::string& path,
                        absl::Span<const absl::Span<const char>> parts) {
  const int descriptor =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return absl::InvalidArgumentError(std::strerror(errno));
  absl::Status status;
  for (const absl::Span<const char> part : parts) {
    if (status.ok()) status = WriteAll(descriptor, part);
  }
  if (::close(descriptor) != 0 && status.ok()) {
    status = absl::DataLossError(std::strerror(errno));
  }
  return status;
}

// A rename would put a file in the place of a device.
absl::Status CheckPlace(const std::string& path) {
  struct stat existing {};
  if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    return absl::InvalidArgumentError("not a regular file");
  }
  return absl::OkStatus();
}

std::string PartialOf(const std::string& path) {
  return absl::StrCat(path, ".", ::getpid(), ".partial");
}

absl::Status Named(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat(path, ": cannot write: ", status.message()));
}

}  // namespace

absl::Status ReplaceFile(const std::string& path,
                         absl::Span<const absl::Span<const char>> parts) {
  if (auto place = CheckPlace(path); !place.ok()) return Named(path, place);
  const std::string partial = PartialOf(path);
  absl::Status status = WriteParts(partial, parts);
  if (status.ok() && std::rename(partial.c_str(), path.c_str()) != 0) {
    status = absl::InvalidArgumentError(std::strerror(errno));
  }
  if (!status.ok()) std::remove(partial.c_str());
  return Named(path, status);
}

absl::Status CheckWritable(const std::string& path) {
  if (auto place = CheckPlace(path); !place.ok()) return Named(path, place);
  const std::string partial = PartialOf(path);
  const absl::Status status = WriteParts(partial, {});
  if (status.ok()) std::remove(partial.c_str());
  return Named(path, status);
}

}  // namespace steelyard::tensor_files
