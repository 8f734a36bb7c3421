// Predict and StreamPredict of the client, against a server that checks what
// arrives.
#include <cstring>
#include <mutex>
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
using test::Refusal;
using testing::ElementsAre;
using namespace std::chrono_literals;

using Write = std::function<bool(const v1::PredictResponse&)>;

// y of query i is its only number times each weight: x of one row. Rows
// [begin, end) of this request in one message.
void Answer(const v1::PredictRequest& request, int begin, int end,
            const Write& write) {
  std::vector<double> queries(request.queries().dense().data().size() / 8);
  std::memcpy(queries.data(), request.queries().dense().data().data(),
              8 * queries.size());
  std::vector<double> x(request.x().data().size() / 8);
  std::memcpy(x.data(), request.x().data().data(), 8 * x.size());
  v1::PredictResponse response;
  response.set_offset(begin);
  response.mutable_y()->set_dtype(v1::DTYPE_FLOAT64);
  response.mutable_y()->add_shape(end - begin);
  response.mutable_y()->add_shape(static_cast<std::int64_t>(x.size()));
  for (int i = begin; i < end; ++i) {
    for (const double weight : x) {
      const double y = weight * queries[static_cast<std::size_t>(i)];
      response.mutable_y()->mutable_data()->append(
          reinterpret_cast<const char*>(&y), sizeof(y));
    }
  }
  write(response);
}

class ClientPredictionsTest : public testing::Test {
 protected:
  // Six queries 0 .. 5 of one number, one row, two weights.
  PredictInputs Inputs() const {
    return {.a = a_, .x = x_, .queries = queries_};
  }
  static Client ClientOf(const FakeServer& server) {
    return *Client::Create(server.address(), {.retry = {.first_delay = 1ms}});
  }

  const RowMajorMatrix a_ = RowMajorMatrix::Ones(1, 1);
  const RowMajorMatrix x_ = Eigen::RowVector2d(1.0, 10.0);
  const Eigen::MatrixXd queries_ = Eigen::VectorXd::LinSpaced(6, 0, 5);
  const TensorView column_{queries_};
};

TEST_F(ClientPredictionsTest, MessagesBecomeOneMatrixWithProgress) {
  FakeServer server({.predict = [](const FakeCall&, const auto& request,
                                   const auto& write) {
    EXPECT_EQ(request.scale(), 0.25);
    EXPECT_EQ(request.normalization(), v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS);
    EXPECT_EQ(request.a().dense().shape_size(), 2);
    Answer(request, 0, 4, write);
    Answer(request, 4, 6, write);
    return FakeReply{};
  }});
  std::vector<double> fractions;
  const auto prediction = ClientOf(server).Predict(
      Inputs(),
      {.scale = 0.25, .normalization = KernelNormalization::kSoftmaxRows},
      [&](const Progress& progress) {
        EXPECT_EQ(progress.phase, "predict");
        EXPECT_TRUE(progress.time_left.has_value());
        fractions.push_back(progress.fraction.value_or(-1));
      });
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  EXPECT_EQ(prediction->y.col(0), queries_);
  EXPECT_EQ(prediction->y.col(1), 10.0 * queries_);
  EXPECT_TRUE(prediction->y_exponents.empty());
  EXPECT_THAT(fractions, ElementsAre(4.0 / 6, 1.0));
}

