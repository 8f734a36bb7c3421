#include "steelyard/processor.h"

#include <cblas.h>

#include "gtest/gtest.h"

namespace steelyard {
namespace {

TEST(ProcessorTest, TheBlasMayBeCalledFromSeveralThreads) {
  EXPECT_NE(openblas_get_parallel(), 0);
  EXPECT_EQ(openblas_get_num_threads(), 1);
  EXPECT_TRUE(PrepareProcessor().ok());
}

TEST(ProcessorTest, TellsTargetAndBlas) {
  EXPECT_FALSE(CpuTarget().empty());
  EXPECT_NE(BlasDescription().find("OpenBLAS"), std::string::npos);
}

TEST(ProcessorTest, RefusesAnUnknownTarget) {
  ASSERT_EQ(setenv("STEELYARD_CPU", "vax", 1), 0);
  const absl::Status status = PrepareProcessor();
  ASSERT_EQ(unsetenv("STEELYARD_CPU"), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("vax"), absl::string_view::npos);
}

}  // namespace
}  // namespace steelyard
