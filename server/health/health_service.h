// grpc.health.v1.Health: Check and Watch, for the server ("") and for each of
// its services.
//
// Not gRPC's own: that one is built on the callback API, must be switched on for
// the whole process by a call that races with itself, and cannot be checked by
// TSan. A watch waits on a thread of its own; their number is bounded.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "google/protobuf/wrappers.pb.h"

namespace steelyard::server {

// grpc.health.v1.HealthCheckResponse.ServingStatus.
enum class ServingStatus { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

class HealthService final : public grpc::Service {
 public:
  // HealthCheckRequest and HealthCheckResponse have the wire format of these
  // two: field 1 a string; field 1 an enum.
  using Request = google::protobuf::StringValue;
  using Response = google::protobuf::Int32Value;

  // Watches at once; one more is refused with RESOURCE_EXHAUSTED.
  static constexpr int kWatchesMax = 128;

  // Not serving yet. `services` without "".
  explicit HealthService(const std::vector<std::string>& services);

  // Of the server and of all its services; watches are told.
  void SetServing(bool serving);

  // Ends every watch, after what it has still to tell, and refuses new ones.
  void EndWatches();

  // NOT_FOUND for a service that is not here.
  grpc::Status Check(const Request& request, Response* response);

  // The status now, then each change, until the client goes or EndWatches. A
  // service that is not here is SERVICE_UNKNOWN, not an error.
  grpc::Status Watch(const grpc::ServerContext& context, const Request& request,
                     grpc::ServerWriter<Response>* writer);

 private:
  ServingStatus StatusOf(const std::string& service) const;

  const std::set<std::string> services_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool serving_ = false;
  bool ended_ = false;
  int watches_ = 0;
};

}  // namespace steelyard::server
