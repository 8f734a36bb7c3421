// Each call of the client once, against a server that checks what arrives.
#include "steelyard/client/client.h"

#include <vector>

#include "gtest/gtest.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::Refusal;
using namespace std::chrono_literals;

// Echoes b as x.
FakeReply EchoSolve(const FakeCall&, const v1::SolveRequest& request,
                    v1::SolveResponse* response) {
  *response->mutable_x() = request.b();
  response->mutable_report()->set_termination(v1::TERMINATION_CONVERGED);
  return {};
}

TEST(ClientTest, FindUniversalSet) {
  FakeServer server(
      {.find_universal_set = [](const FakeCall&, const auto& request,
                                v1::FindUniversalSetResponse* response) {
        EXPECT_EQ(request.epsilon(), 0.25);
        for (int h = 0; h < 2; ++h) {
          response->add_sets()->set_keys(request.keys().dense().shape(1));
        }
        return FakeReply{};
      }});
  const auto client = Client::Create(server.address());
  ASSERT_TRUE(client.ok()) << client.status();
  const std::vector<Eigen::half> keys(2 * 3 * 4);
  const auto sets =
      client->FindUniversalSet({keys, {2, 3, 4}}, {.epsilon = 0.25});
  ASSERT_TRUE(sets.ok()) << sets.status();
  ASSERT_EQ(sets->heads.size(), 2U);
  EXPECT_EQ(sets->heads[1].keys, 3);
}

