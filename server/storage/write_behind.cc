#include "server/storage/write_behind.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace steelyard::server {
namespace {

// What O_DIRECT asks of addresses, offsets and sizes, on every disk that there
// is; also a page of the cache.
constexpr std::int64_t kBlock = 4096;

// Dirty pages that wait before the disk is set to work on them: large enough
// for long writes, small enough to leave little for the last fsync.
constexpr std::int64_t kDirtyBytes = std::int64_t{8} << 20;

std::int64_t BlockBegin(std::int64_t at) { return at / kBlock * kBlock; }

std::int64_t BlockEnd(std::int64_t at) { return BlockBegin(at + kBlock - 1); }

}  // namespace

WriteBehind::WriteBehind(const Target& target, std::int64_t at)
    : target_(target),
      memory_(MatrixBytes::Allocated(kBytes)),
      written_(at),
      at_(at),
      direct_(target.direct >= 0),
      started_(at) {
  if (memory_ == nullptr) throw std::bad_alloc();
  std::byte* bytes = memory_->writable();
  for (Buffer& buffer : buffers_) {
    buffer.bytes = bytes;
    free_.push_back(&buffer);
    bytes += kBufferBytes;
  }
  thread_ = std::thread([this] { WriteUntilClosed(); });
}

WriteBehind::~WriteBehind() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    work_.notify_one();
  }
  thread_.join();
}

void WriteBehind::Append(absl::Span<const std::byte> data) {
  while (!data.empty()) {
    if (current_ == nullptr) TakeFree();
    if (error_ != 0) return;
    const std::int64_t room = current_->base + kBufferBytes - at_;
    const std::size_t count =
        std::min(data.size(), static_cast<std::size_t>(room));
    std::memcpy(current_->bytes + (at_ - current_->base), data.data(), count);
    data.remove_prefix(count);
    at_ += static_cast<std::int64_t>(count);
    if (at_ == current_->base + kBufferBytes) Submit();
  }
}

void WriteBehind::Flush() {
  if (current_ != nullptr) Submit();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return full_.empty() || error_ != 0; });
}

// After an error it may be a buffer that nobody writes any more.
void WriteBehind::TakeFree() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return !free_.empty() || error_ != 0; });
  if (error_ != 0) return;
  current_ = free_.back();
  free_.pop_back();
  current_->base = BlockBegin(at_);
  current_->from = at_;
}

void WriteBehind::Submit() {
  current_->to = at_;
  const std::lock_guard lock(mutex_);
  full_.push_back(current_);
  current_ = nullptr;
  work_.notify_one();
}

void WriteBehind::WriteUntilClosed() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return closed_ || !full_.empty(); });
    if (closed_) return;
    Buffer* const buffer = full_.front();
    lock.unlock();
    const int error = Write(*buffer);
    lock.lock();
    if (error != 0) {
      error_ = error;
      done_.notify_one();
      return;
    }
    written_ = buffer->to;
    full_.pop_front();
    free_.push_back(buffer);
    done_.notify_one();
  }
}

int WriteBehind::Write(const Buffer& buffer) {
  std::int64_t at = buffer.from;
  const std::int64_t begin = BlockEnd(buffer.from);
  const std::int64_t end = BlockBegin(buffer.to);
  if (direct_ && begin < end) {
    int error = WriteTo(target_.file, buffer, at, begin);
    if (error == 0) error = WriteTo(target_.direct, buffer, begin, end);
    // A file system that opens such files and cannot write them.
    direct_ = error != EINVAL;
    if (direct_ && error != 0) return error;
    if (direct_) at = end;
  }
  const int error = WriteTo(target_.file, buffer, at, buffer.to);
  if (error != 0) return error;
  if (!direct_ && buffer.to - started_ >= kDirtyBytes) {
    target_.files->StartWriting(target_.file, started_, buffer.to - started_);
    started_ = buffer.to;
  }
  return 0;
}

int WriteBehind::WriteTo(int file, const Buffer& buffer, std::int64_t from,
                         std::int64_t to) {
  if (from >= to) return 0;
  return WriteAll(*target_.files, file, buffer.bytes + (from - buffer.base),
                  to - from, from);
}

}  // namespace steelyard::server
