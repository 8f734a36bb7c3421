#include "client/src/key_link.h"

#include <atomic>
#include <memory>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace steelyard::client {
namespace {

using namespace std::chrono_literals;

// Two pipes: what was written, and what is to be read.
class PipedMessages : public Connection::KeyMessages {
 public:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> written;
    std::deque<v1::StreamKeysResponse> readable;
    absl::Status end;
    bool over = false;
    bool half_closed = false;
    bool cancelled = false;
  };

  explicit PipedMessages(std::shared_ptr<State> state)
      : state_(std::move(state)) {}

  bool Write(const v1::StreamKeysRequest& request) override {
    const std::lock_guard lock(state_->mutex);
    if (state_->over) return false;
    state_->written.push_back(request.open().set_id());
    state_->changed.notify_all();
    return true;
  }
  void WritesDone() override {
    const std::lock_guard lock(state_->mutex);
    state_->half_closed = true;
    state_->changed.notify_all();
  }
  bool Read(v1::StreamKeysResponse* response) override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(
        lock, [this] { return state_->over || !state_->readable.empty(); });
    if (state_->readable.empty()) return false;
    *response = state_->readable.front();
    state_->readable.pop_front();
    return true;
  }
  absl::Status Finish() override {
    const std::lock_guard lock(state_->mutex);
    return state_->end;
  }
  void Cancel() override {
    const std::lock_guard lock(state_->mutex);
    state_->cancelled = true;
    state_->over = true;
    state_->changed.notify_all();
  }

 private:
  const std::shared_ptr<State> state_;
};

class KeyLinkTest : public testing::Test {
 protected:
  void Reply(const v1::StreamKeysResponse& response) {
    const std::lock_guard lock(state_->mutex);
    state_->readable.push_back(response);
    state_->changed.notify_all();
  }
  void Ack(std::int64_t next) {
    v1::StreamKeysResponse response;
    response.mutable_ack()->add_next_offset(next);
    Reply(response);
  }
  void End(absl::Status status) {
    const std::lock_guard lock(state_->mutex);
    state_->end = std::move(status);
    state_->over = true;
    state_->changed.notify_all();
  }
  static KeyRequest Named(const std::string& name) {
    auto request = std::make_shared<v1::StreamKeysRequest>();
    request->mutable_open()->set_set_id(name);
    return request;
  }

  std::shared_ptr<PipedMessages::State> state_ =
      std::make_shared<PipedMessages::State>();
};

TEST_F(KeyLinkTest, RequestsGoOutInOrderAndAnswersComeIn) {
  KeyLink link(std::make_unique<PipedMessages>(state_), 5s);
  link.Send(Named("a"));
  link.Send(Named("b"));
  Ack(3);
  v1::StreamKeysResponse answer;
  answer.mutable_opened()->set_name("x");
  Reply(answer);
  const auto next = link.Next();
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_EQ(next->opened().name(), "x");
  const auto ack = link.LastAck();
  ASSERT_TRUE(ack.ok());
  EXPECT_EQ(ack->number, 1);
  EXPECT_THAT(ack->next_offset, testing::ElementsAre(3));
  Ack(5);
  EXPECT_THAT(link.WaitForAck(1)->next_offset, testing::ElementsAre(5));
  link.SendNoMore();
  std::unique_lock lock(state_->mutex);
  EXPECT_TRUE(
      state_->changed.wait_for(lock, 5s, [&] { return state_->half_closed; }));
  EXPECT_THAT(state_->written, testing::ElementsAre("a", "b"));
}

TEST_F(KeyLinkTest, TheEndOfTheCallEndsEveryWait) {
  KeyLink link(std::make_unique<PipedMessages>(state_), 5s);
  Ack(7);
  EXPECT_TRUE(link.WaitForAck(0).ok());
  End(absl::AbortedError("taken over"));
  EXPECT_TRUE(absl::IsAborted(link.Next().status()));
  EXPECT_TRUE(absl::IsAborted(link.WaitForAck(1).status()));
  EXPECT_TRUE(absl::IsAborted(link.WaitForEnd()));
  EXPECT_TRUE(absl::IsAborted(link.LastAck().status()));
  EXPECT_THAT(link.last_ack().next_offset, testing::ElementsAre(7));
}

TEST_F(KeyLinkTest, AnOkEndWhereAnAnswerIsOwedBreaksTheContract) {
  KeyLink link(std::make_unique<PipedMessages>(state_), 5s);
  End(absl::OkStatus());
  EXPECT_TRUE(absl::IsInternal(link.Next().status()));
  EXPECT_TRUE(link.WaitForEnd().ok());
}

TEST_F(KeyLinkTest, SilenceIsUnavailable) {
  KeyLink link(std::make_unique<PipedMessages>(state_), 20ms);
  EXPECT_TRUE(absl::IsUnavailable(link.Next().status()));
}

TEST_F(KeyLinkTest, ItsEndCancelsTheCall) {
  { const KeyLink link(std::make_unique<PipedMessages>(state_), 5s); }
  EXPECT_TRUE(state_->cancelled);
}

}  // namespace
}  // namespace steelyard::client
