#include "solve_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "regression_codec.h"

namespace steelyard::client {

absl::Status SolveStream::Add(v1::SolveEvent* event) {
  if (result_.has_value()) {
    return BrokenAnswer("a message follows the result");
  }
  switch (event->event_case()) {
    case v1::SolveEvent::kProgress:
      if (on_progress_) on_progress_(FromProto(event->progress(), attempt_));
      break;
    case v1::SolveEvent::kResult:
      result_ = std::move(*event->mutable_result());
      break;
    case v1::SolveEvent::kXChunk:
      return AddChunk(event->mutable_x_chunk());
    case v1::SolveEvent::EVENT_NOT_SET:
      break;  // Of a newer server: nothing that the answer needs.
  }
  return absl::OkStatus();
}

absl::Status SolveStream::AddChunk(v1::TensorChunk* chunk) {
  if (chunk->offset() == 0 && opened_ < tensors_.size()) {
    tensors_[opened_++] = std::move(*chunk->mutable_data());
    return absl::OkStatus();
  }
  const std::size_t expected =
      opened_ > 0 ? tensors_[opened_ - 1].size() : std::size_t{0};
  if (opened_ == 0 || chunk->offset() < 0 ||
      static_cast<std::size_t>(chunk->offset()) != expected) {
    return BrokenAnswer(absl::StrCat("a chunk of x at byte ", chunk->offset(),
                                     " where byte ", expected, " is next"));
  }
  tensors_[opened_ - 1] += chunk->data();
  return absl::OkStatus();
}

absl::StatusOr<Solution> SolveStream::Finish() {
  if (!result_.has_value()) {
    return BrokenAnswer("the stream ended without a result");
  }
  if (opened_ > 0) {
    *result_->mutable_x()->mutable_data() = std::move(tensors_[0]);
  }
  if (opened_ > 1) {
    *result_->mutable_x_low()->mutable_data() = std::move(tensors_[1]);
  }
  return FromProto(*result_);
}

}  // namespace steelyard::client
