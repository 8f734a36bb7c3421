#include "server/admission/memory_budget.h"

namespace steelyard::server {

MemoryReservation& MemoryReservation::operator=(
    MemoryReservation&& other) noexcept {
  if (this != &other) {
    if (budget_ != nullptr) budget_->Release(bytes_);
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

MemoryReservation::~MemoryReservation() {
  if (budget_ != nullptr) budget_->Release(bytes_);
}

void MemoryReservation::ShrinkTo(std::int64_t bytes) {
  if (budget_ == nullptr || bytes >= bytes_) return;
  budget_->Release(bytes_ - bytes);
  bytes_ = bytes;
}

std::int64_t MemoryBudget::reserved() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}

std::optional<MemoryReservation> MemoryBudget::TryReserve(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > total_ - reserved_) return std::nullopt;
  reserved_ += bytes;
  return MemoryReservation(this, bytes);
}

void MemoryBudget::Release(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  reserved_ -= bytes;
}

}  // namespace steelyard::server
