// What happens to a call between the client and the network: deadlines, ids,
// retries, cancellation, limits.
#include "client/src/connection.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "steelyard/client/client.h"
#include "tests/client/support/fake_server.h"

namespace steelyard::client {
namespace {

using std::chrono::steady_clock;
using test::FakeCall;
using test::FakeReply;
using test::FakeServer;
using test::Refusal;
using namespace std::chrono_literals;

constexpr int kCancelled = 1;
constexpr int kInvalidArgument = 3;
constexpr int kResourceExhausted = 8;
constexpr int kUnavailable = 14;

ClientOptions FastRetries() {
  return {.retry = {.attempts_max = 4,
                    .first_delay = 1ms,
                    .delay_max = 10ms,
                    .jitter = 0.0}};
}

Client ClientOf(const FakeServer& server,
                const ClientOptions& options = FastRetries()) {
  return *Client::Create(server.address(), options);
}

// A server whose GetServerInfo fails with `failure` until the given call.
FakeServer FailingUntil(int call_that_works, const FakeReply& failure) {
  return FakeServer({.get_server_info = [=](const FakeCall& call, const auto&,
                                            v1::ServerInfo* info) {
    if (call.number < call_that_works) return failure;
    info->set_version("1.2.3");
    return FakeReply{};
  }});
}

// Blocks a server thread until the client is gone; counts those that saw it.
struct UntilCancelled {
  std::atomic<int>* entered;
  std::atomic<int>* left;

  FakeReply operator()(const FakeCall& call) const {
    ++*entered;
    // A client that does not go away fails the test after 20 s.
    for (int i = 0; i < 20000 && !call.cancelled(); ++i) {
      std::this_thread::sleep_for(1ms);
    }
    if (call.cancelled()) ++*left;
    return Refusal(kCancelled, "gone");
  }
};

TEST(ConnectionTest, UnavailableIsTriedAgain) {
  FakeServer server = FailingUntil(3, Refusal(kUnavailable, "draining"));
  const auto info = ClientOf(server).GetServerInfo();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->version, "1.2.3");
  EXPECT_EQ(server.calls(), 3);
}

TEST(ConnectionTest, RetryInfoIsTriedAgainAfterItsDelay) {
  FakeServer server =
      FailingUntil(2, Refusal(kResourceExhausted, "queue full", 0.2s));
  const auto start = steady_clock::now();
  const auto info = ClientOf(server).GetServerInfo();
  EXPECT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(server.calls(), 2);
  EXPECT_GE(steady_clock::now() - start, 200ms);
}

TEST(ConnectionTest, NoOtherCodeIsTriedAgain) {
  for (int code = 1; code <= 16; ++code) {
    if (code == kUnavailable) continue;
    FakeServer server = FailingUntil(2, Refusal(code, "no"));
    const auto info = ClientOf(server).GetServerInfo();
    EXPECT_EQ(static_cast<int>(info.status().code()), code);
    EXPECT_EQ(server.calls(), 1) << info.status();
  }
}

TEST(ConnectionTest, GivesUpAfterTheLastAttemptAndSaysHowManyThereWere) {
  FakeServer server = FailingUntil(100, Refusal(kUnavailable, "draining"));
  const auto info = ClientOf(server).GetServerInfo();
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.calls(), 4);
  EXPECT_EQ(DetailOf(info.status())->attempts, 4);
}

TEST(ConnectionTest, NobodyListeningIsUnavailable) {
  std::string address;
  {
    const FakeServer gone({});
    address = gone.address();
  }
  const auto client = Client::Create(address, FastRetries());
  ASSERT_TRUE(client.ok());
  const auto info = client->GetServerInfo();
  EXPECT_EQ(info.status().code(), absl::StatusCode::kUnavailable)
      << info.status();
  EXPECT_EQ(DetailOf(info.status())->attempts, 4);
}

