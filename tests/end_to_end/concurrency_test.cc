// 200 clients at once: each is answered rightly, or refused with RetryInfo and
// answered on retry; a part of them cancels in the middle. Afterwards nothing is
// left in the server.
#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

using std::chrono::milliseconds;

constexpr int kClients = 200;
constexpr int kCallsPerClient = 3;
// Every refusal is followed by a pause that grows to 0.2 s: two minutes in all,
// long after 600 calls of a few milliseconds are done.
constexpr int kTriesMax = 600;

struct Outcome {
  std::string error;  // empty: answered rightly
  int refusals = 0;
};

// Calls until it is answered. Refusals must say that a retry helps.
template <typename Call>
Outcome CallUntilServed(Call call) {
  Outcome outcome;
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    grpc::ClientContext context;
    // 200 connections at once: one that is not there yet is waited for.
    context.set_wait_for_ready(true);
    const grpc::Status status = call(&context);
    if (status.ok()) return outcome;
    const bool busy =
        status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
        status.error_details().find("google.rpc.RetryInfo") !=
            std::string::npos;
    if (!busy) {
      outcome.error = status.error_message();
      return outcome;
    }
    ++outcome.refusals;
    const int pause_ms = std::min(200, 5 << std::min(attempt, 8));
    std::this_thread::sleep_for(milliseconds(pause_ms));
  }
  outcome.error = "never served";
  return outcome;
}

// A set whose answer is known: the identity, each of whose keys scores 1.
Outcome AskForTheIdentitysSet(const Caller& caller, std::int64_t n) {
  v1::FindUniversalSetRequest request;
  *request.mutable_keys()->mutable_dense() = IdentityTensor(n);
  request.set_epsilon(0.5);
  v1::FindUniversalSetResponse response;
  Outcome outcome = CallUntilServed([&](grpc::ClientContext* context) {
    return caller.FindUniversalSet(context, request, &response);
  });
  if (outcome.error.empty() &&
      (response.sets_size() != 1 || response.sets(0).indices_size() != n)) {
    outcome.error = "wrong set";
  }
  return outcome;
}

// A system whose answer is known: (I'I)^2 x = b.
Outcome SolveTheIdentity(const Caller& caller, std::int64_t n, int client) {
  v1::SolveRequest request;
  *request.mutable_a()->mutable_dense() = IdentityTensor(n);
  *request.mutable_b() =
      NormalTensor(n, 1, static_cast<std::uint64_t>(client));
  request.mutable_gram_power()->set_exponent(2);
  v1::SolveResponse response;
  Outcome outcome = CallUntilServed([&](grpc::ClientContext* context) {
    return caller.Solve(context, request, &response);
  });
  if (outcome.error.empty() && response.x().data() != request.b().data()) {
    outcome.error = "wrong x";
  }
  return outcome;
}

// Work that does not end by itself, cancelled after a while; the only right end
// is CANCELLED, or a refusal.
Outcome CancelInTheMiddle(const Caller& caller, int client) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(20 + client));
    context.TryCancel();
  });
  v1::SolveResponse response;
  const grpc::Status status =
      caller.Solve(&context, EndlessRequest(3000), &response);
  canceller.join();
  const bool right =
      status.error_code() == grpc::StatusCode::CANCELLED ||
      status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  return {.error = right ? "" : "not cancelled: " + status.error_message()};
}

Outcome RunClient(const std::string& address, int client) {
  const Caller caller(address);
  Outcome all;
  for (int call = 0; call < kCallsPerClient && all.error.empty(); ++call) {
    Outcome one;
    if ((client + call) % 3 == 0) {
      one = AskForTheIdentitysSet(caller, 8 + client % 20);
    } else if (client % 10 == 7 && call == 0) {
      one = CancelInTheMiddle(caller, client);
    } else {
      one = SolveTheIdentity(caller, 4 + client % 30, client);
    }
    all.error = one.error;
    all.refusals += one.refusals;
  }
  return all;
}

TEST(ConcurrencyTest, TwoHundredClientsAreAllAnsweredRightly) {
  server::ServerConfig config = TestConfig();
  config.queue_length = 4;  // so that some are refused
  RunningServer running(config);
  std::vector<Outcome> outcomes(kClients);
  std::vector<std::thread> clients;
  for (int client = 0; client < kClients; ++client) {
    clients.emplace_back([&, client] {
      outcomes[static_cast<std::size_t>(client)] =
          RunClient(running.address(), client);
    });
  }
  for (std::thread& client : clients) client.join();
  int refusals = 0;
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.error, "");
    refusals += outcome.refusals;
  }
  RecordProperty("refusals", refusals);
  const Caller caller(running.address());
  while (running.server().gate().running() > 0) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(caller.MemoryReserved(), 0);
}

}  // namespace
}  // namespace steelyard::test
