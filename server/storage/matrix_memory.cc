#include "server/storage/matrix_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace steelyard::server {

std::shared_ptr<MatrixBytes> MatrixBytes::Allocated(std::int64_t size) {
  const auto length = static_cast<std::size_t>(size);
  void* const pages = mmap(nullptr, length, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return nullptr;
  madvise(pages, length, MADV_HUGEPAGE);
  return std::shared_ptr<MatrixBytes>(
      new MatrixBytes(static_cast<std::byte*>(pages), size, false));
}

std::shared_ptr<MatrixBytes> MatrixBytes::Mapped(int file, std::int64_t size) {
  void* const pages = mmap(nullptr, static_cast<std::size_t>(size), PROT_READ,
                           MAP_SHARED, file, 0);
  if (pages == MAP_FAILED) return nullptr;
  return std::shared_ptr<MatrixBytes>(
      new MatrixBytes(static_cast<std::byte*>(pages), size, true));
}

MatrixBytes::~MatrixBytes() { munmap(data_, static_cast<std::size_t>(size_)); }

struct MatrixMemory::Usage {
  std::atomic<std::int64_t> bytes{0};
};

MatrixMemory::MatrixMemory(std::int64_t budget)
    : budget_(budget), usage_(std::make_shared<Usage>()) {}

std::shared_ptr<const MatrixBytes> MatrixMemory::Find(std::uint64_t serial) {
  const std::lock_guard lock(mutex_);
  for (auto each = kept_.begin(); each != kept_.end(); ++each) {
    if (each->serial != serial) continue;
    kept_.splice(kept_.begin(), kept_, each);
    return kept_.front().bytes;
  }
  return nullptr;
}

std::shared_ptr<MatrixBytes> MatrixMemory::TryAllocate(std::int64_t size) {
  const std::lock_guard lock(mutex_);
  // Only this list has it: nobody can take it while the mutex is held.
  const auto idle = [](const Kept& kept) {
    return kept.bytes.use_count() == 1;
  };
  std::int64_t removable = 0;
  for (const Kept& kept : kept_) removable += idle(kept) ? kept.size : 0;
  if (size > budget_ - usage_->bytes + removable) return nullptr;
  for (auto each = kept_.end();
       each != kept_.begin() && size > budget_ - usage_->bytes;) {
    --each;
    if (idle(*each)) each = kept_.erase(each);
  }
  if (size > budget_ - usage_->bytes) return nullptr;

  std::shared_ptr<MatrixBytes> bytes = MatrixBytes::Allocated(size);
  if (bytes == nullptr) return nullptr;
  usage_->bytes += size;
  MatrixBytes* const memory = bytes.get();
  return std::shared_ptr<MatrixBytes>(
      memory,
      [bytes = std::move(bytes), usage = usage_, size](MatrixBytes*) mutable {
        bytes = nullptr;
        usage->bytes -= size;
      });
}

void MatrixMemory::Keep(std::uint64_t serial,
                        std::shared_ptr<const MatrixBytes> bytes) {
  const std::lock_guard lock(mutex_);
  const std::int64_t size = bytes->size();
  kept_.push_front({serial, size, std::move(bytes)});
}

void MatrixMemory::Drop(std::uint64_t serial) {
  const std::lock_guard lock(mutex_);
  kept_.remove_if([&](const Kept& kept) { return kept.serial == serial; });
}

std::int64_t MatrixMemory::used() const { return usage_->bytes; }

}  // namespace steelyard::server
