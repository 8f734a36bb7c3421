// The calls on files that a store makes. Tests derive from it to fail, count or
// kill at any of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace steelyard::server {

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // What the system call returns, or -errno. Interrupted calls are repeated.

  // Bytes that may still be written where the file lies.
  virtual std::int64_t Room(int file);
  // `flags` as open(2); files are made for their owner and group only.
  virtual int Open(const std::string& path, int flags);
  // Both may move fewer bytes than asked for.
  virtual std::int64_t Read(int file, void* data, std::int64_t size,
                            std::int64_t at);
  virtual std::int64_t Write(int file, const void* data, std::int64_t size,
                             std::int64_t at);
  // Room for `size` bytes; the file's size stays. 0 where the file system
  // cannot promise room.
  virtual int Allocate(int file, std::int64_t size);
  // Begins to write a stretch to the disk and does not wait. A hint: nothing is
  // durable before Sync.
  virtual void StartWriting(int file, std::int64_t at, std::int64_t size);
  // The bytes and what is needed to read them are on the disk.
  virtual int Sync(int file);
  // The names in a directory are on the disk.
  virtual int SyncDirectory(const std::string& path);
  virtual int Truncate(int file, std::int64_t size);
  virtual int Rename(const std::string& from, const std::string& to);
  virtual int Remove(const std::string& path);
  virtual int MakeDirectory(const std::string& path);

  static FileSystem* System();
};

// A descriptor that is closed at its end.
class OwnedFile {
 public:
  OwnedFile() = default;
  explicit OwnedFile(int file) : file_(file) {}
  OwnedFile(OwnedFile&& other) noexcept;
  OwnedFile& operator=(OwnedFile&& other) noexcept;
  ~OwnedFile();

  int get() const { return file_; }
  explicit operator bool() const { return file_ >= 0; }

 private:
  int file_ = -1;
};

// ResourceExhausted DISK_FULL where `error` (an errno) says that there is no
// room: the disk, a quota or a limit of file sizes; Internal otherwise. `what`:
// "writing uploads/a-1.part".
absl::Status FileError(int error, const std::string& doing,
                       const std::string& file);

// Bytes of an open file, or -errno.
std::int64_t SizeOfFile(int file);

// All of `size` bytes. An errno, 0 when all is well.
int WriteAll(FileSystem& files, int file, const void* data, std::int64_t size,
             std::int64_t at);

// Bytes that were read: fewer than `size` only at the end of the file; -errno.
std::int64_t ReadAll(FileSystem& files, int file, void* data, std::int64_t size,
                     std::int64_t at);

}  // namespace steelyard::server
