#include "tests/support_server/running_server.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace steelyard::test {

server::ServerConfig TestConfig() {
  server::ServerConfig config;
  config.listen = "127.0.0.1:0";
  config.workers = 2;
  config.memory_budget = std::int64_t{1} << 30;
  config.drain_timeout = absl::Seconds(5);
  config.log_level = server::LogLevel::kError;
  return config;
}

RunningServer::RunningServer(const server::ServerConfig& config) {
  auto started = server::SteelyardServer::Start(config);
  if (!started.ok()) {
    std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
    std::abort();
  }
  server_ = *std::move(started);
}

std::string RunningServer::address() const {
  return "127.0.0.1:" + std::to_string(server_->port());
}

}  // namespace steelyard::test
