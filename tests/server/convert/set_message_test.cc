#include "server/convert/set_message.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/field_coverage.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kPartBytes = 4096;

UniversalSet SetOf(Index members) {
  UniversalSet set{.effective_epsilon = 0.2,
                   .rank = 3,
                   .size_bound = 12.0,
                   .exact = true,
                   .relative_score_error = 1e-12,
                   .total_sensitivity = 3.0,
                   .keys = 4 * members,
                   .condition_estimate = 17.0,
                   .method = "Gram"};
  for (Index i = 0; i < members; ++i) {
    set.indices.push_back(3 * i + (Index{1} << 40));
    set.sensitivities.push_back(1.0 / static_cast<double>(i + 1));
    set.upper_bounds.push_back(i % 2 == 0);
    if (i % 3 == 0) set.undecided.push_back(set.indices.back());
    if (i % 5 == 0) set.new_direction.push_back(set.indices.back());
  }
  return set;
}

std::vector<v1::UniversalSet> Parts(const UniversalSet& set) {
  std::vector<v1::UniversalSet> parts;
  const absl::Status written =
      WriteInParts(set, {.head = 7, .epsilon = 0.25}, kPartBytes,
                   [&](const v1::UniversalSet& part) {
                     parts.push_back(part);
                     return true;
                   });
  EXPECT_TRUE(written.ok()) << written;
  return parts;
}

TEST(SetMessageTest, EveryFieldIsFilled) {
  v1::UniversalSet whole;
  ToProto(SetOf(3), {.head = 7, .epsilon = 0.25}, &whole);
  const auto parts = Parts(SetOf(1000));
  EXPECT_THAT(test::UnsetFields(std::vector{whole, parts.front()}),
              testing::IsEmpty());
  EXPECT_EQ(whole.head(), 7);
  EXPECT_EQ(whole.epsilon(), 0.25);
  EXPECT_FALSE(whole.more_follows());
}

TEST(SetMessageTest, PartsAddUpToTheWholeAndAreSmall) {
  for (const Index members : {0, 1, 78, 79, 80, 1000, 5000}) {
    SCOPED_TRACE(members);
    const UniversalSet set = SetOf(members);
    v1::UniversalSet whole;
    ToProto(set, {.head = 7, .epsilon = 0.25}, &whole);
    EXPECT_LE(static_cast<double>(whole.ByteSizeLong()),
              WireBytesMax(members) + 20.0 * static_cast<double>(members));
    EXPECT_GE(static_cast<double>(whole.ByteSizeLong()), WireBytesMin(set));

    const auto parts = Parts(set);
    for (const v1::UniversalSet& part : parts) {
      EXPECT_LE(part.ByteSizeLong(), static_cast<std::size_t>(kPartBytes));
      EXPECT_EQ(part.head(), 7);
    }
    EXPECT_EQ(parts.size() > 1, members > 78);
    const auto joined = test::Joined(parts);
    ASSERT_EQ(joined.size(), 1u);
    EXPECT_EQ(joined.front().SerializeAsString(), whole.SerializeAsString());
  }
}

TEST(SetMessageTest, ABrokenStreamEndsTheWriting) {
  int written = 0;
  const absl::Status status =
      WriteInParts(SetOf(5000), {}, kPartBytes,
                   [&](const v1::UniversalSet&) { return ++written < 3; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(written, 3);
}

}  // namespace
}  // namespace steelyard::server
