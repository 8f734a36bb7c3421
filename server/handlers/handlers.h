// All handlers: one an RPC, shared by every call.
#pragma once

#include "server/handlers/get_server_info_handler.h"

namespace steelyard::server {

struct Handlers {
  GetServerInfoHandler get_server_info;
};

}  // namespace steelyard::server
