#include "steelyard/client/key_stream.h"

#include <utility>

#include "key_session.h"

namespace steelyard::client {

KeyStream::KeyStream(std::unique_ptr<KeySession> session)
    : session_(std::move(session)) {}
KeyStream::KeyStream(KeyStream&&) noexcept = default;
KeyStream& KeyStream::operator=(KeyStream&&) noexcept = default;
KeyStream::~KeyStream() = default;

const std::string& KeyStream::name() const { return session_->name(); }

std::vector<std::int64_t> KeyStream::next_offset() const {
  return session_->next_offset();
}

std::vector<std::int64_t> KeyStream::acknowledged() const {
  return session_->acknowledged();
}

int KeyStream::reconnects() const { return session_->reconnects(); }

absl::Status KeyStream::Add(const TensorView& keys) {
  return session_->Add(std::nullopt, keys);
}

absl::Status KeyStream::AddToHead(std::int64_t head, const TensorView& keys) {
  return session_->Add(head, keys);
}

absl::Status KeyStream::Flush() { return session_->Flush(); }

absl::StatusOr<UniversalSets> KeyStream::Snapshot() {
  return session_->Snapshot();
}

absl::StatusOr<std::string> KeyStream::Checkpoint() {
  return session_->Checkpoint();
}

absl::StatusOr<UniversalSets> KeyStream::Finish() { return session_->Finish(); }

}  // namespace steelyard::client
