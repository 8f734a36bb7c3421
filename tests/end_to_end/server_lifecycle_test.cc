// Requests and servers that end before their work is done: cancels, deadlines,
// vanished clients, full queues, drains. After each of them the server serves
// on (or has ended well) and its memory is free.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/server_process.h"

namespace steelyard::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;
using ::testing::HasSubstr;
using ::testing::Not;

// A StreamSolve on a thread of its own, and how far it has come.
class StreamedSolve {
 public:
  StreamedSolve(const Caller& caller, const v1::SolveRequest& request)
      : status_(std::async(std::launch::async, [this, &caller, request] {
          const grpc::Status status = caller.StreamSolve(
              &context_, request,
              [this](const v1::SolveEvent& event) { return Take(event); });
          if (!begun_) computing_.set_value();
          return status;
        })) {}

  // Returns once the work, not only the queue, has told of progress.
  void WaitUntilComputing() { computing_.get_future().wait(); }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Status() { return status_.get(); }
  // After Status.
  const v1::SolveResponse& result() const { return result_; }

 private:
  bool Take(const v1::SolveEvent& event) {
    if (event.has_result()) result_ = event.result();
    const bool computes =
        event.has_progress() && event.progress().phase() != "queue";
    if (computes && !begun_) {
      begun_ = true;
      computing_.set_value();
    }
    return true;
  }

  grpc::ClientContext context_;
  bool begun_ = false;
  v1::SolveResponse result_;
  std::promise<void> computing_;
  std::future<grpc::Status> status_;
};

// Waits for something that must happen; the test's own time limit ends a wait
// in vain.
void WaitFor(const std::function<bool()>& happened) {
  while (!happened()) std::this_thread::sleep_for(milliseconds(1));
}

void ExpectIdle(RunningServer& running, const Caller& caller) {
  WaitFor([&] { return running.server().gate().running() == 0; });
  WaitFor([&] { return caller.MemoryReserved() == 0; });
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  EXPECT_TRUE(
      caller.FindUniversalSet(&context, UniversalSetRequest(20, 4), &response)
          .ok());
}

