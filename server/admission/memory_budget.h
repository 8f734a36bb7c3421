// The bytes that admitted requests may hold, all together.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace steelyard::server {

class MemoryBudget;

// Bytes of a budget, given back at the end of this object's life.
class MemoryReservation {
 public:
  MemoryReservation() = default;
  MemoryReservation(MemoryReservation&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryReservation& operator=(MemoryReservation&& other) noexcept;
  ~MemoryReservation();

  std::int64_t bytes() const { return bytes_; }

  // Gives back what is above `bytes`.
  void ShrinkTo(std::int64_t bytes);

 private:
  friend class MemoryBudget;
  MemoryReservation(MemoryBudget* budget, std::int64_t bytes)
      : budget_(budget), bytes_(bytes) {}

  MemoryBudget* budget_ = nullptr;
  std::int64_t bytes_ = 0;
};

class MemoryBudget {
 public:
  explicit MemoryBudget(std::int64_t total) : total_(total) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  std::int64_t total() const { return total_; }
  std::int64_t reserved() const;

  // nullopt: `bytes` do not fit beside what is reserved now. The budget must
  // outlive the reservation.
  std::optional<MemoryReservation> TryReserve(std::int64_t bytes);

 private:
  friend class MemoryReservation;
  void Release(std::int64_t bytes);

  const std::int64_t total_;
  mutable std::mutex mutex_;
  std::int64_t reserved_ = 0;
};

}  // namespace steelyard::server