TEST_F(ClientPredictionsTest, ABrokenCallAsksOnlyForTheRowsThatAreMissing) {
  std::mutex mutex;  // TSan does not see gRPC order the threads.
  std::vector<std::int64_t> asked;
  FakeServer server({.predict = [&](const FakeCall& call, const auto& request,
                                    const auto& write) {
    const auto rows = static_cast<int>(request.queries().dense().shape(0));
    {
      const std::lock_guard lock(mutex);
      asked.push_back(rows);
    }
    if (call.number == 1) {
      Answer(request, 0, 2, write);
      return Refusal(14, "broken");
    }
    Answer(request, 0, rows, write);
    // The rows are all there: nothing is asked again.
    return Refusal(14, "broken");
  }});
  std::vector<std::int64_t> firsts;
  RowMajorMatrix y = RowMajorMatrix::Zero(6, 2);
  const absl::Status status = ClientOf(server).StreamPredict(
      Inputs(), {}, [&](std::int64_t first_row, const Prediction& part) {
        firsts.push_back(first_row);
        y.middleRows(first_row, part.y.rows()) += part.y;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(y.col(0), queries_);
  EXPECT_THAT(firsts, ElementsAre(0, 2));
  EXPECT_EQ(server.calls(), 2);
  const std::lock_guard lock(mutex);
  EXPECT_THAT(asked, ElementsAre(6, 4));
}

TEST_F(ClientPredictionsTest, StoredQueriesAreComputedAnewAndGivenOnce) {
  const auto queries = [this](const v1::PredictRequest& request) {
    EXPECT_EQ(request.queries().matrix(), "matrices/q");
    EXPECT_EQ(request.x_matrix(), "matrices/x");
    v1::PredictRequest whole;
    whole.mutable_queries()->mutable_dense()->set_data(queries_.data(), 48);
    whole.mutable_x()->set_data(x_.data(), 16);
    return whole;
  };
  FakeServer server(
      {.predict =
           [&](const FakeCall& call, const auto& request, const auto& write) {
             const v1::PredictRequest whole = queries(request);
             Answer(whole, 0, 3, write);
             if (call.number == 2) return Refusal(14, "broken");
             Answer(whole, 3, 6, write);
             return FakeReply{};
           },
       .get_matrix =
           [](const FakeCall&, const auto&, v1::Matrix* matrix) {
             matrix->mutable_dense()->set_dtype(v1::DTYPE_FLOAT64);
             matrix->mutable_dense()->add_shape(6);
             matrix->mutable_dense()->add_shape(1);
             return FakeReply{};
           }});
  std::vector<std::int64_t> firsts;
  const absl::Status status = ClientOf(server).StreamPredict(
      {.a = StoredMatrix("a"),
       .x = StoredMatrix("x"),
       .queries = StoredMatrix("q")},
      {}, [&](std::int64_t first_row, const Prediction&) {
        firsts.push_back(first_row);
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(firsts, ElementsAre(0, 3));
  EXPECT_EQ(server.calls(), 3);  // GetMatrix and two attempts.
}

TEST_F(ClientPredictionsTest, WeightsWithExponentsTravelInBands) {
  FakeServer server(
      {.predict = [](const FakeCall&, const auto& request, const auto& write) {
        // 2^-3000 and 10 * 2^0.
        EXPECT_EQ(request.x().shape(1), 2);
        Answer(request, 0, 6, write);
        return FakeReply{};
      }});
  PredictInputs inputs = Inputs();
  inputs.x_exponents = {-3000, 0};
  const auto prediction = ClientOf(server).Predict(inputs);
  ASSERT_TRUE(prediction.ok()) << prediction.status();
  ASSERT_EQ(prediction->y_exponents.size(), 12U);
  for (Eigen::Index i = 0; i < 6; ++i) {
    const auto at = static_cast<std::size_t>(2 * i);
    EXPECT_EQ(std::ldexp(prediction->y(i, 0),
                         prediction->y_exponents[at] + (i > 0 ? 3000 : 0)),
              queries_(i, 0));
  }
}

TEST_F(ClientPredictionsTest, ACallThatIsStoppedEnds) {
  std::stop_source stop;
  FakeServer server({.predict = [](const FakeCall& call, const auto& request,
                                   const auto& write) {
    Answer(request, 0, 1, write);
    while (!call.cancelled()) std::this_thread::sleep_for(1ms);
    return FakeReply{};
  }});
  const auto prediction = ClientOf(server).Predict(
      Inputs(), {}, [&](const Progress&) { stop.request_stop(); },
      {.stop = stop.get_token()});
  EXPECT_TRUE(absl::IsCancelled(prediction.status())) << prediction.status();
}

TEST_F(ClientPredictionsTest, ADeadlineEndsTheCall) {
  FakeServer server(
      {.predict = [](const FakeCall& call, const auto&, const auto&) {
        while (!call.cancelled()) std::this_thread::sleep_for(1ms);
        return FakeReply{};
      }});
  const auto prediction =
      ClientOf(server).Predict(Inputs(), {}, {}, {.deadline = 50ms});
  EXPECT_TRUE(absl::IsDeadlineExceeded(prediction.status()));
}

TEST_F(ClientPredictionsTest, AShortAnswerIsNoAnswer) {
  FakeServer server(
      {.predict = [](const FakeCall&, const auto& request, const auto& write) {
        Answer(request, 0, 5, write);
        return FakeReply{};
      }});
  const auto prediction = ClientOf(server).Predict(Inputs());
  EXPECT_TRUE(absl::IsInternal(prediction.status())) << prediction.status();
  EXPECT_EQ(server.calls(), 1);
}

TEST_F(ClientPredictionsTest, ArgumentsAreCheckedBeforeAnythingIsSent) {
  FakeServer server({});
  const Client client = ClientOf(server);
  const std::vector<double> six(6);
  const TensorView wrong(six, {2, 4});
  const auto field_of = [&](const PredictInputs& inputs) {
    return DetailOf(client.Predict(inputs).status())->field;
  };
  EXPECT_EQ(field_of({.a = wrong, .x = x_, .queries = column_}), "a.dense");
  EXPECT_EQ(field_of({.a = a_, .x = wrong, .queries = column_}), "x");
  EXPECT_EQ(field_of({.a = a_, .x = x_, .queries = wrong}), "queries.dense");
  EXPECT_EQ(field_of({.a = a_,
                      .x = StoredMatrix("x"),
                      .queries = column_,
                      .x_exponents = {1}}),
            "x_exponents");
  EXPECT_EQ(server.calls(), 0);
}

}  // namespace
}  // namespace steelyard::client