TEST(ConnectionTest, ARetryDelayBeyondTheDeadlineEndsTheCallAtOnce) {
  FakeServer server =
      FailingUntil(2, Refusal(kResourceExhausted, "queue full", 60s));
  const auto start = steady_clock::now();
  const auto info = ClientOf(server).GetServerInfo({.deadline = 20s});
  EXPECT_EQ(info.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(DetailOf(info.status())->retry_delay, Seconds(60.0));
  EXPECT_LT(steady_clock::now() - start, 20s);
}

TEST(ConnectionTest, EveryAttemptCarriesTheSameRequestId) {
  std::mutex mutex;
  std::set<std::string> ids;
  FakeServer server(
      {.get_server_info = [&](const FakeCall& call, const auto&, auto*) {
        const std::lock_guard lock(mutex);
        ids.insert(call.request_id);
        return call.number < 3 ? Refusal(kUnavailable, "") : FakeReply{};
      }});
  const Client client = ClientOf(server);
  const auto take_ids = [&] {
    const std::lock_guard lock(mutex);
    return std::exchange(ids, {});
  };
  EXPECT_TRUE(client.GetServerInfo({.request_id = "mine-1"}).ok());
  EXPECT_EQ(take_ids(), std::set<std::string>{"mine-1"});
  EXPECT_TRUE(client.GetServerInfo().ok());
  EXPECT_TRUE(client.GetServerInfo().ok());
  const std::set<std::string> chosen = take_ids();
  EXPECT_EQ(chosen.size(), 2U);
  EXPECT_EQ(chosen.begin()->size(), 32U);
}

TEST(ConnectionTest, ErrorsTellTheRequestId) {
  FakeServer server = FailingUntil(2, Refusal(kInvalidArgument, "no"));
  const auto info = ClientOf(server).GetServerInfo({.request_id = "find-me"});
  EXPECT_EQ(DetailOf(info.status())->request_id, "find-me");
}

TEST(ConnectionTest, CallsHaveADeadlineByDefault) {
  std::atomic<double> left{0.0};
  FakeServer server(
      {.get_server_info = [&](const FakeCall& call, const auto&, auto*) {
        left = call.deadline_left.count();
        return FakeReply{};
      }});
  const Client client = ClientOf(server);
  // The header grpc-timeout has three digits, rounded up: 1 % at most.
  const double default_seconds =
      1.01 * DefaultDeadlines{}.get_server_info.count();
  ASSERT_TRUE(client.GetServerInfo().ok());
  EXPECT_GT(left, 0.0);
  EXPECT_LE(left, default_seconds);
  ASSERT_TRUE(client.GetServerInfo({.deadline = 1000s}).ok());
  EXPECT_GT(left, default_seconds);
  ASSERT_TRUE(client.GetServerInfo({.deadline = kNoDeadline}).ok());
  EXPECT_GT(left, 1e6);
}

TEST(ConnectionTest, ADeadlineEndsTheCallAndTheServersWork) {
  std::atomic<int> entered{0};
  std::atomic<int> left{0};
  {
    FakeServer server(
        {.get_server_info = [&](const FakeCall& call, const auto&, auto*) {
          return UntilCancelled{&entered, &left}(call);
        }});
    const auto info = ClientOf(server).GetServerInfo({.deadline = 200ms});
    EXPECT_EQ(info.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(DetailOf(info.status())->attempts, 1);
  }
  EXPECT_EQ(entered, 1);
  EXPECT_EQ(left, 1);
}

TEST(ConnectionTest, AStopFromAnotherThreadEndsTheCallAndTheServersWork) {
  std::atomic<int> entered{0};
  std::atomic<int> left{0};
  {
    FakeServer server(
        {.get_server_info = [&](const FakeCall& call, const auto&, auto*) {
          return UntilCancelled{&entered, &left}(call);
        }});
    std::stop_source stop;
    std::thread stopper([&] {
      while (entered == 0) std::this_thread::sleep_for(1ms);
      stop.request_stop();
    });
    const auto info = ClientOf(server).GetServerInfo(
        {.deadline = 60s, .stop = stop.get_token()});
    stopper.join();
    EXPECT_EQ(info.status().code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(left, 1);
}

TEST(ConnectionTest, AStopEndsAStream) {
  std::atomic<int> entered{0};
  std::atomic<int> left{0};
  {
    FakeServer server({.stream_solve = [&](const FakeCall& call, const auto&,
                                           const auto& write) {
      v1::SolveEvent event;
      event.mutable_progress()->set_phase("factor");
      write(event);
      return UntilCancelled{&entered, &left}(call);
    }});
    std::stop_source stop;
    const Eigen::MatrixXd a = Eigen::MatrixXd::Identity(2, 2);
    const auto solution = ClientOf(server).StreamSolve(
        a, a, GramPower{}, {}, [&](const Progress&) { stop.request_stop(); },
        {.stop = stop.get_token()});
    EXPECT_EQ(solution.status().code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(left, 1);
}

TEST(ConnectionTest, ACallStoppedBeforehandIsNotSent) {
  FakeServer server = FailingUntil(1, {});
  std::stop_source stop;
  stop.request_stop();
  const auto info = ClientOf(server).GetServerInfo({.stop = stop.get_token()});
  EXPECT_EQ(info.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(server.calls(), 0);
}

TEST(ConnectionTest, RequestsOverTheLimitAreNotSent) {
  FakeServer server({});
  const Eigen::MatrixXd keys = Eigen::MatrixXd::Zero(16, 4);  // 512 bytes.
  for (const std::int64_t limit : {511, 520}) {  // The tensor; the message.
    const auto sets = ClientOf(server, {.request_bytes_max = limit})
                          .FindUniversalSet(keys, {.epsilon = 0.5});
    EXPECT_EQ(sets.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(DetailOf(sets.status())->reason, "LIMIT_EXCEEDED");
  }
  EXPECT_EQ(server.calls(), 0);
}

TEST(ConnectionTest, AnswersAboveFourMegabytesArrive) {
  const std::int64_t entries = 1 << 20;  // 8 MiB; gRPC's own limit is 4 MiB.
  FakeServer server(
      {.find_universal_set = [&](const FakeCall&, const auto& request,
                                 v1::FindUniversalSetResponse* response) {
        EXPECT_EQ(request.max_response_bytes(), std::int64_t{256} << 20);
        v1::UniversalSet* set = response->add_sets();
        set->mutable_sensitivities()->Resize(static_cast<int>(entries), 0.5);
        return FakeReply{};
      }});
  const Eigen::MatrixXd keys = Eigen::MatrixXd::Identity(2, 2);
  const auto sets = ClientOf(server).FindUniversalSet(keys, {.epsilon = 0.5});
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(std::ssize(sets->heads.at(0).sensitivities), entries);
}

TEST(ConnectionTest, OptionsOutOfRangeAreNamed) {
  const auto field_of = [](const std::string& address,
                           const ClientOptions& options) {
    const auto client = Client::Create(address, options);
    EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(client.status());
    return detail.has_value() ? detail->field : "";
  };
  const std::string here = "127.0.0.1:1";
  EXPECT_EQ(field_of("", {}), "address");
  EXPECT_EQ(field_of(here, {.request_bytes_max = 0}), "request_bytes_max");
  EXPECT_EQ(field_of(here, {.response_bytes_max = std::int64_t{1} << 31}),
            "response_bytes_max");
  EXPECT_EQ(field_of(here, {.deadlines = {.solve = 0s}}), "deadlines.solve");
  EXPECT_EQ(field_of(here, {.retry = {.attempts_max = 0}}),
            "retry.attempts_max");
  EXPECT_EQ(field_of(here, {.credentials = TlsCredentials{.root_certificates =
                                                              "/a/file.pem"}}),
            "credentials.root_certificates");
  EXPECT_EQ(field_of(here, {.credentials =
                                TlsCredentials{.private_key = "-----BEGIN X"}}),
            "credentials.certificate_chain");
  EXPECT_EQ(Client::OverChannel(nullptr).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ConnectionTest, CallOptionsOutOfRangeAreNamed) {
  FakeServer server({});
  const Client client = ClientOf(server);
  for (const Seconds deadline :
       {Seconds(0), Seconds(-1), Seconds(std::nan(""))}) {
    const auto info = client.GetServerInfo({.deadline = deadline});
    EXPECT_EQ(info.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DetailOf(info.status())->field, "deadline");
  }
  for (const std::string& id :
       {std::string("two words"), std::string("\n"), std::string(129, 'x')}) {
    const auto info = client.GetServerInfo({.request_id = id});
    EXPECT_EQ(DetailOf(info.status())->field, "request_id");
  }
  EXPECT_EQ(server.calls(), 0);
}

}  // namespace
}  // namespace steelyard::client
