// The gRPC services: shells with one line an RPC around the handlers.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <string>
#include <vector>

#include "server/handlers/handlers.h"

namespace steelyard::server {

struct NamedService {
  std::string name;  // "steelyard.v1.ServerService", as health knows it
  std::unique_ptr<grpc::Service> service;
};

// The handlers must outlive the services.
std::vector<NamedService> MakeServices(const Handlers& handlers,
                                       const Limits& limits);

}  // namespace steelyard::server
