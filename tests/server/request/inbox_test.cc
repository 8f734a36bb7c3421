#include "server/request/inbox.h"

#include <atomic>
#include <thread>

#include "google/protobuf/wrappers.pb.h"
#include "gtest/gtest.h"

namespace steelyard::server {
namespace {

using google::protobuf::BytesValue;
using Box = Inbox<BytesValue>;

constexpr std::chrono::seconds kPatience{20};

std::shared_ptr<BytesValue> Message(std::size_t bytes) {
  auto message = std::make_shared<BytesValue>();
  message->set_value(std::string(bytes, 'x'));
  return message;
}

TEST(InboxTest, MessagesComeInOrderThenTheEnd) {
  Box inbox(1000);
  std::thread reader([&] {
    for (const std::size_t bytes : {1u, 2u, 3u}) {
      EXPECT_TRUE(inbox.Push(Message(bytes)));
    }
    inbox.End();
  });
  for (const std::size_t bytes : {1u, 2u, 3u}) {
    Box::Taken taken = inbox.Take(Box::Clock::now() + kPatience);
    ASSERT_NE(taken.message, nullptr);
    EXPECT_EQ(taken.message->value().size(), bytes);
    inbox.Release(std::move(taken));
  }
  EXPECT_TRUE(inbox.Take(Box::Clock::now() + kPatience).ended);
  reader.join();
}

TEST(InboxTest, TakeWaitsNoLongerThanAskedAndWakesWhenTold) {
  Box inbox(1000);
  EXPECT_EQ(inbox.Take(Box::Clock::now()).message, nullptr);
  inbox.Wake();
  const auto begin = Box::Clock::now();
  EXPECT_FALSE(inbox.Take(begin + kPatience).ended);
  EXPECT_LT(Box::Clock::now() - begin, kPatience);
}

TEST(InboxTest, AFullInboxHoldsTheReaderUntilMessagesAreReleased) {
  Box inbox(250);
  std::atomic<int> pushed{0};
  std::thread reader([&] {
    for (int i = 0; i < 4; ++i) {
      if (!inbox.Push(Message(100))) break;
      ++pushed;
    }
    inbox.End();
  });
  // Taken is not released: it still counts.
  Box::Taken first = inbox.Take(Box::Clock::now() + kPatience);
  Box::Taken second = inbox.Take(Box::Clock::now() + kPatience);
  ASSERT_NE(second.message, nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(pushed, 2);
  inbox.Release(std::move(first));
  Box::Taken third = inbox.Take(Box::Clock::now() + kPatience);
  ASSERT_NE(third.message, nullptr);
  EXPECT_LE(pushed, 3);
  inbox.Refuse();
  reader.join();
  EXPECT_EQ(pushed, 3);
}

TEST(InboxTest, AMessageLargerThanTheBoundPassesAlone) {
  Box inbox(10);
  EXPECT_TRUE(inbox.Push(Message(1000)));
  Box::Taken taken = inbox.Take(Box::Clock::now() + kPatience);
  ASSERT_NE(taken.message, nullptr);
  inbox.Release(std::move(taken));
  EXPECT_TRUE(inbox.Push(Message(1000)));
}

TEST(InboxTest, ReleasedMessagesAreReadIntoAgainUnlessSomebodyHasThem) {
  Box inbox(1000);
  ASSERT_TRUE(inbox.Push(Message(100)));
  Box::Taken taken = inbox.Take(Box::Clock::now() + kPatience);
  BytesValue* const old = taken.message.get();
  inbox.Release(std::move(taken));
  std::shared_ptr<BytesValue> spare = inbox.Spare();
  EXPECT_EQ(spare.get(), old);
  ASSERT_TRUE(inbox.Push(spare));
  inbox.Release(inbox.Take(Box::Clock::now() + kPatience));
  EXPECT_NE(inbox.Spare().get(), old);
}

}  // namespace
}  // namespace steelyard::server
