#include "server/storage/matrix_file.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/checksum/crc32c.h"

namespace steelyard::server {
namespace {

// Between two looks at the stop token: some milliseconds of a disk.
constexpr std::int64_t kReadBytes = std::int64_t{4} << 20;

// How long another one's stop may go unseen.
constexpr std::chrono::milliseconds kLook{10};

}  // namespace

MatrixFile::MatrixFile(Parts parts) : parts_(std::move(parts)) {}

absl::Status MatrixFile::Load(const StopToken& stop) const {
  std::unique_lock lock(mutex_);
  while (loading_) {
    changed_.wait_for(lock, kLook);
    if (stop.answer_unwanted()) return StopStatus(stop);
  }
  if (bytes_ != nullptr) return absl::OkStatus();
  loading_ = true;
  lock.unlock();
  std::shared_ptr<const MatrixBytes> bytes;
  absl::Status status = Read(stop, bytes);
  lock.lock();
  loading_ = false;
  bytes_ = std::move(bytes);
  changed_.notify_all();
  return status;
}

const std::byte* MatrixFile::data() const {
  const std::lock_guard lock(mutex_);
  return bytes_ == nullptr ? nullptr : bytes_->data();
}

bool MatrixFile::mapped() const {
  const std::lock_guard lock(mutex_);
  return bytes_ != nullptr && bytes_->mapped();
}

absl::Status MatrixFile::Read(const StopToken& stop,
                              std::shared_ptr<const MatrixBytes>& bytes) const {
  bytes = parts_.memory->Find(parts_.serial);
  if (bytes != nullptr) return absl::OkStatus();
  // Before any mapping: behind the end of the file there is a SIGBUS.
  const std::int64_t size = parts_.info.layout.size();
  const std::int64_t found = SizeOfFile(parts_.file.get());
  if (found != size) {
    return absl::DataLossError(absl::StrCat(parts_.name, " has ", found,
                                            " bytes; its matrix has ", size));
  }
  if (auto memory = parts_.memory->TryAllocate(size); memory != nullptr) {
    absl::Status read = ReadAndCompare(stop, memory->writable());
    if (!read.ok()) return read;
    parts_.memory->Keep(parts_.serial, memory);
    bytes = std::move(memory);
    return absl::OkStatus();
  }
  if (!*parts_.verified) {
    // Not through the mapping, where a disk that cannot read is a SIGBUS.
    absl::Status read = ReadAndCompare(stop, nullptr);
    if (!read.ok()) return read;
  }
  bytes = MatrixBytes::Mapped(parts_.file.get(), size);
  if (bytes == nullptr) {
    return absl::InternalError(
        absl::StrCat("mapping ", parts_.name, " failed"));
  }
  return absl::OkStatus();
}

absl::Status MatrixFile::ReadAndCompare(const StopToken& stop,
                                        std::byte* sink) const {
  const std::int64_t size = parts_.info.layout.size();
  std::vector<std::byte> buffer;
  if (sink == nullptr) {
    buffer.resize(static_cast<std::size_t>(std::min(size, kReadBytes)));
  }
  std::uint32_t crc = 0;
  for (std::int64_t at = 0; at < size; at += kReadBytes) {
    if (stop.answer_unwanted()) return StopStatus(stop);
    const std::int64_t wanted = std::min(kReadBytes, size - at);
    std::byte* const block = sink == nullptr ? buffer.data() : sink + at;
    const std::int64_t count =
        ReadAll(*parts_.files, parts_.file.get(), block, wanted, at);
    if (count < 0) {
      return FileError(static_cast<int>(-count), "reading", parts_.name);
    }
    if (count < wanted) {
      return absl::DataLossError(absl::StrCat(
          parts_.name, " ends after ", at + count, " of ", size, " bytes"));
    }
    crc =
        ExtendCrc32c(crc, std::string_view(reinterpret_cast<const char*>(block),
                                           static_cast<std::size_t>(count)));
  }
  if (crc != parts_.info.crc32c) {
    return absl::DataLossError(absl::StrFormat(
        "the bytes of %s have CRC32C %08x; those that were stored had %08x",
        parts_.name, crc, parts_.info.crc32c));
  }
  *parts_.verified = true;
  return absl::OkStatus();
}

}  // namespace steelyard::server
