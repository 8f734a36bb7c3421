#include "server/convert/progress.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/field_coverage.h"

namespace steelyard::server {
namespace {

TEST(ProgressTest, EveryFieldIsFilled) {
  v1::Progress progress;
  ToProto({.phase = "iterate",
           .iteration = 3,
           .relative_residual = 0.5,
           .fraction = 0.25},
          std::chrono::nanoseconds(1'500'000'000),
          std::chrono::nanoseconds(2'500'000'000), &progress);
  EXPECT_THAT(test::UnsetFields(std::vector{progress}), testing::IsEmpty());
  EXPECT_EQ(progress.phase(), "iterate");
  EXPECT_EQ(progress.iteration(), 3);
  EXPECT_EQ(progress.relative_residual(), 0.5);
  EXPECT_EQ(progress.fraction(), 0.25);
  EXPECT_EQ(progress.elapsed().nanos(), 500'000'000);
  EXPECT_EQ(progress.time_left().seconds(), 2);

  // The same message again, with less to tell.
  ToProto({.phase = "scan"}, std::chrono::nanoseconds(0), std::nullopt,
          &progress);
  EXPECT_FALSE(progress.has_fraction());
  EXPECT_FALSE(progress.has_relative_residual());
  EXPECT_FALSE(progress.has_time_left());
}

}  // namespace
}  // namespace steelyard::server
