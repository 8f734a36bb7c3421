// Attend against its definition: the keys attended are known without a set.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

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
constexpr std::int64_t kOutputs = 3;

v1::AttendRequest Request() {
  v1::AttendRequest request;
  *request.mutable_keys()->mutable_dense() = NormalTensor(kKeys, 4, 1);
  *request.mutable_values()->mutable_dense() = NormalTensor(kKeys, kOutputs, 2);
  *request.mutable_queries() = NormalTensor(kQueries, 4, 3);
  request.set_sinks(2);
  request.set_window(3);
  return request;
}

// rows x cols of `heads` heads.
v1::Tensor NormalHeads(std::int64_t heads, std::int64_t rows, std::int64_t cols,
                       std::uint64_t seed) {
  v1::Tensor tensor = NormalTensor(heads * rows, cols, seed);
  tensor.clear_shape();
  for (const std::int64_t extent : {heads, rows, cols}) {
    tensor.add_shape(extent);
  }
  return tensor;
}

// Keys of key head `head` that a query at `at` attends.
using Attends =
    std::function<bool(std::int64_t head, std::int64_t at, std::int64_t key)>;

bool IsNearInRequest(std::int64_t, std::int64_t at, std::int64_t key) {
  return key < 2 || std::abs(at - key) <= 3;
}

// 30 terms and a power of an inner product of 4.
constexpr double kTolerance = 30 * 6 * 4 * 0x1p-52 * 10.0;

// Every row of a FLOAT64 answer by the definition.
void ExpectByForce(const v1::AttendRequest& request, const Attends& attends,
                   const v1::AttendResponse& response) {
  const ForceTensor keys(request.keys().dense());
  const ForceTensor values(request.values().dense());
  const ForceTensor queries(request.queries());
  const ForceTensor output(response.output());
  ASSERT_EQ(output.rows, queries.rows);
  ASSERT_EQ(output.heads, queries.heads);
  ASSERT_EQ(response.attended_size(), queries.heads * queries.rows);
  const bool all = request.normalization() == v1::NORMALIZATION_ALL;
  for (std::int64_t g = 0; g < queries.heads; ++g) {
    const std::int64_t h = g * keys.heads / queries.heads;
    const std::int64_t n = request.lengths_size() > 0
                               ? request.lengths(static_cast<int>(h))
                               : keys.rows;
    for (std::int64_t i = 0; i < queries.rows; ++i) {
      const std::int64_t at = request.positions_size() > 0
                                  ? request.positions(static_cast<int>(i))
                                  : n - queries.rows + i;
      const std::int64_t seen = request.causal() ? std::min(n, at + 1) : n;
      const ForceRow scores =
          ForceValues(request.function(), queries.row(g, i), keys, h, seen);
      long double z = 0.0L;
      long double sum[kOutputs] = {};
      int attended = 0;
      for (std::int64_t j = 0; j < seen; ++j) {
        if (!attends(h, at, j)) continue;
        ++attended;
        const long double w = scores[static_cast<std::size_t>(j)];
        z += w;
        for (int c = 0; c < kOutputs; ++c) sum[c] += w * values.row(h, j)[c];
      }
      const auto row = static_cast<int>(g * queries.rows + i);
      EXPECT_EQ(response.attended(row), attended);
      const long double share = z / ForceSum(scores);
      for (int c = 0; c < kOutputs; ++c) {
        const long double wanted = sum[c] / z * (all ? share : 1.0L);
        EXPECT_NEAR(output.row(g, i)[c], static_cast<double>(wanted),
                    kTolerance);
      }
      if (all) {
        ASSERT_EQ(response.captured_mass_size(), response.attended_size());
        EXPECT_NEAR(response.captured_mass(row), static_cast<double>(share),
                    kTolerance);
      }
    }
  }
}

