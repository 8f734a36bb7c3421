// Puts the messages of Predict in order: each row once, whatever breaks in
// between.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "steelyard/client/prediction.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::client {

class PredictStream {
 public:
  // `rows`: m of all queries.
  PredictStream(std::int64_t rows, PredictionCallback on_rows)
      : rows_(rows), on_rows_(std::move(on_rows)) {}

  // A new attempt, whose request asks the queries from `first_row` on;
  // 0 <= first_row <= next_row(): rows that were there already are dropped.
  void Begin(std::int64_t first_row);

  // The next message, in order.
  // ERRORS  Internal: a gap, rows beyond the last query, another width, a
  //   tensor that is no matrix of FLOAT64.
  absl::Status Add(v1::PredictResponse* response);

  // After the last message.
  // ERRORS  Internal: rows are missing.
  absl::Status Finish() const;

  std::int64_t next_row() const { return next_row_; }

 private:
  const std::int64_t rows_;
  const PredictionCallback on_rows_;
  std::int64_t first_row_ = 0;  // Of this attempt's request.
  std::int64_t received_ = 0;   // Rows of this attempt.
  std::int64_t next_row_ = 0;   // Of all attempts.
  Eigen::Index width_ = 0;      // 0: nothing was answered yet.
};

// One matrix of all parts, which come in order.
class GatheredPrediction {
 public:
  explicit GatheredPrediction(std::int64_t rows) : rows_(rows) {}

  void Add(std::int64_t first_row, Prediction part);
  Prediction Take() && { return std::move(whole_); }

 private:
  const std::int64_t rows_;
  Prediction whole_;
};

}  // namespace steelyard::client
