// Rows of a prediction that were computed and are not sent yet: between the
// thread that computes and the one that writes, which may be slow.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "server/convert/prediction.h"

namespace steelyard::server {

class RowOutbox {
 public:
  explicit RowOutbox(std::int64_t bytes_max) : bytes_max_(bytes_max) {}

  // Takes the rows. False: it is full now; compute no more for a while.
  bool Put(PredictedRows rows) {
    const std::lock_guard lock(mutex_);
    bytes_ += BytesOf(rows);
    rows_.push_back(std::move(rows));
    return bytes_ < bytes_max_;
  }

  // In order. Nothing: it is empty.
  std::optional<PredictedRows> Take() {
    const std::lock_guard lock(mutex_);
    if (rows_.empty()) return std::nullopt;
    PredictedRows rows = std::move(rows_.front());
    rows_.pop_front();
    bytes_ -= BytesOf(rows);
    return rows;
  }

 private:
  const std::int64_t bytes_max_;
  std::mutex mutex_;
  std::deque<PredictedRows> rows_;
  std::int64_t bytes_ = 0;
};

}  // namespace steelyard::server
