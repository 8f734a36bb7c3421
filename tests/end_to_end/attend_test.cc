// Attend against its definition: the keys attended are known without a set.
#include <cmath>
#include <cstring>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/attention_by_force.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

constexpr std::int64_t kKeys = 30;
constexpr std::int64_t kQueries = 6;

v1::AttendRequest Request() {
  v1::AttendRequest request;
  *request.mutable_keys()->mutable_dense() = NormalTensor(kKeys, 4, 1);
  *request.mutable_values()->mutable_dense() = NormalTensor(kKeys, 3, 2);
  *request.mutable_queries() = NormalTensor(kQueries, 4, 3);
  request.set_sinks(2);
  request.set_window(3);
  return request;
}

class AttendTest : public testing::Test {
 protected:
  RunningServer running_;
  const Caller caller_{running_.address()};
  const QueryCaller queries_{running_.address()};
};

TEST_F(AttendTest, SinksAndAWindowAreAveragedByTheirScores) {
  for (const double p : {1.0, 2.0, 3.0}) {
    for (const bool causal : {false, true}) {
      v1::AttendRequest request = Request();
      request.mutable_function()->mutable_power()->set_p(p);
      request.set_causal(causal);
      v1::AttendResponse response;
      const grpc::Status status = queries_.Attend(request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
      const ForceTensor output(response.output());
      const ForceTensor values(request.values().dense());
      for (std::int64_t i = 0; i < kQueries; ++i) {
        const std::int64_t at = kKeys - kQueries + i;
        const ForceRow scores = ForceValues(
            request.function(), ForceTensor(request.queries()).row(0, i),
            ForceTensor(request.keys().dense()), 0, kKeys);
        long double z = 0.0L;
        long double sum[3] = {};
        int attended = 0;
        for (std::int64_t j = 0; j < kKeys; ++j) {
          const bool near = j < 2 || std::abs(at - j) <= 3;
          if (!near || (causal && j > at)) continue;
          ++attended;
          const long double w = scores[static_cast<std::size_t>(j)];
          z += w;
          for (int c = 0; c < 3; ++c) sum[c] += w * values.row(0, j)[c];
        }
        EXPECT_EQ(response.attended(static_cast<int>(i)), attended);
        for (int c = 0; c < 3; ++c) {
          // 30 terms and a power of an inner product of 4.
          EXPECT_NEAR(output.row(0, i)[c], static_cast<double>(sum[c] / z),
                      30 * 6 * 4 * 0x1p-52 * 10.0);
        }
      }
    }
  }
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(AttendTest, RefusalsNameTheField) {
  v1::AttendResponse response;
  v1::AttendRequest nothing = Request();
  nothing.clear_sinks();
  nothing.clear_local();
  EXPECT_EQ(FieldOf(queries_.Attend(nothing, &response)), "epsilon");
  v1::AttendRequest grid = Request();
  grid.mutable_grid()->set_height(std::int64_t{1} << 40);
  grid.mutable_grid()->set_width(std::int64_t{1} << 40);
  EXPECT_EQ(ReasonOf(queries_.Attend(grid, &response)), "SHAPE_OVERFLOW");
  v1::AttendRequest large = Request();
  large.set_max_response_bytes(10);
  const grpc::Status status = queries_.Attend(large, &response);
  EXPECT_EQ(ReasonOf(status), "RESPONSE_TOO_LARGE");
  EXPECT_THAT(status.error_message(), testing::HasSubstr("StreamAttend"));
}

}  // namespace
}  // namespace steelyard::test
