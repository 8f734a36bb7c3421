// QueryHeavy with every function, prefix, padding and shape of answer, against
// brute force; and against sets that the server keeps.
#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/convert/valid_requests.h"
#include "tests/support_server/attention_by_force.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/query_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

// Relative error that scores of these sizes may have: n d roundings of float64
// against long double, times the largest p.
constexpr double kTolerance = 200.0 * 6.0 * 4.0 * 0x1p-52;

v1::Tensor NormalHeads(std::int64_t heads, std::int64_t rows, std::int64_t cols,
                       std::uint64_t seed) {
  v1::Tensor tensor = NormalTensor(heads * rows, cols, seed);
  tensor.clear_shape();
  if (heads > 1) tensor.add_shape(heads);
  tensor.add_shape(rows);
  tensor.add_shape(cols);
  return tensor;
}

v1::ScoreFunction PowerOf(double p) {
  v1::ScoreFunction function;
  function.mutable_power()->set_p(p);
  return function;
}

v1::ScoreFunction SumOfPowers() {
  v1::ScoreFunction function;
  for (const auto& [coefficient, p] : {std::pair(0.5, 1.0), {2.0, 3.5}}) {
    v1::PowerTerm* const term = function.mutable_power_sum()->add_terms();
    term->set_coefficient(coefficient);
    term->set_p(p);
  }
  return function;
}

v1::ScoreFunction CertifiedSoftmax() {
  v1::ScoreFunction function;
  function.mutable_softmax()->set_mode(v1::SOFTMAX_MODE_CERTIFIED);
  return function;
}

std::vector<v1::ScoreFunction> Functions() {
  return {PowerOf(2.0), PowerOf(4.0),  PowerOf(1.5),
          PowerOf(1.0), SumOfPowers(), CertifiedSoftmax()};
}

// 2 heads of 60 keys, 4 heads of 7 queries, 6 columns.
v1::QueryHeavyRequest Request(const v1::ScoreFunction& function) {
  v1::QueryHeavyRequest request;
  *request.mutable_keys()->mutable_dense() = NormalHeads(2, 60, 6, 11);
  *request.mutable_queries() = NormalHeads(4, 7, 6, 12);
  *request.mutable_function() = function;
  request.set_epsilon(0.04);
  return request;
}

// One row against the values of all keys that its query sees.
void ExpectHeavy(const v1::HeavyRow& row, const ForceRow& values,
                 double epsilon) {
  const long double z = ForceSum(values);
  std::vector<bool> returned(values.size());
  long double mass = 0.0L;
  for (int e = 0; e < row.indices_size(); ++e) {
    const auto j = static_cast<std::size_t>(row.indices(e));
    ASSERT_LT(j, values.size());
    if (e > 0) {
      EXPECT_LT(row.indices(e - 1), row.indices(e));
    }
    returned[j] = true;
    const auto score = static_cast<double>(values[j] / z);
    mass += values[j] / z;
    const double upper =
        row.scores_upper_size() > 0 ? row.scores_upper(e) : row.scores(e);
    EXPECT_LE(row.scores(e), score * (1.0 + kTolerance));
    EXPECT_GE(upper, score * (1.0 - kTolerance));
    EXPECT_GE(upper, epsilon * (1.0 - kTolerance));
  }
  for (std::size_t j = 0; j < values.size(); ++j) {
    if (returned[j]) continue;
    EXPECT_LT(static_cast<double>(values[j] / z), epsilon)
        << "missed key " << j;
  }
  const auto captured = static_cast<double>(mass);
  if (row.scores_upper_size() == 0) {
    EXPECT_NEAR(row.captured_mass(), captured, kTolerance);
  } else {
    EXPECT_LE(row.captured_mass(), captured * (1.0 + kTolerance));
  }
}

void ExpectAllHeavy(
    const v1::QueryHeavyRequest& request, const v1::Tensor& keys_tensor,
    const google::protobuf::RepeatedPtrField<v1::HeavyRow>& rows) {
  const ForceTensor keys(keys_tensor);
  const ForceTensor queries(request.queries());
  ASSERT_EQ(rows.size(), queries.heads * queries.rows);
  for (std::int64_t g = 0; g < queries.heads; ++g) {
    const std::int64_t h = g * keys.heads / queries.heads;
    for (std::int64_t i = 0; i < queries.rows; ++i) {
      SCOPED_TRACE(testing::Message() << "query head " << g << " row " << i);
      std::int64_t seen = request.lengths_size() > 0
                              ? request.lengths(static_cast<int>(h))
                              : keys.rows;
      if (request.causal()) {
        seen = std::min(seen, request.positions(static_cast<int>(i)) + 1);
      }
      ExpectHeavy(
          rows.Get(static_cast<int>(g * queries.rows + i)),
          ForceValues(request.function(), queries.row(g, i), keys, h, seen),
          request.epsilon());
    }
  }
}

