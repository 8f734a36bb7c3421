// What a large request took is given back to the system, not only to the heap.
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/server_process.h"

namespace steelyard::test {
namespace {

// Resident memory of a process, KiB; -1: unknown.
std::int64_t ResidentKib(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::stoll(line.substr(6));
  }
  return -1;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// Sanitizers keep what is freed, and shadows of it: of three messages.
constexpr std::int64_t kSlackKib = 3 * 8 * 49152;
#else
constexpr std::int64_t kSlackKib = 16384;
#endif

TEST(ServerMemoryTest, LargeRequestsLeaveNothingBehind) {
  ServerProcess process({});
  ASSERT_TRUE(process.WaitUntilServing()) << process.Output();
  const Caller caller(process.address());
  // 48 MiB.
  const v1::FindUniversalSetRequest request = UniversalSetRequest(98304, 64);
  const auto call = [&] {
    grpc::ClientContext context;
    v1::FindUniversalSetResponse response;
    const grpc::Status status =
        caller.FindUniversalSet(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.sets_size(), 1);
  };
  const std::int64_t before = ResidentKib(process.pid());
  ASSERT_GT(before, 0);
  for (int round = 0; round < 3; ++round) call();
  EXPECT_EQ(caller.MemoryReserved(), 0);
  // The answer may arrive before its request is gone.
  const auto left = [&] { return ResidentKib(process.pid()) - before; };
  for (int look = 0; look < 1000 && left() > kSlackKib; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LT(left(), kSlackKib);
}

}  // namespace
}  // namespace steelyard::test
