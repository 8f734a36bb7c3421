#include "client/tensor_files/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace steelyard::tensor_files {
namespace {

absl::Status ErrorOf(const std::string& path, int error) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES) return absl::PermissionDeniedError(message);
  return absl::InvalidArgumentError(message);
}

}  // namespace

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a pipe that has no writer would wait for ever.
  const int descriptor =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return ErrorOf(path, errno);
  struct stat facts;
  if (::fstat(descriptor, &facts) != 0) {
    const int error = errno;
    ::close(descriptor);
    return ErrorOf(path, error);
  }
  InputFile file(path, descriptor, facts.st_size);
  if (!S_ISREG(facts.st_mode)) return file.Malformed("not a regular file");
  return file;
}

InputFile::InputFile(std::string path, int descriptor, int64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

absl::Status InputFile::Read(int64_t offset, int64_t count, char* out) const {
  while (count > 0) {
    // Linux moves at most 2^31 - 4096 bytes in one call.
    const auto wanted =
        static_cast<std::size_t>(std::min<int64_t>(count, 1 << 30));
    const ssize_t got = ::pread(descriptor_, out, wanted, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrorOf(path_, errno);
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(path_, ": ends at byte ", offset,
                                              ", ", count, " bytes too early"));
    }
    offset += got;
    count -= got;
    out += got;
  }
  return absl::OkStatus();
}

absl::Status InputFile::Malformed(const std::string& rule) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": ", rule));
}

std::string Printable(const std::string& untrusted) {
  constexpr std::size_t kLongest = 60;
  if (untrusted.size() <= kLongest) return absl::CHexEscape(untrusted);
  return absl::StrCat(absl::CHexEscape(untrusted.substr(0, kLongest)), "...");
}

}  // namespace steelyard::tensor_files