TEST(ClientTest, QueryHeavy) {
  FakeServer server({.query_heavy = [](const FakeCall&, const auto& request,
                                       v1::QueryHeavyResponse* response) {
    EXPECT_EQ(request.epsilon(), 0.5);
    for (int i = 0; i < request.queries().shape(0); ++i) {
      response->add_rows()->add_scores(0.5 + i);
    }
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXf keys = Eigen::MatrixXf::Ones(5, 2);
  const Eigen::MatrixXf queries = Eigen::MatrixXf::Ones(3, 2);
  const auto scores = client->QueryHeavy(keys, queries, {.epsilon = 0.5});
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->rows.size(), 3U);
  EXPECT_EQ(scores->rows[2].scores, std::vector<double>{2.5});
}

TEST(ClientTest, Solve) {
  FakeServer server({.solve = [](const FakeCall& call, const auto& request,
                                 v1::SolveResponse* response) {
    EXPECT_EQ(request.max_response_bytes(), std::int64_t{256} << 20);
    EXPECT_EQ(request.gram_power().exponent(), 2);
    return EchoSolve(call, request, response);
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(4, 2);
  const Eigen::MatrixXd b = Eigen::MatrixXd::Random(2, 3);
  const auto solution = client->Solve(a, b, GramPower{2});
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, b);
  EXPECT_EQ(solution->report.termination, Termination::kConverged);
}

TEST(ClientTest, StreamSolveJoinsChunksAndTellsProgress) {
  FakeServer server({.stream_solve = [](const FakeCall&, const auto& request,
                                        const auto& write) {
    EXPECT_FALSE(request.has_max_response_bytes());
    v1::SolveEvent event;
    event.mutable_progress()->set_fraction(0.5);
    write(event);
    const std::string& bytes = request.b().data();
    for (std::size_t at = 0; at < bytes.size(); at += 10) {
      event.mutable_x_chunk()->set_offset(static_cast<std::int64_t>(at));
      event.mutable_x_chunk()->set_data(bytes.substr(at, 10));
      write(event);
    }
    *event.mutable_result()->mutable_x() = request.b();
    event.mutable_result()->mutable_x()->clear_data();
    write(event);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(4, 4);
  const Eigen::VectorXd b = Eigen::VectorXd::Random(4);
  std::vector<double> fractions;
  const auto solution = client->StreamSolve(
      a, b, AttentionKernel{.scale = 0.5}, {},
      [&](const Progress& p) { fractions.push_back(p.fraction.value_or(-1)); });
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, b);
  EXPECT_EQ(fractions, std::vector<double>{0.5});
}

TEST(ClientTest, AStreamThatBreaksIsBegunAnew) {
  // The first attempt breaks off in the middle of x.
  FakeServer server(
      {.stream_solve = [](const FakeCall& call, const auto& request,
                          const auto& write) {
        v1::SolveEvent event;
        event.mutable_progress()->set_phase("scan");
        write(event);
        event.mutable_x_chunk()->set_data(request.b().data().substr(0, 8));
        write(event);
        if (call.number == 1) return Refusal(14, "connection lost");
        event.mutable_x_chunk()->set_offset(8);
        event.mutable_x_chunk()->set_data(request.b().data().substr(8));
        write(event);
        *event.mutable_result()->mutable_x() = request.b();
        write(event);
        return FakeReply{};
      }});
  const auto client =
      Client::Create(server.address(), {.retry = {.first_delay = 1ms}});
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(2, 2);
  const Eigen::VectorXd b = Eigen::VectorXd::Random(2);
  std::vector<int> attempts;
  const auto solution = client->StreamSolve(
      a, b, GramPower{}, {},
      [&](const Progress& p) { attempts.push_back(p.attempt); });
  ASSERT_TRUE(solution.ok()) << solution.status();
  EXPECT_EQ(solution->x, b);
  EXPECT_EQ(attempts, (std::vector<int>{1, 2}));
}

TEST(ClientTest, ABrokenStreamIsInternalAndNotTriedAgain) {
  FakeServer server({.stream_solve = [](const FakeCall&, const auto& request,
                                        const auto& write) {
    v1::SolveEvent event;
    event.mutable_x_chunk()->set_offset(99);
    event.mutable_x_chunk()->set_data(request.b().data());
    write(event);
    return FakeReply{};
  }});
  const auto client = Client::Create(server.address());
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(2, 2);
  const auto solution =
      client->StreamSolve(a, a, GramPower{}, {}, /*on_progress=*/{});
  EXPECT_EQ(solution.status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(server.calls(), 1);
}

TEST(ClientTest, ArgumentsAreCheckedBeforeAnythingIsSent) {
  FakeServer server({});
  const auto client = Client::Create(server.address());
  const std::vector<double> six(6);
  const TensorView good(six, {2, 3});
  const TensorView wrong(six, {2, 4});
  const auto wrong_size = [](const absl::Status& status) {
    return absl::IsInvalidArgument(status) &&
           DetailOf(status)->reason == "WRONG_SIZE";
  };
  EXPECT_TRUE(wrong_size(client->FindUniversalSet(wrong, {}).status()));
  EXPECT_TRUE(wrong_size(client->QueryHeavy(good, wrong, {}).status()));
  EXPECT_TRUE(wrong_size(client->Solve(good, wrong, GramPower{}).status()));
  EXPECT_TRUE(wrong_size(
      client->StreamSolve(wrong, good, GramPower{}, {}, {}).status()));
  EXPECT_EQ(server.calls(), 0);
}

TEST(ClientTest, GetServerInfo) {
  FakeServer server({.get_server_info = [](const FakeCall&, const auto&,
                                           v1::ServerInfo* info) {
    info->set_columns_max(8192);
    return FakeReply{};
  }});
  const auto info = Client::Create(server.address())->GetServerInfo();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->columns_max, 8192);
}

TEST(ClientTest, CheckTellsHealthOfTheServerAndOfItsServices) {
  FakeServer server({});
  const auto client = Client::Create(server.address());
  const std::string service = "steelyard.v1.RegressionService";
  server.SetServing(service, false);
  const auto whole = client->Check();
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(*whole, ServingStatus::kServing);
  EXPECT_EQ(*client->Check(service), ServingStatus::kNotServing);
  server.SetServing(service, true);
  EXPECT_EQ(*client->Check(service), ServingStatus::kServing);
  EXPECT_EQ(client->Check("no.such.Service").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ClientTest, CopiesShareTheConnectionAndOutliveTheOriginal) {
  FakeServer server({.solve = EchoSolve});
  const Eigen::VectorXd b = Eigen::VectorXd::Random(2);
  const Eigen::MatrixXd a = Eigen::MatrixXd::Random(2, 2);
  const Client copy = [&] {
    const auto original = Client::Create(server.address());
    return *original;
  }();
  EXPECT_EQ(copy.Solve(a, b, GramPower{})->x, b);
}

}  // namespace
}  // namespace steelyard::client
