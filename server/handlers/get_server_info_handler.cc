#include "server/handlers/get_server_info_handler.h"

#include "server/convert/server_info.h"
#include "steelyard/processor.h"

namespace steelyard::server {

absl::Status GetServerInfoHandler::Handle(
    RequestContext&, std::shared_ptr<const v1::GetServerInfoRequest>,
    v1::ServerInfo* response) const {
  const ServerFacts facts{
      .version = Version(),
      .workers = workers_,
      .cpu_target = CpuTarget(),
      .blas = BlasDescription(),
      .memory_budget_bytes = memory_.total(),
      .memory_reserved_bytes = memory_.reserved(),
      .set_memory_bytes = set_memory_.total(),
      .set_memory_reserved_bytes = set_memory_.reserved(),
      .factor_memory_bytes = factor_memory_.total(),
      .factor_memory_reserved_bytes = factor_memory_.reserved(),
      .stores_matrices = storage_.stores_matrices,
      .matrix_memory_bytes = storage_.matrix_memory};
  ToProto(facts, limits_, response);
  return absl::OkStatus();
}

std::string Version() { return STEELYARD_VERSION; }

}  // namespace steelyard::server
