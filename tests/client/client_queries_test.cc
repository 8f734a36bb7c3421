// QueryHeavy and Attend of the client, each once, against a server that checks
// what arrives.
#include <mutex>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::FakeStream;

// The sum of a query's numbers, for each query of a float64 tensor.
std::vector<double> RowSums(const v1::Tensor& queries) {
  const auto columns =
      static_cast<std::size_t>(queries.shape(queries.shape_size() - 1));
  std::vector<double> numbers(queries.data().size() / 8);
  std::memcpy(numbers.data(), queries.data().data(), queries.data().size());
  std::vector<double> sums;
  for (std::size_t i = 0; i < numbers.size(); i += columns) {
    sums.push_back(std::accumulate(
        numbers.begin() + static_cast<std::ptrdiff_t>(i),
        numbers.begin() + static_cast<std::ptrdiff_t>(i + columns), 0.0));
  }
  return sums;
}

// 2 heads of 1,000 queries of 200 numbers: four blocks and more.
class ManyQueries : public testing::Test {
 protected:
  ManyQueries() : numbers_(2 * 1000 * 200) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      numbers_[i] = static_cast<double>(i / 200);
    }
  }
  TensorView queries() const { return {numbers_, {2, 1000, 200}}; }
  static double SumOf(std::size_t row) {
    return 200.0 * static_cast<double>(row);
  }

  std::vector<double> numbers_;
};

TEST_F(ManyQueries, StreamQueryHeavyGathersTheRowsOfEveryBlock) {
  // A thread of the server writes it; TSan does not see gRPC order that.
  std::mutex mutex;
  std::vector<std::int64_t> seen;
  FakeServer server(
      {.stream_query_heavy = [&](const FakeCall&, const auto& stream) {
        v1::StreamQueryHeavyRequest request;
        stream.read(&request);
        EXPECT_TRUE(request.open().causal());
        EXPECT_EQ(request.open().positions_size(), 0);
        while (stream.read(&request)) {
          const v1::QueryBlock& block = request.block();
          const std::lock_guard lock(mutex);
          seen.insert(seen.end(), block.positions().begin(),
                      block.positions().end());
          v1::StreamQueryHeavyResponse response;
          response.set_id(block.id());
          for (const double sum : RowSums(block.queries())) {
            response.mutable_part()->add_rows()->add_scores(sum);
          }
          response.mutable_part()->mutable_compute_time()->set_seconds(1);
          response.set_last(true);
          stream.write(response);
        }
        return FakeReply{};
      }});
  std::vector<std::int64_t> positions(1000);
  std::iota(positions.begin(), positions.end(), 0);
  const auto client = Client::Create(server.address());
  const auto scores = client->StreamQueryHeavy(
      KeptSet("u"), queries(), {.causal = true, .positions = positions});
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->rows.size(), 2000U);
  for (std::size_t r = 0; r < 2000; ++r) {
    EXPECT_EQ(scores->rows[r].scores[0], SumOf(r));
  }
  const std::lock_guard lock(mutex);
  EXPECT_EQ(seen, positions);
  EXPECT_GE(scores->compute_time, Seconds(4.0));
}

