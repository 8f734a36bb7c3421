#include "server/health/health_service.h"

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/method_handler.h>
#include <grpcpp/impl/codegen/rpc_service_method.h>

#include <chrono>
#include <utility>

namespace steelyard::server {
namespace {

// How often a watch looks whether its client is still there.
constexpr std::chrono::milliseconds kClientLook{100};

std::set<std::string> WithTheServer(const std::vector<std::string>& services) {
  std::set<std::string> all(services.begin(), services.end());
  all.insert("");
  return all;
}

}  // namespace

HealthService::HealthService(const std::vector<std::string>& services)
    : services_(WithTheServer(services)) {
  using CheckHandler =
      grpc::internal::RpcMethodHandler<HealthService, Request, Response,
                                       google::protobuf::MessageLite,
                                       google::protobuf::MessageLite>;
  using WatchHandler =
      grpc::internal::ServerStreamingHandler<HealthService, Request, Response>;
  AddMethod(new grpc::internal::RpcServiceMethod(
      "/grpc.health.v1.Health/Check", grpc::internal::RpcMethod::NORMAL_RPC,
      new CheckHandler(
          [](HealthService* health, grpc::ServerContext*,
             const Request* request,
             Response* response) { return health->Check(*request, response); },
          this)));
  AddMethod(new grpc::internal::RpcServiceMethod(
      "/grpc.health.v1.Health/Watch",
      grpc::internal::RpcMethod::SERVER_STREAMING,
      new WatchHandler(
          [](HealthService* health, grpc::ServerContext* context,
             const Request* request, grpc::ServerWriter<Response>* writer) {
            return health->Watch(*context, *request, writer);
          },
          this)));
}

void HealthService::SetServing(bool serving) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    serving_ = serving;
  }
  changed_.notify_all();
}

void HealthService::EndWatches() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
}

ServingStatus HealthService::StatusOf(const std::string& service) const {
  if (services_.count(service) == 0) return ServingStatus::kServiceUnknown;
  return serving_ ? ServingStatus::kServing : ServingStatus::kNotServing;
}

grpc::Status HealthService::Check(const Request& request, Response* response) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const ServingStatus status = StatusOf(request.value());
  if (status == ServingStatus::kServiceUnknown) {
    return grpc::Status(
        grpc::StatusCode::NOT_FOUND,
        "this server has no service '" + request.value() + "'");
  }
  response->set_value(static_cast<int>(status));
  return grpc::Status::OK;
}

grpc::Status HealthService::Watch(const grpc::ServerContext& context,
                                  const Request& request,
                                  grpc::ServerWriter<Response>* writer) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (watches_ >= kWatchesMax) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "128 watches are open already; use Check");
  }
  ++watches_;
  bool told = false;
  ServingStatus last = ServingStatus::kServiceUnknown;
  bool there = true;
  while (there && !context.IsCancelled()) {
    const ServingStatus now = StatusOf(request.value());
    if (!told || now != last) {
      told = true;
      last = now;
      Response response;
      response.set_value(static_cast<int>(now));
      // Writing may wait for the client: not while others wait for the lock.
      lock.unlock();
      there = writer->Write(response);
      lock.lock();
      continue;
    }
    if (ended_) break;
    changed_.wait_for(lock, kClientLook);
  }
  --watches_;
  const bool ended = ended_;
  lock.unlock();
  return ended ? grpc::Status(grpc::StatusCode::UNAVAILABLE,
                              "the server is draining")
               : grpc::Status::CANCELLED;
}

}  // namespace steelyard::server