class QueryHeavySetsTest : public testing::Test {
 protected:
  v1::QueryHeavyResponse Answer(const v1::QueryHeavyRequest& request) {
    v1::QueryHeavyResponse response;
    const grpc::Status status = queries_.QueryHeavy(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  void ExpectByForce(const v1::QueryHeavyRequest& request) {
    SCOPED_TRACE(request.function().ShortDebugString());
    ExpectAllHeavy(request, request.keys().dense(), Answer(request).rows());
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const QueryCaller queries_{running_.address()};
};

TEST_F(QueryHeavySetsTest, EveryFunctionFindsWhatBruteForceFinds) {
  for (const v1::ScoreFunction& function : Functions()) {
    ExpectByForce(Request(function));
  }
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

TEST_F(QueryHeavySetsTest, CausalQueriesSeeTheirPrefixOnly) {
  for (const v1::ScoreFunction& function : Functions()) {
    v1::QueryHeavyRequest request = Request(function);
    request.set_causal(true);
    for (const std::int64_t position : {0, 59, 5, 30, 30, 1, 58}) {
      request.add_positions(position);
    }
    ExpectByForce(request);
  }
}

TEST_F(QueryHeavySetsTest, PaddingIsNotRead) {
  for (const v1::ScoreFunction& function : Functions()) {
    v1::QueryHeavyRequest request = Request(function);
    request.add_lengths(60);
    request.add_lengths(17);
    // What is padding may be anything.
    std::string* const data =
        request.mutable_keys()->mutable_dense()->mutable_data();
    const std::size_t from = (60 + 17) * 6 * sizeof(double);
    std::memset(data->data() + from, 0xff, data->size() - from);
    ExpectByForce(request);
    // The last valid row is read, and an error names its place in the tensor.
    std::memset(data->data() + from - 8, 0xff, 8);
    v1::QueryHeavyResponse response;
    const grpc::Status nan = queries_.QueryHeavy(request, &response);
    EXPECT_EQ(ReasonOf(nan), "NOT_FINITE");
    EXPECT_EQ(FieldOf(nan), "keys.dense.data");
    EXPECT_THAT(nan.error_message(), testing::HasSubstr("keys[76,5] is nan"));
  }
}

TEST_F(QueryHeavySetsTest, PackedRowsHoldWhatRowsHold) {
  for (const v1::ScoreFunction& function : Functions()) {
    v1::QueryHeavyRequest request = Request(function);
    const v1::QueryHeavyResponse rows = Answer(request);
    request.set_packed(true);
    const v1::QueryHeavyResponse packed = Answer(request);
    EXPECT_EQ(packed.rows_size(), 0);
    std::string indices;
    std::string scores;
    std::string mass;
    std::string offsets(8, '\0');
    std::int64_t offset = 0;
    for (const v1::HeavyRow& row : rows.rows()) {
      indices += BytesOf(std::vector<std::int64_t>(row.indices().begin(),
                                                   row.indices().end()));
      scores += BytesOf(
          std::vector<double>(row.scores().begin(), row.scores().end()));
      mass += BytesOf(std::vector<double>{row.captured_mass()});
      offset += row.indices_size();
      offsets += BytesOf(std::vector<std::int64_t>{offset});
    }
    EXPECT_EQ(packed.packed().indices().data(), indices);
    EXPECT_EQ(packed.packed().scores().data(), scores);
    EXPECT_EQ(packed.packed().captured_mass().data(), mass);
    EXPECT_EQ(packed.packed().row_offsets().data(), offsets);
    EXPECT_EQ(packed.packed().row_offsets().dtype(), v1::DTYPE_INT64);
  }
}

TEST_F(QueryHeavySetsTest, HeuristicSoftmaxSharesAmongItsMembers) {
  v1::ScoreFunction function;
  function.mutable_softmax()->set_mode(v1::SOFTMAX_MODE_HEURISTIC);
  const v1::QueryHeavyResponse response = Answer(Request(function));
  ASSERT_EQ(response.rows_size(), 28);
  for (const v1::HeavyRow& row : response.rows()) {
    double sum = 0.0;
    for (const double score : row.scores()) {
      EXPECT_GE(score, 0.04 * (1.0 - kTolerance));
      sum += score;
    }
    EXPECT_LE(sum, 1.0 + kTolerance);
  }
}

TEST_F(QueryHeavySetsTest, SoftmaxWithoutAModeIsTheCallersChoice) {
  v1::QueryHeavyRequest request = Request({});
  request.mutable_function()->mutable_softmax();
  v1::QueryHeavyResponse response;
  const grpc::Status status = queries_.QueryHeavy(request, &response);
  EXPECT_EQ(ReasonOf(status), "FIELD_REQUIRED");
  EXPECT_EQ(FieldOf(status), "function.softmax.mode");
}

TEST_F(QueryHeavySetsTest, ASetThatIsNotThereIsNotFound) {
  v1::QueryHeavyRequest request = Request(PowerOf(2.0));
  request.mutable_universal_set()->set_name("universalSets/nobody");
  v1::QueryHeavyResponse response;
  EXPECT_EQ(queries_.QueryHeavy(request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.mutable_universal_set()->set_name("nobody");
  const grpc::Status status = queries_.QueryHeavy(request, &response);
  EXPECT_EQ(FieldOf(status), "universal_set.name");
}

}  // namespace
}  // namespace steelyard::test
