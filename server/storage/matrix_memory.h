// Bytes of matrices: read into memory up to a budget, or mapped from a file.
//
// What is in memory counts as long as somebody has it. What nobody has stays,
// and leaves, least recently used first, when room is needed.
//
// Safe from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

namespace steelyard::server {

// Pages, aligned to 64 bytes at least.
class MatrixBytes {
 public:
  // Null: there is no memory.
  static std::shared_ptr<MatrixBytes> Allocated(std::int64_t size);
  // Read-only pages of a file, which must have `size` bytes: reading behind its
  // end is a SIGBUS. Null: the kernel refused.
  static std::shared_ptr<MatrixBytes> Mapped(int file, std::int64_t size);
  ~MatrixBytes();
  MatrixBytes(const MatrixBytes&) = delete;
  MatrixBytes& operator=(const MatrixBytes&) = delete;

  const std::byte* data() const { return data_; }
  // Only of allocated ones.
  std::byte* writable() { return data_; }
  std::int64_t size() const { return size_; }
  bool mapped() const { return mapped_; }

 private:
  MatrixBytes(std::byte* data, std::int64_t size, bool mapped)
      : data_(data), size_(size), mapped_(mapped) {}
  std::byte* const data_;
  const std::int64_t size_;
  const bool mapped_;
};

class MatrixMemory {
 public:
  explicit MatrixMemory(std::int64_t budget);

  // What was kept under the serial, now the most recently used; or null.
  std::shared_ptr<const MatrixBytes> Find(std::uint64_t serial);

  // Memory within the budget, for the caller to fill; null when `size` bytes
  // are not free even after all that nobody has has left. They count until the
  // last pointer is gone.
  std::shared_ptr<MatrixBytes> TryAllocate(std::int64_t size);

  // Full now, and to be found.
  void Keep(std::uint64_t serial, std::shared_ptr<const MatrixBytes> bytes);

  // The matrix is deleted: nobody will look for it.
  void Drop(std::uint64_t serial);

  // Bytes that count.
  std::int64_t used() const;

 private:
  struct Kept {
    std::uint64_t serial;
    std::int64_t size;
    std::shared_ptr<const MatrixBytes> bytes;
  };
  struct Usage;
  const std::int64_t budget_;
  const std::shared_ptr<Usage> usage_;
  std::mutex mutex_;
  std::list<Kept> kept_;  // most recently used first
};

}  // namespace steelyard::server
