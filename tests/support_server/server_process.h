// The binary steelyard-server as a child process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace steelyard::test {

class ServerProcess {
 public:
  // Starts the binary of this build with `arguments`, after
  // --listen=127.0.0.1:0 and a port file of its own.
  explicit ServerProcess(const std::vector<std::string>& arguments);
  // Kills it when it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // True once it serves; false when it ended or did not serve in time.
  bool WaitUntilServing(std::chrono::seconds time = std::chrono::seconds(30));

  pid_t pid() const { return pid_; }
  int port() const { return port_; }
  std::string address() const;

  void Signal(int number) const;

  // The exit code; nullopt: still running after `time`, or ended by a signal.
  std::optional<int> WaitForExit(
      std::chrono::seconds time = std::chrono::seconds(30));

  // What it has written to standard error and output so far.
  std::string Output() const;

 private:
  bool Ended();

  pid_t pid_ = -1;
  bool ended_ = false;
  int wait_status_ = 0;
  int port_ = 0;
  std::string folder_;
};

}  // namespace steelyard::test
