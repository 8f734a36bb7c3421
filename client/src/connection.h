// One channel and the calls over it: deadline, request id, cancellation,
// retries. The only source that sees gRPC.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/options.h"
#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/server_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace grpc {
class ChannelInterface;
class ClientContext;
}  // namespace grpc

namespace steelyard::client {

class Connection {
 public:
  static absl::StatusOr<std::shared_ptr<const Connection>> Open(
      const std::string& address, const ClientOptions& options);
  static absl::StatusOr<std::shared_ptr<const Connection>> Over(
      std::shared_ptr<grpc::ChannelInterface> channel,
      const ClientOptions& options);
  ~Connection();

  const ClientOptions& options() const { return options_; }

  absl::Status FindUniversalSet(const v1::FindUniversalSetRequest& request,
                                const CallOptions& call,
                                v1::FindUniversalSetResponse* response) const;
  absl::Status QueryHeavy(const v1::QueryHeavyRequest& request,
                          const CallOptions& call,
                          v1::QueryHeavyResponse* response) const;
  absl::Status Solve(const v1::SolveRequest& request, const CallOptions& call,
                     v1::SolveResponse* response) const;
  absl::Status GetServerInfo(const CallOptions& call,
                             v1::ServerInfo* info) const;

  // One consumer an attempt: each is given the messages of its stream, and may
  // end the call with an error of its own, which is final.
  using EventConsumer = std::function<absl::Status(v1::SolveEvent* event)>;
  absl::Status StreamSolve(
      const v1::SolveRequest& request, const CallOptions& call,
      const std::function<EventConsumer(int attempt)>& consumer_of) const;

  // `number`: grpc.health.v1.HealthCheckResponse.ServingStatus.
  absl::Status Check(const std::string& service, const CallOptions& call,
                     int* number) const;

 private:
  struct Stubs;
  using Attempt = std::function<absl::Status(grpc::ClientContext*, int number)>;

  Connection(std::shared_ptr<grpc::ChannelInterface> channel,
             const ClientOptions& options);

  // Runs attempts under one deadline and one request id.
  absl::Status Run(const CallOptions& call, Seconds default_deadline,
                   std::size_t request_bytes, const Attempt& attempt) const;

  const ClientOptions options_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace steelyard::client
