// A server in this process, on a port of its own.
#pragma once

#include <memory>
#include <string>

#include "server/config/server_config.h"
#include "server/transport/steelyard_server.h"

namespace steelyard::test {

// Port 0, two workers, errors only in the log, a short drain.
server::ServerConfig TestConfig();

class RunningServer {
 public:
  // Ends the test program when the server cannot start.
  explicit RunningServer(const server::ServerConfig& config = TestConfig());

  // "127.0.0.1:PORT".
  std::string address() const;
  server::SteelyardServer& server() { return *server_; }

 private:
  std::unique_ptr<server::SteelyardServer> server_;
};

}  // namespace steelyard::test
