// How many streams of keys or states may be open at once: each holds threads
// and a queue of messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/status/statusor.h"
#include "server/errors/errors.h"

namespace steelyard::server {

class StreamSlots {
 public:
  explicit StreamSlots(std::int64_t count) : count_(count) {}
  StreamSlots(const StreamSlots&) = delete;
  StreamSlots& operator=(const StreamSlots&) = delete;

  // Given back at the end of its life. The slots must outlive it.
  class Slot {
   public:
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (slots_ == nullptr) return;
      const std::lock_guard lock(slots_->mutex_);
      --slots_->taken_;
    }

   private:
    friend class StreamSlots;
    explicit Slot(StreamSlots* slots) : slots_(slots) {}
    StreamSlots* slots_;
  };

  // ERRORS  ResourceExhausted QUEUE_FULL with a retry delay.
  absl::StatusOr<Slot> Take() {
    const std::lock_guard lock(mutex_);
    if (taken_ >= count_) return StreamsFullError(taken_, kRetry);
    ++taken_;
    return Slot(this);
  }

 private:
  static constexpr std::chrono::milliseconds kRetry{1000};

  const std::int64_t count_;
  std::mutex mutex_;
  std::int64_t taken_ = 0;
};

}  // namespace steelyard::server
