#include "server/health/health_service.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/running_server.h"

namespace steelyard::server {
namespace {

int StatusOf(HealthService& health, const std::string& service) {
  HealthService::Request request;
  request.set_value(service);
  HealthService::Response response;
  const grpc::Status status = health.Check(request, &response);
  return status.ok() ? response.value() : -static_cast<int>(status.error_code());
}

TEST(HealthServiceTest, ServesTheServerAndEachServiceOnceTold) {
  HealthService health({"a.Service"});
  EXPECT_EQ(StatusOf(health, ""), test::kNotServing);
  health.SetServing(true);
  EXPECT_EQ(StatusOf(health, ""), test::kServing);
  EXPECT_EQ(StatusOf(health, "a.Service"), test::kServing);
  EXPECT_EQ(StatusOf(health, "b.Service"), -grpc::StatusCode::NOT_FOUND);
  health.SetServing(false);
  EXPECT_EQ(StatusOf(health, "a.Service"), test::kNotServing);
}

TEST(HealthServiceTest, AWatchOfAnUnknownServiceSaysSo) {
  test::RunningServer running;
  const test::Caller caller(running.address());
  grpc::ClientContext context;
  std::vector<int> seen;
  (void)caller.WatchHealth(&context, "no.such.Service", [&](int status) {
    seen.push_back(status);
    return false;
  });
  EXPECT_EQ(seen, std::vector<int>{test::kServiceUnknown});
}

TEST(HealthServiceTest, ADrainTellsEveryWatchAndEndsIt) {
  test::RunningServer running;
  const test::Caller caller(running.address());
  grpc::ClientContext context;
  std::vector<int> seen;
  std::thread drain;
  const grpc::Status end = caller.WatchHealth(&context, "", [&](int status) {
    seen.push_back(status);
    if (seen.size() == 1) {
      drain = std::thread([&] {
        (void)running.server().Drain([](absl::Duration) { return false; });
      });
    }
    return true;
  });
  drain.join();
  EXPECT_EQ(seen, (std::vector<int>{test::kServing, test::kNotServing}));
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(HealthServiceTest, OneWatchTooManyIsRefusedAndLaterTaken) {
  test::RunningServer running;
  const test::Caller caller(running.address());
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> watches;
  std::atomic<int> open{0};
  for (int w = 0; w < HealthService::kWatchesMax; ++w) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    watches.emplace_back([&, context = contexts.back().get()] {
      (void)caller.WatchHealth(context, "", [&](int) {
        ++open;
        return true;
      });
    });
  }
  while (open < HealthService::kWatchesMax) std::this_thread::yield();
  const auto one_more = [&] {
    grpc::ClientContext context;
    return caller.WatchHealth(&context, "", [](int) { return false; });
  };
  EXPECT_EQ(one_more().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& watch : watches) watch.join();
  while (one_more().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    std::this_thread::yield();
  }
}

}  // namespace
}  // namespace steelyard::server
