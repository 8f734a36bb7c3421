#include "server/admission/stream_slots.h"

#include <utility>

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

TEST(StreamSlotsTest, AsManyAsThereAreAndAgainWhenOneIsGone) {
  StreamSlots slots(2);
  auto one = slots.Take();
  {
    auto two = slots.Take();
    ASSERT_TRUE(one.ok() && two.ok());
    const absl::Status full = slots.Take().status();
    EXPECT_EQ(DetailOf(full)->reason, "QUEUE_FULL");
    EXPECT_TRUE(RetryDelayOf(full).has_value());
    const StreamSlots::Slot moved = *std::move(two);
    EXPECT_FALSE(slots.Take().ok());
  }
  EXPECT_TRUE(slots.Take().ok());
}

}  // namespace
}  // namespace steelyard::server
