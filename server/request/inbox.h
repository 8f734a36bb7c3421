// Messages on their way from the thread that reads a stream to the thread that
// answers it.
//
//   reader    Spare, Push, ..., End
//   receiver  Take, Release, ...
//
// Bounded by bytes: Push waits while the messages that were pushed and are not
// released hold more than that, so reading goes on while earlier messages are
// computed and then stops (back-pressure).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace steelyard::server {

template <typename Message>
class Inbox {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Inbox(std::int64_t bytes_max) : bytes_max_(bytes_max) {}
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Reader: a message to read into; an old one where there is, whose memory is
  // used again.
  std::shared_ptr<Message> Spare() {
    const std::lock_guard lock(mutex_);
    if (spares_.empty()) return std::make_shared<Message>();
    std::shared_ptr<Message> spare = std::move(spares_.back());
    spares_.pop_back();
    return spare;
  }

  // Reader: waits while there is no room. False: nobody receives any more.
  bool Push(std::shared_ptr<Message> message) {
    const auto bytes = static_cast<std::int64_t>(message->ByteSizeLong());
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      return refused_ || bytes_ == 0 || bytes_ + bytes <= bytes_max_;
    });
    if (refused_) return false;
    bytes_ += bytes;
    messages_.push_back({std::move(message), bytes});
    news_.notify_one();
    return true;
  }

  // Reader: nothing more comes.
  void End() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    news_.notify_one();
  }

  struct Taken {
    std::shared_ptr<Message> message;  // null: none has come
    std::int64_t bytes = 0;
    bool ended = false;  // and none will
  };

  // Receiver: the next message; waits for it until `until` at most, and not at
  // all after a Wake that nothing has waited for.
  Taken Take(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    news_.wait_until(lock, until,
                     [&] { return !messages_.empty() || ended_ || woken_; });
    woken_ = false;
    if (messages_.empty()) return {nullptr, 0, ended_};
    Taken taken = std::move(messages_.front());
    messages_.pop_front();
    return taken;
  }

  // Receiver: a message that was taken is done with. Its memory is used again
  // unless somebody else still has it.
  void Release(Taken taken) {
    const std::lock_guard lock(mutex_);
    bytes_ -= taken.bytes;
    if (taken.message.use_count() == 1 && spares_.size() < kSparesMax) {
      spares_.push_back(std::move(taken.message));
    }
    room_.notify_one();
  }

  // Receiver: nothing is taken any more.
  void Refuse() {
    const std::lock_guard lock(mutex_);
    refused_ = true;
    room_.notify_one();
  }

  // Anybody: Take returns at once, once.
  void Wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    news_.notify_one();
  }

 private:
  // As many as a stream of 1 MiB chunks has on its way.
  static constexpr std::size_t kSparesMax = 8;

  const std::int64_t bytes_max_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::condition_variable room_;
  std::deque<Taken> messages_;
  std::vector<std::shared_ptr<Message>> spares_;
  std::int64_t bytes_ = 0;
  bool ended_ = false;
  bool refused_ = false;
  bool woken_ = false;
};

}  // namespace steelyard::server
