// What this server is and what it takes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/admission/memory_budget.h"
#include "server/limits/limits.h"
#include "server/request/request_context.h"
#include "steelyard/v1/server_service.pb.h"

namespace steelyard::server {

// Answers on the transport thread: it must answer while every worker is busy.
class GetServerInfoHandler {
 public:
  // Of matrices.
  struct Storage {
    bool stores_matrices = false;
    std::int64_t matrix_memory = 0;
  };

  GetServerInfoHandler(int workers, const Limits& limits,
                       const MemoryBudget& memory,
                       const MemoryBudget& set_memory,
                       const MemoryBudget& factor_memory,
                       const Storage& storage)
      : workers_(workers),
        limits_(limits),
        memory_(memory),
        set_memory_(set_memory),
        factor_memory_(factor_memory),
        storage_(storage) {}

  absl::Status Handle(RequestContext& context,
                      std::shared_ptr<const v1::GetServerInfoRequest> request,
                      v1::ServerInfo* response) const;

 private:
  const int workers_;
  const Limits limits_;
  const MemoryBudget& memory_;
  const MemoryBudget& set_memory_;
  const MemoryBudget& factor_memory_;
  const Storage storage_;
};

// "0.1.0", of the build.
std::string Version();

}  // namespace steelyard::server
