// Every RPC of a server, called with plain messages: tests that use it compile
// no generated stub.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "steelyard/v1/regression_service.pb.h"
#include "steelyard/v1/server_service.pb.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::test {

// grpc.health.v1.HealthCheckResponse.ServingStatus.
inline constexpr int kServing = 1;
inline constexpr int kNotServing = 2;
inline constexpr int kServiceUnknown = 3;

class Caller {
 public:
  // Each caller has a connection of its own.
  explicit Caller(const std::string& address);
  ~Caller();
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  grpc::Status GetServerInfo(grpc::ClientContext* context,
                             v1::ServerInfo* response) const;
  grpc::Status FindUniversalSet(grpc::ClientContext* context,
                                const v1::FindUniversalSetRequest& request,
                                v1::FindUniversalSetResponse* response) const;
  grpc::Status QueryHeavy(grpc::ClientContext* context,
                          const v1::QueryHeavyRequest& request,
                          v1::QueryHeavyResponse* response) const;
  grpc::Status Solve(grpc::ClientContext* context,
                     const v1::SolveRequest& request,
                     v1::SolveResponse* response) const;
  // `on_event` returns false to cancel.
  grpc::Status StreamSolve(
      grpc::ClientContext* context, const v1::SolveRequest& request,
      const std::function<bool(const v1::SolveEvent&)>& on_event) const;
  // `on_rows` returns false to cancel.
  grpc::Status Predict(
      grpc::ClientContext* context, const v1::PredictRequest& request,
      const std::function<bool(const v1::PredictResponse&)>& on_rows) const;

  // grpc.health.v1.Health. `serving` gets the status.
  grpc::Status CheckHealth(grpc::ClientContext* context,
                           const std::string& service, int* serving) const;
  // Calls `on_status` for each message until it returns false.
  grpc::Status WatchHealth(grpc::ClientContext* context,
                           const std::string& service,
                           const std::function<bool(int)>& on_status) const;

  // Full names, as server reflection lists them.
  grpc::Status ListServices(grpc::ClientContext* context,
                            std::vector<std::string>* names) const;

  // Shorthand for tests: memory_reserved_bytes of GetServerInfo; -1: the call
  // failed.
  std::int64_t MemoryReserved() const;
  // The same as soon as it is 0, after 5 s at the latest. A call that was
  // cancelled may not have begun in the server: what it leaves behind is seen
  // by the next of these.
  std::int64_t MemoryReservedAtLast() const;

 private:
  struct Stubs;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace steelyard::test