TEST_F(ManyQueries, StreamAttendGathersTheOutputOfEveryBlock) {
  FakeServer server({.stream_attend = [](const FakeCall&, const auto& stream) {
    v1::StreamAttendRequest request;
    stream.read(&request);
    EXPECT_EQ(request.open().window(), 4);
    while (stream.read(&request)) {
      const std::vector<double> sums = RowSums(request.block().queries());
      // Query i of 1,000 is at position i - 500 + 500 of 1,000 keys.
      EXPECT_EQ(2 * request.block().positions_size(),
                static_cast<int>(sums.size()));
      v1::StreamAttendResponse response;
      response.set_id(request.block().id());
      v1::Tensor* output = response.mutable_part()->mutable_output();
      output->set_dtype(v1::DTYPE_FLOAT64);
      output->add_shape(static_cast<std::int64_t>(sums.size()));
      output->add_shape(1);
      output->set_data(sums.data(), sums.size() * 8);
      for (const double sum : sums) {
        response.mutable_part()->add_attended(static_cast<std::int64_t>(sum));
        response.mutable_part()->add_captured_mass(sum);
      }
      response.set_last(true);
      stream.write(response);
    }
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXf values = Eigen::MatrixXf::Ones(1000, 1);
  const auto attention = client->StreamAttend(
      {.values = values, .queries = queries(), .universal_set = "u"},
      {.local = Window{4}});
  ASSERT_TRUE(attention.ok()) << attention.status();
  ASSERT_EQ(attention->output.rows(), 2000);
  for (Eigen::Index r = 0; r < 2000; ++r) {
    const auto row = static_cast<std::size_t>(r);
    EXPECT_EQ(attention->output(r, 0), SumOf(row));
    EXPECT_EQ(attention->captured_mass[row], SumOf(row));
    EXPECT_EQ(attention->attended[row], static_cast<std::int64_t>(SumOf(row)));
  }
}

TEST(ClientQueriesTest, QueryHeavyOfAKeptSet) {
  FakeServer server({.query_heavy = [](const FakeCall&, const auto& request,
                                       v1::QueryHeavyResponse* response) {
    EXPECT_EQ(request.universal_set().name(), "universalSets/u");
    EXPECT_FALSE(request.packed());
    response->add_rows()->add_scores(0.5);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXf queries = Eigen::MatrixXf::Ones(1, 2);
  const auto scores = client->QueryHeavy(KeptSet("u"), queries, {});
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_EQ(scores->rows[0].scores[0], 0.5);
}

TEST(ClientQueriesTest, QueryHeavyPacked) {
  FakeServer server({.query_heavy = [](const FakeCall&, const auto& request,
                                       v1::QueryHeavyResponse* response) {
    EXPECT_TRUE(request.packed());
    v1::PackedRows* packed = response->mutable_packed();
    const auto fill = [](v1::Tensor* tensor, v1::DType dtype, int size) {
      tensor->set_dtype(dtype);
      tensor->add_shape(size);
      tensor->set_data(std::string(static_cast<std::size_t>(8 * size), '\0'));
    };
    fill(packed->mutable_row_offsets(), v1::DTYPE_INT64, 2);
    fill(packed->mutable_indices(), v1::DTYPE_INT64, 0);
    fill(packed->mutable_scores(), v1::DTYPE_FLOAT64, 0);
    fill(packed->mutable_captured_mass(), v1::DTYPE_FLOAT64, 1);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXf ones = Eigen::MatrixXf::Ones(1, 2);
  for (const auto& packed :
       {client->QueryHeavyPacked(ones, ones, {}),
        client->QueryHeavyPacked(KeptSet("u"), ones, {})}) {
    ASSERT_TRUE(packed.ok()) << packed.status();
    EXPECT_THAT(packed->row_offsets, testing::ElementsAre(0, 0));
  }
}

TEST(ClientQueriesTest, Attend) {
  FakeServer server({.attend = [](const FakeCall&, const auto& request,
                                  v1::AttendResponse* response) {
    EXPECT_EQ(request.queries().shape(0), 2);
    EXPECT_EQ(request.epsilon(), 0.25);
    *response->mutable_output() = request.values().dense();
    for (int i = 0; i < 3; ++i) response->add_attended(i);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXf keys = Eigen::MatrixXf::Ones(3, 2);
  const Eigen::MatrixXf values = Eigen::MatrixXf::Random(3, 2);
  const Eigen::MatrixXf queries = Eigen::MatrixXf::Ones(2, 2);
  const auto attention = client->Attend(
      {.keys = keys, .values = values, .queries = queries}, {.epsilon = 0.25});
  ASSERT_TRUE(attention.ok()) << attention.status();
  EXPECT_EQ(attention->output, values.cast<double>());
  EXPECT_TRUE(attention->captured_mass.empty());
}

TEST(ClientQueriesTest, ArgumentsAreCheckedBeforeAnythingIsSent) {
  FakeServer server({});
  const auto client = Client::Create(server.address());
  const std::vector<double> six(6);
  const TensorView good(six, {2, 3});
  const TensorView wrong(six, {2, 4});
  const auto is_wrong = [](const absl::Status& status) {
    return absl::IsInvalidArgument(status) &&
           DetailOf(status)->reason == "WRONG_SIZE";
  };
  EXPECT_TRUE(is_wrong(client->QueryHeavy(good, wrong, {}).status()));
  EXPECT_TRUE(is_wrong(client->QueryHeavyPacked(wrong, good, {}).status()));
  EXPECT_TRUE(is_wrong(client->StreamQueryHeavy(wrong, good, {}).status()));
  EXPECT_TRUE(is_wrong(
      client->Attend({.keys = good, .values = wrong, .queries = good}, {})
          .status()));
  EXPECT_TRUE(is_wrong(
      client->StreamAttend({.keys = wrong, .values = good, .queries = good}, {})
          .status()));
  EXPECT_EQ(server.calls(), 0);
}

}  // namespace
}  // namespace steelyard::client
