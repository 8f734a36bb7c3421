// GetServerInfo and health answers from the wire.
#pragma once

#include "steelyard/client/server_info.h"
#include "steelyard/v1/server_service.pb.h"

namespace steelyard::client {

ServerInfo FromProto(const v1::ServerInfo& info);

// `number` of grpc.health.v1.HealthCheckResponse.ServingStatus.
ServingStatus ServingStatusFromNumber(int number);

}  // namespace steelyard::client
