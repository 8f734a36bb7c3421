#include "server/storage/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;

// The result of `call`, again when a signal came between, or -errno.
template <typename Call>
auto Called(Call call) {
  decltype(call()) result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result < 0 ? static_cast<decltype(result)>(-errno) : result;
}

bool NoRoom(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

}  // namespace

std::int64_t FileSystem::Room(int file) {
  struct statvfs info {};
  const int result = Called([&] { return fstatvfs(file, &info); });
  if (result < 0) return result;
  return static_cast<std::int64_t>(info.f_bavail * info.f_frsize);
}

int FileSystem::Open(const std::string& path, int flags) {
  return Called(
      [&] { return open(path.c_str(), flags | O_CLOEXEC, kFileMode); });
}

std::int64_t FileSystem::Read(int file, void* data, std::int64_t size,
                              std::int64_t at) {
  return Called(
      [&] { return pread(file, data, static_cast<std::size_t>(size), at); });
}

std::int64_t FileSystem::Write(int file, const void* data, std::int64_t size,
                               std::int64_t at) {
  return Called(
      [&] { return pwrite(file, data, static_cast<std::size_t>(size), at); });
}

int FileSystem::Allocate(int file, std::int64_t size) {
  const int result =
      Called([&] { return fallocate(file, FALLOC_FL_KEEP_SIZE, 0, size); });
  return result == -EOPNOTSUPP || result == -ENOSYS ? 0 : result;
}

void FileSystem::StartWriting(int file, std::int64_t at, std::int64_t size) {
  sync_file_range(file, at, size, SYNC_FILE_RANGE_WRITE);
}

int FileSystem::Sync(int file) {
  return Called([&] { return fdatasync(file); });
}

int FileSystem::SyncDirectory(const std::string& path) {
  const int file = Open(path, O_RDONLY | O_DIRECTORY);
  if (file < 0) return file;
  const OwnedFile directory(file);
  // Not fdatasync: to ext4 a changed name is metadata that it may leave out.
  return Called([&] { return fsync(file); });
}

int FileSystem::Truncate(int file, std::int64_t size) {
  return Called([&] { return ftruncate(file, size); });
}

int FileSystem::Rename(const std::string& from, const std::string& to) {
  return Called([&] { return rename(from.c_str(), to.c_str()); });
}

int FileSystem::Remove(const std::string& path) {
  return Called([&] { return unlink(path.c_str()); });
}

int FileSystem::MakeDirectory(const std::string& path) {
  return Called([&] { return mkdir(path.c_str(), kDirectoryMode); });
}

FileSystem* FileSystem::System() {
  static FileSystem system;
  return &system;
}

OwnedFile::OwnedFile(OwnedFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)) {}

OwnedFile& OwnedFile::operator=(OwnedFile&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

OwnedFile::~OwnedFile() {
  if (file_ >= 0) close(file_);
}

absl::Status FileError(int error, const std::string& doing,
                       const std::string& file) {
  if (NoRoom(error)) return DiskFullError(file);
  return absl::InternalError(
      absl::StrCat(doing, " ", file, " failed: ", strerror(error)));
}

std::int64_t SizeOfFile(int file) {
  struct stat info {};
  if (fstat(file, &info) != 0) return -errno;
  return info.st_size;
}

int WriteAll(FileSystem& files, int file, const void* data, std::int64_t size,
             std::int64_t at) {
  const auto* next = static_cast<const char*>(data);
  while (size > 0) {
    const std::int64_t count = files.Write(file, next, size, at);
    // A disk that takes nothing and names no reason is full.
    if (count <= 0) return count == 0 ? ENOSPC : static_cast<int>(-count);
    next += count;
    at += count;
    size -= count;
  }
  return 0;
}

std::int64_t ReadAll(FileSystem& files, int file, void* data, std::int64_t size,
                     std::int64_t at) {
  auto* const next = static_cast<char*>(data);
  std::int64_t done = 0;
  while (done < size) {
    const std::int64_t count =
        files.Read(file, next + done, size - done, at + done);
    if (count < 0) return count;
    if (count == 0) break;
    done += count;
  }
  return done;
}

}  // namespace steelyard::server
