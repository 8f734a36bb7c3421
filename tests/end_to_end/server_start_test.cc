// Start, health, reflection, one port for one server, drain; with the binary
// where the process counts, in this process where it does not.
#include <signal.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/server_process.h"

namespace steelyard::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr char kServerService[] = "steelyard.v1.ServerService";

TEST(ServerStartTest, TellsWhatItIs) {
  server::ServerConfig config = TestConfig();
  config.workers = 3;
  config.memory_budget = 123'456'789;
  config.limits.columns_max = 77;
  RunningServer running(config);
  const Caller caller(running.address());
  grpc::ClientContext context;
  v1::ServerInfo info;
  ASSERT_TRUE(caller.GetServerInfo(&context, &info).ok());
  EXPECT_EQ(info.workers(), 3);
  EXPECT_EQ(info.memory_budget_bytes(), 123'456'789);
  EXPECT_EQ(info.memory_reserved_bytes(), 0);
  EXPECT_EQ(info.columns_max(), 77);
  EXPECT_FALSE(info.version().empty());
  EXPECT_FALSE(info.cpu_target().empty());
  EXPECT_FALSE(info.blas().empty());
}

TEST(ServerStartTest, RequestIdComesBack) {
  RunningServer running;
  const Caller caller(running.address());
  const auto id_for = [&](const std::string& sent) {
    grpc::ClientContext context;
    if (!sent.empty()) context.AddMetadata("x-request-id", sent);
    v1::ServerInfo info;
    EXPECT_TRUE(caller.GetServerInfo(&context, &info).ok());
    const auto& metadata = context.GetServerInitialMetadata();
    const auto found = metadata.find("x-request-id");
    return found == metadata.end()
               ? std::string()
               : std::string(found->second.data(), found->second.size());
  };
  EXPECT_EQ(id_for("order-66"), "order-66");
  EXPECT_EQ(id_for("").size(), 16u);
  // Not visible ASCII, or too long: ours instead.
  EXPECT_EQ(id_for("two words").size(), 16u);
  EXPECT_EQ(id_for(std::string(129, 'x')).size(), 16u);
}

TEST(ServerStartTest, HealthOfTheServerAndOfEachService) {
  RunningServer running;
  const Caller caller(running.address());
  for (const std::string service : {"", kServerService}) {
    grpc::ClientContext context;
    int serving = 0;
    ASSERT_TRUE(caller.CheckHealth(&context, service, &serving).ok());
    EXPECT_EQ(serving, kServing) << service;
  }
  grpc::ClientContext context;
  int serving = 0;
  EXPECT_EQ(
      caller.CheckHealth(&context, "no.such.Service", &serving).error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST(ServerStartTest, ReflectionListsTheServices) {
  RunningServer running;
  const Caller caller(running.address());
  grpc::ClientContext context;
  std::vector<std::string> names;
  ASSERT_TRUE(caller.ListServices(&context, &names).ok());
  EXPECT_THAT(names, IsSupersetOf({std::string(kServerService)}));
}

TEST(ServerStartTest, SecondServerOnThePortFailsLoudly) {
  RunningServer running;
  server::ServerConfig config = TestConfig();
  config.listen = running.address();
  const auto second = server::SteelyardServer::Start(config);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(running.address()));
}

TEST(ServerStartTest, SecondProcessOnThePortExitsWithOneLine) {
  RunningServer running;
  ServerProcess process({"--listen=" + running.address()});
  EXPECT_EQ(process.WaitForExit(), 1);
  EXPECT_EQ(process.Output(), "steelyard-server: cannot listen on " +
                                  running.address() +
                                  "; the port is taken or not permitted, or "
                                  "this machine has no such address\n");
}

TEST(ServerStartTest, WrongValueStopsTheStartWithOneLine) {
  ServerProcess process({"--workers=-1"});
  EXPECT_EQ(process.WaitForExit(), 1);
  EXPECT_EQ(process.Output(),
            "steelyard-server: --workers is '-1'; it must be 0 to 1024 "
            "threads\n");
}

TEST(ServerStartTest, SigtermEndsTheIdleProcessWithZero) {
  ServerProcess process({});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  EXPECT_EQ(caller.MemoryReserved(), 0);
  process.Signal(SIGTERM);
  EXPECT_EQ(process.WaitForExit(), 0);
  EXPECT_THAT(process.Output(), HasSubstr("\"event\":\"serving\""));
  EXPECT_THAT(process.Output(), HasSubstr("\"event\":\"stopped\""));
  EXPECT_THAT(process.Output(), Not(HasSubstr("no_tls")));
}

TEST(ServerStartTest, ListeningBeyondThisHostPrintsAWarning) {
  ServerProcess process({"--listen=0.0.0.0:0"});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  EXPECT_THAT(process.Output(), HasSubstr("\"event\":\"no_tls\""));
  process.Signal(SIGINT);
  EXPECT_EQ(process.WaitForExit(), 0);
}

TEST(ServerStartTest, DuringTheDelayHealthSaysNotServingAndCallsAreServed) {
  ServerProcess process({"--drain-delay=1h"});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  std::vector<int> seen;
  grpc::ClientContext watch;
  std::thread watcher([&] {
    // The stream ends with the server.
    (void)caller.WatchHealth(&watch, kServerService, [&](int status) {
      seen.push_back(status);
      if (seen.size() == 1) process.Signal(SIGTERM);
      return status == kServing;
    });
  });
  watcher.join();
  EXPECT_EQ(seen, (std::vector<int>{kServing, kNotServing}));
  EXPECT_EQ(caller.MemoryReserved(), 0) << "calls must be served still";
  process.Signal(SIGTERM);  // hurries: nobody waits an hour
  EXPECT_EQ(process.WaitForExit(), 0);
}

}  // namespace
}  // namespace steelyard::test
