#include "server_info_codec.h"

namespace steelyard::client {

ServerInfo FromProto(const v1::ServerInfo& wire) {
  ServerInfo info;
  info.version = wire.version();
  info.workers = wire.workers();
  info.cpu_target = wire.cpu_target();
  info.blas = wire.blas();
  info.request_bytes_max = wire.request_bytes_max();
  info.chunk_bytes_max = wire.chunk_bytes_max();
  info.memory_budget_bytes = wire.memory_budget_bytes();
  info.memory_reserved_bytes = wire.memory_reserved_bytes();
  info.columns_max = wire.columns_max();
  info.heads_max = wire.heads_max();
  info.right_hand_sides_max = wire.right_hand_sides_max();
  info.exponent_max = wire.exponent_max();
  info.set_memory_bytes = wire.set_memory_bytes();
  info.set_memory_reserved_bytes = wire.set_memory_reserved_bytes();
  info.streams_max = wire.streams_max();
  info.stores_matrices = wire.stores_matrices();
  info.matrix_memory_bytes = wire.matrix_memory_bytes();
  info.factor_memory_bytes = wire.factor_memory_bytes();
  info.factor_memory_reserved_bytes = wire.factor_memory_reserved_bytes();
  return info;
}

ServingStatus ServingStatusFromNumber(int number) {
  switch (number) {
    case 1:
      return ServingStatus::kServing;
    case 2:
      return ServingStatus::kNotServing;
    default:
      return ServingStatus::kUnknown;
  }
}

}  // namespace steelyard::client
