#include "server/convert/server_info.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/field_coverage.h"

namespace steelyard::server {
namespace {

TEST(ServerInfoTest, EveryFieldTellsItsFact) {
  const Limits limits{.columns_max = 11,
                      .heads_max = 12,
                      .right_hand_sides_max = 13,
                      .exponent_max = 14,
                      .streams_max = 17,
                      .request_bytes_max = 15,
                      .chunk_bytes_max = 16};
  const ServerFacts facts{.version = "1.2.3",
                          .workers = 4,
                          .cpu_target = "AVX2",
                          .blas = "OpenBLAS",
                          .memory_budget_bytes = 5,
                          .memory_reserved_bytes = 6,
                          .set_memory_bytes = 7,
                          .set_memory_reserved_bytes = 8,
                          .factor_memory_bytes = 9,
                          .factor_memory_reserved_bytes = 10,
                          .stores_matrices = true,
                          .matrix_memory_bytes = 11};
  v1::ServerInfo info;

  ToProto(facts, limits, &info);

  EXPECT_THAT(test::UnsetFields(std::vector{info}), testing::IsEmpty());
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_EQ(info.workers(), 4);
  EXPECT_EQ(info.cpu_target(), "AVX2");
  EXPECT_EQ(info.blas(), "OpenBLAS");
  EXPECT_EQ(info.memory_budget_bytes(), 5);
  EXPECT_EQ(info.memory_reserved_bytes(), 6);
  EXPECT_EQ(info.columns_max(), 11);
  EXPECT_EQ(info.heads_max(), 12);
  EXPECT_EQ(info.right_hand_sides_max(), 13);
  EXPECT_EQ(info.exponent_max(), 14);
  EXPECT_EQ(info.request_bytes_max(), 15);
  EXPECT_EQ(info.chunk_bytes_max(), 16);
  EXPECT_EQ(info.set_memory_bytes(), 7);
  EXPECT_EQ(info.set_memory_reserved_bytes(), 8);
  EXPECT_EQ(info.streams_max(), 17);
  EXPECT_EQ(info.factor_memory_bytes(), 9);
  EXPECT_EQ(info.factor_memory_reserved_bytes(), 10);
  EXPECT_TRUE(info.stores_matrices());
  EXPECT_EQ(info.matrix_memory_bytes(), 11);
}

}  // namespace
}  // namespace steelyard::server