class AttendTest : public testing::Test {
 protected:
  v1::AttendResponse Answer(const v1::AttendRequest& request) {
    v1::AttendResponse response;
    const grpc::Status status = queries_.Attend(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // Members of the set that epsilon or top_m of the request mean, by head.
  std::vector<std::set<std::int64_t>> Members(
      const v1::AttendRequest& request) {
    v1::FindUniversalSetRequest find;
    *find.mutable_keys() = request.keys();
    if (request.has_function()) {
      *find.mutable_function() = request.function();
    }
    *find.mutable_lengths() = request.lengths();
    find.set_epsilon(request.epsilon());
    if (request.has_top_m()) find.set_top_m(request.top_m());
    find.set_causal(request.causal());
    grpc::ClientContext context;
    v1::FindUniversalSetResponse found;
    const grpc::Status status =
        caller_.FindUniversalSet(&context, find, &found);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::vector<std::set<std::int64_t>> members;
    for (const v1::UniversalSet& set : found.sets()) {
      members.emplace_back(set.indices().begin(), set.indices().end());
    }
    return members;
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const QueryCaller queries_{running_.address()};
};

v1::ScoreFunction Heuristic() {
  v1::ScoreFunction function;
  function.mutable_softmax()->set_mode(v1::SOFTMAX_MODE_HEURISTIC);
  return function;
}

std::vector<v1::ScoreFunction> Functions() {
  std::vector<v1::ScoreFunction> functions(4);
  functions[0].mutable_power()->set_p(2.0);
  functions[1].mutable_power()->set_p(1.0);
  functions[2].mutable_power()->set_p(3.0);
  functions[3] = Heuristic();
  return functions;
}

TEST_F(AttendTest, SinksAndAWindowAreAveragedByTheirScores) {
  for (const v1::ScoreFunction& function : Functions()) {
    for (const bool causal : {false, true}) {
      for (const bool all : {false, true}) {
        v1::AttendRequest request = Request();
        *request.mutable_function() = function;
        request.set_causal(causal);
        if (all) request.set_normalization(v1::NORMALIZATION_ALL);
        ExpectByForce(request, IsNearInRequest, Answer(request));
      }
    }
  }
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(AttendTest, MembersOfTheSetAreAttendedToo) {
  for (const v1::ScoreFunction& function : Functions()) {
    for (const bool causal : {false, true}) {
      // The heuristic has no causal set.
      if (causal && function.has_softmax()) continue;
      for (const bool top : {false, true}) {
        v1::AttendRequest request = Request();
        *request.mutable_function() = function;
        request.set_causal(causal);
        if (top) {
          request.set_top_m(4);
        } else {
          request.set_epsilon(0.15);
        }
        const auto members = Members(request);
        ASSERT_FALSE(members.at(0).empty());
        ExpectByForce(
            request,
            [&](std::int64_t head, std::int64_t at, std::int64_t key) {
              return IsNearInRequest(head, at, key) ||
                     members[static_cast<std::size_t>(head)].count(key) > 0;
            },
            Answer(request));
      }
    }
  }
}

// Cells 5, 6, ... of a 4 x 6 grid; queries before it have no neighbours.
TEST_F(AttendTest, AGridHasNeighboursByManhattanDistance) {
  v1::AttendRequest request = Request();
  request.set_sinks(1);
  request.mutable_grid()->set_height(4);
  request.mutable_grid()->set_width(6);
  request.mutable_grid()->set_radius(2);
  request.mutable_grid()->set_first(5);
  for (const std::int64_t position : {0, 5, 10, 11, 17, 28}) {
    request.add_positions(position);
  }
  ExpectByForce(
      request,
      [](std::int64_t, std::int64_t at, std::int64_t key) {
        const std::int64_t a = at - 5, b = key - 5;
        return key < 1 ||
               (a >= 0 && b >= 0 && a < 24 && b < 24 &&
                std::abs(a / 6 - b / 6) + std::abs(a % 6 - b % 6) <= 2);
      },
      Answer(request));
}

// 2 key heads of which one is shorter, 4 query heads; padding is not read.
TEST_F(AttendTest, GroupedHeadsOfDifferentLengths) {
  for (const bool causal : {false, true}) {
    v1::AttendRequest request;
    *request.mutable_keys()->mutable_dense() = NormalHeads(2, kKeys, 4, 5);
    *request.mutable_values()->mutable_dense() =
        NormalHeads(2, kKeys, kOutputs, 6);
    *request.mutable_queries() = NormalHeads(4, kQueries, 4, 7);
    request.set_sinks(2);
    request.set_window(3);
    request.set_causal(causal);
    request.set_epsilon(0.3);
    request.add_lengths(kKeys);
    request.add_lengths(17);
    const auto members = Members(request);
    const v1::AttendResponse plain = Answer(request);
    ExpectByForce(
        request,
        [&](std::int64_t head, std::int64_t at, std::int64_t key) {
          return IsNearInRequest(head, at, key) ||
                 members[static_cast<std::size_t>(head)].count(key) > 0;
        },
        plain);
    for (v1::MatrixInput* const input :
         {request.mutable_keys(), request.mutable_values()}) {
      std::string* const data = input->mutable_dense()->mutable_data();
      const std::size_t row = data->size() / (2 * kKeys);
      const std::size_t from = (kKeys + 17) * row;
      data->replace(from, data->size() - from, data->size() - from, '\xff');
    }
    EXPECT_EQ(Answer(request).output().data(), plain.output().data());
  }
}

TEST_F(AttendTest, OutputsHaveTheTypeOfTheValuesOrTheOneAskedFor) {
  v1::AttendRequest request = Request();
  EXPECT_EQ(Answer(request).output().dtype(), v1::DTYPE_FLOAT64);
  const ForceTensor wide(Answer(request).output());
  request.set_output_dtype(v1::DTYPE_FLOAT32);
  const v1::AttendResponse narrow = Answer(request);
  EXPECT_EQ(narrow.output().dtype(), v1::DTYPE_FLOAT32);
  std::vector<float> numbers(wide.numbers.size());
  ASSERT_EQ(narrow.output().data().size(), numbers.size() * sizeof(float));
  std::memcpy(numbers.data(), narrow.output().data().data(),
              numbers.size() * sizeof(float));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(numbers[i], static_cast<float>(wide.numbers[i]));
  }
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
