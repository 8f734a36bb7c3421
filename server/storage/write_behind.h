// Bytes of one file on their way to the disk while the next ones come.
//
// METHOD  Bytes are copied into one of a few buffers; a thread writes full
// ones,
//   past the page cache (O_DIRECT) where the file system can do that: a page
//   that is new to the kernel costs more than the copy into it, and a gigabyte
//   of them drives out what others read. Whole blocks go that way; what lies
//   before the first and behind the last goes through the cache. So the two
//   never share a page.
//
// The calls are for one thread.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/types/span.h"
#include "server/storage/file_system.h"
#include "server/storage/matrix_memory.h"

namespace steelyard::server {

class WriteBehind {
 public:
  // Of all buffers.
  static constexpr std::int64_t kBytes = std::int64_t{4} << 20;

  struct Target {
    FileSystem* files = nullptr;
    int file = -1;
    // The same file, opened with O_DIRECT; -1: everything goes through the
    // cache.
    int direct = -1;
  };

  // The next byte is that at `at`. Both files must outlive it.
  WriteBehind(const Target& target, std::int64_t at);
  // Leaves what is not written.
  ~WriteBehind();
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  // Waits while all buffers are full. Does nothing after an error.
  void Append(absl::Span<const std::byte> data);

  // Waits until all is written, or an error.
  void Flush();

  // All bytes before it have been written: a kill leaves them, a power failure
  // does not.
  std::int64_t written() const { return written_; }

  // The errno of the write that failed, the last one that was tried; or 0.
  int error() const { return error_; }

 private:
  static constexpr std::int64_t kBuffers = 4;
  static constexpr std::int64_t kBufferBytes = kBytes / kBuffers;

  // Byte i is that of the file at base + i.
  struct Buffer {
    std::byte* bytes = nullptr;
    std::int64_t base = 0;  // a multiple of a block
    std::int64_t from = 0;  // those that are here
    std::int64_t to = 0;
  };

  void TakeFree();
  void Submit();
  void WriteUntilClosed();
  int Write(const Buffer& buffer);
  int WriteTo(int file, const Buffer& buffer, std::int64_t from,
              std::int64_t to);

  const Target target_;
  const std::shared_ptr<MatrixBytes> memory_;
  std::array<Buffer, kBuffers> buffers_;
  std::atomic<std::int64_t> written_;
  std::atomic<int> error_{0};

  // Of the caller.
  std::int64_t at_;
  Buffer* current_ = nullptr;

  // Of the thread.
  bool direct_;
  std::int64_t started_;  // the disk was set to work so far

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::vector<Buffer*> free_;
  std::deque<Buffer*> full_;  // the first one is being written
  bool closed_ = false;
  std::thread thread_;  // the last member: it uses the others
};

}  // namespace steelyard::server
