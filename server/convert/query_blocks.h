// The messages of StreamQueryHeavy and StreamAttend: an open, then blocks.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// Null: the message is another one.
inline const v1::QueryHeavyRequest* OpenOf(
    const v1::StreamQueryHeavyRequest& message) {
  return message.has_open() ? &message.open() : nullptr;
}
inline const v1::AttendRequest* OpenOf(const v1::StreamAttendRequest& message) {
  return message.has_open() ? &message.open() : nullptr;
}
inline const v1::QueryBlock* BlockOf(
    const v1::StreamQueryHeavyRequest& message) {
  return message.has_block() ? &message.block() : nullptr;
}
inline const v1::QueryBlock* BlockOf(const v1::StreamAttendRequest& message) {
  return message.has_block() ? &message.block() : nullptr;
}

// The caller's, given back with the answer.
inline std::int64_t IdOf(const v1::QueryBlock& block) { return block.id(); }

// One open, first. ERRORS  MESSAGE_OUT_OF_ORDER; FIELD_REQUIRED: a message that
// is neither, perhaps of a later version.
absl::Status CheckOrder(bool is_open, bool is_block, bool opened);

// The stream has ended before it was opened: MESSAGE_OUT_OF_ORDER.
absl::Status NeverOpenedError();

}  // namespace steelyard::server
