#include "server/transport/services.h"

#include "server/transport/call.h"
#include "steelyard/v1/server_service.grpc.pb.h"

namespace steelyard::server {
namespace {

class ServerService final : public v1::ServerService::Service {
 public:
  explicit ServerService(const Handlers& handlers) : handlers_(handlers) {}

  grpc::Status GetServerInfo(grpc::ServerContext* context,
                             const v1::GetServerInfoRequest* request,
                             v1::ServerInfo* response) override {
    return UnaryCall("/steelyard.v1.ServerService/GetServerInfo", context,
                     request, response, handlers_.get_server_info);
  }

 private:
  const Handlers& handlers_;
};

}  // namespace

std::vector<NamedService> MakeServices(const Handlers& handlers) {
  std::vector<NamedService> services;
  services.push_back({v1::ServerService::service_full_name(),
                      std::make_unique<ServerService>(handlers)});
  return services;
}

}  // namespace steelyard::server
