#include "key_link.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"

namespace steelyard::client {

using std::chrono::steady_clock;

KeyLink::KeyLink(std::unique_ptr<Connection::KeyMessages> messages,
                 Seconds silence_max)
    : messages_(std::move(messages)),
      silence_max_(silence_max),
      last_heard_(steady_clock::now()),
      writer_([this] { WriteAll(); }),
      reader_([this] { ReadAll(); }) {}

KeyLink::~KeyLink() {
  {
    const std::lock_guard lock(mutex_);
    outgoing_.clear();
    no_more_ = true;
  }
  changed_.notify_all();
  messages_->Cancel();
  writer_.join();
  reader_.join();
}

void KeyLink::Send(KeyRequest request) {
  {
    const std::lock_guard lock(mutex_);
    outgoing_.push_back(std::move(request));
  }
  changed_.notify_all();
}

void KeyLink::SendNoMore() {
  {
    const std::lock_guard lock(mutex_);
    no_more_ = true;
  }
  changed_.notify_all();
}

void KeyLink::WriteAll() {
  bool alive = true;
  std::unique_lock lock(mutex_);
  while (alive) {
    changed_.wait(
        lock, [this] { return !outgoing_.empty() || no_more_ || call_over_; });
    if (call_over_ || outgoing_.empty()) break;
    const KeyRequest request = std::move(outgoing_.front());
    outgoing_.pop_front();
    lock.unlock();
    alive = messages_->Write(*request);
    lock.lock();
  }
  lock.unlock();
  if (alive) messages_->WritesDone();
  lock.lock();
  writer_done_ = true;
  lock.unlock();
  changed_.notify_all();
}

void KeyLink::ReadAll() {
  v1::StreamKeysResponse response;
  while (messages_->Read(&response)) {
    const std::lock_guard lock(mutex_);
    last_heard_ = steady_clock::now();
    if (response.has_ack()) {
      ++ack_.number;
      ack_.next_offset.assign(response.ack().next_offset().begin(),
                              response.ack().next_offset().end());
    } else {
      answers_.push_back(std::move(response));
    }
    changed_.notify_all();
  }
  std::unique_lock lock(mutex_);
  call_over_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return writer_done_; });
  lock.unlock();
  absl::Status end = messages_->Finish();
  lock.lock();
  end_ = std::move(end);
  changed_.notify_all();
}

template <typename Done>
absl::Status KeyLink::Wait(std::unique_lock<std::mutex>* lock,
                           const Done& done) {
  last_heard_ = steady_clock::now();  // Owed from now on.
  // A look at the clock now and then: the silence is counted anew with every
  // message.
  constexpr Seconds kLook{0.25};
  while (!done() && !end_.has_value()) {
    changed_.wait_for(*lock, std::min(kLook, silence_max_));
    if (steady_clock::now() - last_heard_ > silence_max_ && !done() &&
        !end_.has_value()) {
      return absl::UnavailableError(
          absl::StrCat("nothing was heard from the server for ",
                       silence_max_.count(), " s"));
    }
  }
  return absl::OkStatus();
}

absl::Status KeyLink::EndedEarly() const {
  if (!end_->ok()) return *end_;
  return BrokenAnswer("the stream ended where an answer is owed");
}

absl::StatusOr<v1::StreamKeysResponse> KeyLink::Next() {
  std::unique_lock lock(mutex_);
  absl::Status status = Wait(&lock, [this] { return !answers_.empty(); });
  if (!status.ok()) return status;
  if (answers_.empty()) return EndedEarly();
  v1::StreamKeysResponse response = std::move(answers_.front());
  answers_.pop_front();
  return response;
}

absl::StatusOr<KeyLink::Acknowledgement> KeyLink::WaitForAck(
    std::int64_t seen) {
  std::unique_lock lock(mutex_);
  absl::Status status = Wait(&lock, [&] { return ack_.number > seen; });
  if (!status.ok()) return status;
  if (ack_.number <= seen) return EndedEarly();
  return ack_;
}

absl::StatusOr<KeyLink::Acknowledgement> KeyLink::LastAck() const {
  const std::lock_guard lock(mutex_);
  if (end_.has_value()) return EndedEarly();
  return ack_;
}

KeyLink::Acknowledgement KeyLink::last_ack() const {
  const std::lock_guard lock(mutex_);
  return ack_;
}

absl::Status KeyLink::WaitForEnd() {
  std::unique_lock lock(mutex_);
  absl::Status status = Wait(&lock, [] { return false; });
  return status.ok() ? *end_ : status;
}

}  // namespace steelyard::client
