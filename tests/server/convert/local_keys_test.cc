#include "server/convert/local_keys.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

v1::AttendRequest Window(std::int64_t window) {
  v1::AttendRequest request;
  request.set_window(window);
  return request;
}

v1::AttendRequest Grid(std::int64_t height, std::int64_t width,
                       std::int64_t radius, std::int64_t first) {
  v1::AttendRequest request;
  request.mutable_grid()->set_height(height);
  request.mutable_grid()->set_width(width);
  request.mutable_grid()->set_radius(radius);
  request.mutable_grid()->set_first(first);
  return request;
}

// Of heads with 20 keys, the shortest with 12.
AttendOptions Read(const v1::AttendRequest& request) {
  AttendOptions options;
  const absl::Status status = LocalKeysFromProto(request, 12, 20, &options);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

ErrorDetail Refused(const v1::AttendRequest& request) {
  AttendOptions options;
  const absl::Status status = LocalKeysFromProto(request, 12, 20, &options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(options.window.has_value() || options.grid.has_value());
  const ErrorDetail detail = DetailOf(status).value_or(ErrorDetail{});
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr(detail.field));
  return detail;
}

TEST(LocalKeysConvertTest, AtMostOneOfTheTwoIsSet) {
  const AttendOptions none = Read({});
  EXPECT_FALSE(none.window.has_value() || none.grid.has_value());
  const AttendOptions window = Read(Window(3));
  EXPECT_EQ(window.window, 3);
  EXPECT_FALSE(window.grid.has_value());
  const AttendOptions grid = Read(Grid(3, 4, 2, 0));
  EXPECT_FALSE(grid.window.has_value());
  ASSERT_TRUE(grid.grid.has_value());
  EXPECT_EQ(grid.grid->height, 3);
  EXPECT_EQ(grid.grid->width, 4);
  EXPECT_EQ(grid.grid->radius, 2);
  EXPECT_EQ(grid.grid->first, 0);
}

TEST(LocalKeysConvertTest, WhatReachesEverythingIsNoLargerThanEverything) {
  EXPECT_EQ(Read(Window(0)).window, 0);
  EXPECT_EQ(Read(Window(kLargest)).window, 20);
  EXPECT_EQ(Read(Grid(3, 4, kLargest, 0)).grid->radius, 5);
}

// The head with the fewest keys has the whole grid.
TEST(LocalKeysConvertTest, TheGridLiesOnTheKeysOfEveryHead) {
  EXPECT_EQ(Read(Grid(2, 5, 1, 2)).grid->first, 2);
  const ErrorDetail beyond = Refused(Grid(2, 5, 1, 3));
  EXPECT_EQ(beyond.reason, "FIELD_OUT_OF_RANGE");
  EXPECT_EQ(beyond.field, "grid.height");
}

TEST(LocalKeysConvertTest, NumbersOutOfRangeAreNamed) {
  EXPECT_EQ(Refused(Window(-1)).field, "window");
  EXPECT_EQ(Refused(Grid(0, 4, 1, 0)).field, "grid.height");
  EXPECT_EQ(Refused(Grid(3, -4, 1, 0)).field, "grid.width");
  EXPECT_EQ(Refused(Grid(3, 4, -1, 0)).field, "grid.radius");
  EXPECT_EQ(Refused(Grid(3, 4, 1, -1)).field, "grid.first");
}

TEST(LocalKeysConvertTest, CellsThatCannotBeCountedAreRefused) {
  for (const v1::AttendRequest& request :
       {Grid(kLargest, 2, 1, 0), Grid(std::int64_t{1} << 32, 1LL << 32, 1, 0),
        Grid(1, kLargest, 1, 1)}) {
    const ErrorDetail detail = Refused(request);
    EXPECT_EQ(detail.reason, "SHAPE_OVERFLOW");
    EXPECT_EQ(detail.field, "grid");
  }
}

}  // namespace
}  // namespace steelyard::server
