// Puts the messages of StreamSolve together into one answer.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/regression.h"
#include "steelyard/v1/regression_service.pb.h"

namespace steelyard::client {

class SolveStream {
 public:
  // `on_progress` may be empty; both arguments outlive the stream.
  SolveStream(const ProgressCallback& on_progress, int attempt)
      : on_progress_(on_progress), attempt_(attempt) {}

  // The next message, in order. Its bytes are moved out of it.
  // ERRORS  Internal: a chunk out of order, or anything after the result.
  absl::Status Add(v1::SolveEvent* event);

  // After the last message.
  // ERRORS  Internal: no result, or chunks that do not fill its tensors.
  absl::StatusOr<Solution> Finish();

 private:
  absl::Status AddChunk(v1::TensorChunk* chunk);

  const ProgressCallback& on_progress_;
  const int attempt_;
  std::optional<v1::SolveResponse> result_;
  // x, then x_low: a chunk at offset 0 opens the next one.
  std::array<std::string, 2> tensors_;
  std::size_t opened_ = 0;
};

}  // namespace steelyard::client
