// Buffers that tasks of a parallel loop borrow, so that a loop of thousands of
// tasks allocates only as many as run at once.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "steelyard/matrix.h"

namespace steelyard {

template <typename T>
class ScratchPoolOf {
 public:
  // Each buffer holds `size` numbers. Their content is whatever was left there.
  explicit ScratchPoolOf(Index size) : size_(static_cast<std::size_t>(size)) {}

  // A buffer for as long as the lease lives.
  class Lease {
   public:
    Lease(ScratchPoolOf* pool, std::unique_ptr<AlignedVector<T>> buffer)
        : pool_(pool), buffer_(std::move(buffer)) {}
    ~Lease() {
      const std::lock_guard<std::mutex> lock(pool_->mutex_);
      pool_->free_.push_back(std::move(buffer_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    T* data() { return buffer_->data(); }

   private:
    ScratchPoolOf* pool_;
    std::unique_ptr<AlignedVector<T>> buffer_;
  };

  Lease Borrow() {
    std::unique_ptr<AlignedVector<T>> buffer;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      // Room for every buffer that is out, so that giving back cannot throw.
      if (free_.empty()) {
        ++made_;
        free_.reserve(made_);
      } else {
        buffer = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (buffer == nullptr) {
      buffer = std::make_unique<AlignedVector<T>>(size_);
    }
    return Lease(this, std::move(buffer));
  }

 private:
  const std::size_t size_;
  std::mutex mutex_;
  std::size_t made_ = 0;
  std::vector<std::unique_ptr<AlignedVector<T>>> free_;
};

using ScratchPool = ScratchPoolOf<double>;

}  // namespace steelyard
