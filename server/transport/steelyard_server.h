// The whole server: workers, admission, handlers, gRPC.
//
// Synchronous API: a transport thread waits for its request's work and never
// computes. Health (grpc.health.v1, Check and Watch) and reflection are on.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admission/gate.h"
#include "server/config/server_config.h"

namespace steelyard::server {

class SteelyardServer {
 public:
  // Serves when it returns. Logs a warning when it listens beyond this host.
  //
  // ERRORS  FailedPrecondition: the address cannot be had (another server has
  //         the port, the host is not of this machine).
  static absl::StatusOr<std::unique_ptr<SteelyardServer>> Start(
      const ServerConfig& config);

  // Drains without a delay and without patience.
  ~SteelyardServer();
  SteelyardServer(const SteelyardServer&) = delete;
  SteelyardServer& operator=(const SteelyardServer&) = delete;

  int port() const;
  int workers() const;
  Gate& gate();

  // Sleeps for the time given; true: cut short by somebody who is in a hurry.
  using Patience = std::function<bool(absl::Duration)>;

  // NOT_SERVING; wait --drain-delay; refuse new requests; let the others end
  // within --drain-timeout; interrupt what is left, which then answers with its
  // best x so far. False: somebody was in a hurry and a call has not ended yet.
  bool Drain(const Patience& patience);

 private:
  struct Parts;
  explicit SteelyardServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// True for 127.0.0.0/8, [::1] and localhost.
bool IsLoopback(const std::string& listen);

}  // namespace steelyard::server