TEST(CancellationTest, ACancelStopsTheWorkAndFreesTheMemory) {
  RunningServer running;
  const Caller caller(running.address());
  StreamedSolve solve(caller, EndlessRequest());
  solve.WaitUntilComputing();
  EXPECT_GT(caller.MemoryReserved(), 0);
  EXPECT_EQ(running.server().gate().running(), 1);
  solve.Cancel();
  EXPECT_EQ(solve.Status().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle(running, caller);
}

TEST(CancellationTest, ADeadlineStopsTheWorkAndFreesTheMemory) {
  RunningServer running;
  const Caller caller(running.address());
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(400));
  v1::SolveResponse response;
  EXPECT_EQ(caller.Solve(&context, EndlessRequest(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ExpectIdle(running, caller);
}

TEST(CancellationTest, AVanishedClientStopsTheWork) {
  RunningServer running;
  const Caller caller(running.address());
  // Another program, so that its end is that of a client.
  setenv("STEELYARD_VANISHING_CLIENT", running.address().c_str(), 1);
  const pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "client", "--gtest_filter=VanishingClient.*",
          nullptr);
    _exit(127);
  }
  unsetenv("STEELYARD_VANISHING_CLIENT");
  WaitFor([&] { return running.server().gate().running() == 1; });
  kill(child, SIGKILL);
  ExpectIdle(running, caller);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
}

// The child of the test above; by itself it has nothing to do.
TEST(VanishingClient, CallsUntilItIsKilled) {
  const char* const address = std::getenv("STEELYARD_VANISHING_CLIENT");
  if (address == nullptr) {
    SUCCEED();
    return;
  }
  const Caller caller(address);
  grpc::ClientContext context;
  v1::SolveResponse response;
  (void)caller.Solve(&context, EndlessRequest(), &response);
}

TEST(AdmissionTest, AFullQueueRefusesWithRetryInfoAndLaterServes) {
  server::ServerConfig config = TestConfig();
  config.queue_length = 0;
  RunningServer running(config);
  const Caller caller(running.address());
  StreamedSolve solve(caller, EndlessRequest());
  solve.WaitUntilComputing();

  grpc::ClientContext refused;
  v1::SolveResponse response;
  v1::SolveRequest second = EndlessRequest();
  second.mutable_time_limit()->set_nanos(1'000'000);
  const grpc::Status full = caller.Solve(&refused, second, &response);
  EXPECT_EQ(full.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(full.error_details(), HasSubstr("QUEUE_FULL"));
  EXPECT_THAT(full.error_details(), HasSubstr("google.rpc.RetryInfo"));

  // Small requests are served beside the large one.
  grpc::ClientContext beside;
  v1::FindUniversalSetResponse sets;
  EXPECT_TRUE(
      caller.FindUniversalSet(&beside, UniversalSetRequest(20, 4), &sets).ok());

  solve.Cancel();
  EXPECT_EQ(solve.Status().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle(running, caller);
  grpc::ClientContext again;
  EXPECT_TRUE(caller.Solve(&again, second, &response).ok());
}

TEST(AdmissionTest, MemoryThatIsTakenNowIsRefusedWithRetryInfo) {
  RunningServer full;
  const Caller first(full.address());
  StreamedSolve solve(first, EndlessRequest());
  solve.WaitUntilComputing();
  const std::int64_t needed = first.MemoryReserved();
  solve.Cancel();
  EXPECT_EQ(solve.Status().error_code(), grpc::StatusCode::CANCELLED);

  server::ServerConfig config = TestConfig();
  config.memory_budget = needed + needed / 2;
  RunningServer running(config);
  const Caller caller(running.address());
  StreamedSolve holder(caller, EndlessRequest());
  holder.WaitUntilComputing();
  grpc::ClientContext context;
  v1::SolveResponse response;
  const grpc::Status status =
      caller.Solve(&context, EndlessRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_details(), HasSubstr("MEMORY_BUDGET"));
  EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.RetryInfo"));
  holder.Cancel();
  EXPECT_EQ(holder.Status().error_code(), grpc::StatusCode::CANCELLED);
  ExpectIdle(running, caller);
}

TEST(DrainTest, SolvesThatAreLeftReturnTheirBestAndTheExitCodeIsZero) {
  ServerProcess process({"--drain-timeout=100ms", "--workers=2"});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  StreamedSolve solve(caller, EndlessRequest());
  solve.WaitUntilComputing();
  process.Signal(SIGTERM);
  const grpc::Status status = solve.Status();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(solve.result().report().termination(), v1::TERMINATION_STOPPED);
  EXPECT_EQ(process.WaitForExit(), 0);
  EXPECT_THAT(process.Output(), HasSubstr("\"termination\":\"STOPPED\""));
  EXPECT_THAT(process.Output(), HasSubstr("attention_kernel"));
}

TEST(DrainTest, RequestsThatEndInTimeEndByThemselves) {
  ServerProcess process({"--drain-timeout=1h", "--workers=2"});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  v1::SolveRequest request = EndlessRequest();
  request.mutable_time_limit()->set_seconds(1);
  StreamedSolve solve(caller, request);
  solve.WaitUntilComputing();
  process.Signal(SIGTERM);
  const grpc::Status status = solve.Status();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(solve.result().report().termination(), v1::TERMINATION_TIME_LIMIT);
  EXPECT_EQ(process.WaitForExit(), 0);
}

TEST(DrainTest, ASecondSignalHurries) {
  ServerProcess process({"--drain-timeout=1h", "--workers=2"});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  StreamedSolve solve(caller, EndlessRequest());
  solve.WaitUntilComputing();
  process.Signal(SIGTERM);
  // Two signals at once would be one.
  WaitFor([&] {
    return process.Output().find("\"draining\"") != std::string::npos;
  });
  process.Signal(SIGTERM);
  EXPECT_EQ(process.WaitForExit(), 0);
  EXPECT_TRUE(solve.Status().ok());
  EXPECT_EQ(solve.result().report().termination(), v1::TERMINATION_STOPPED);
}

TEST(DrainTest, NewRequestsAreRefusedAsDraining) {
  RunningServer running;
  const Caller caller(running.address());
  running.server().gate().StopAdmitting();
  grpc::ClientContext context;
  v1::FindUniversalSetResponse response;
  const grpc::Status status =
      caller.FindUniversalSet(&context, UniversalSetRequest(20, 4), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_details(), HasSubstr("DRAINING"));
}

TEST(LogTest, ACallIsOneLineWithoutPayload) {
  ServerProcess process({});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "the-one");
  v1::FindUniversalSetRequest request;
  request.mutable_keys()->mutable_dense()->add_shape(1);
  request.mutable_keys()->mutable_dense()->add_shape(1);
  request.mutable_keys()->mutable_dense()->add_values(0.123456789);
  request.set_epsilon(0.5);
  v1::FindUniversalSetResponse response;
  EXPECT_TRUE(caller.FindUniversalSet(&context, request, &response).ok());
  process.Signal(SIGTERM);
  EXPECT_EQ(process.WaitForExit(), 0);
  const std::string output = process.Output();
  EXPECT_THAT(output, HasSubstr("\"request_id\":\"the-one\",\"method\":"
                                "\"/steelyard.v1.UniversalSetService/"
                                "FindUniversalSet\",\"shape\":\"keys 1x1"));
  EXPECT_THAT(output, HasSubstr("\"status\":\"OK\""));
  EXPECT_THAT(output, Not(HasSubstr("0.123456789")));
}

}  // namespace
}  // namespace steelyard::test
