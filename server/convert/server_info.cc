#include "server/convert/server_info.h"

namespace steelyard::server {

void ToProto(const ServerFacts& facts, const Limits& limits,
             v1::ServerInfo* info) {
  info->set_version(facts.version);
  info->set_workers(facts.workers);
  info->set_cpu_target(facts.cpu_target);
  info->set_blas(facts.blas);
  info->set_request_bytes_max(limits.request_bytes_max);
  info->set_chunk_bytes_max(limits.chunk_bytes_max);
  info->set_memory_budget_bytes(facts.memory_budget_bytes);
  info->set_memory_reserved_bytes(facts.memory_reserved_bytes);
  info->set_columns_max(limits.columns_max);
  info->set_heads_max(limits.heads_max);
  info->set_right_hand_sides_max(limits.right_hand_sides_max);
  info->set_exponent_max(limits.exponent_max);
  info->set_set_memory_bytes(facts.set_memory_bytes);
  info->set_set_memory_reserved_bytes(facts.set_memory_reserved_bytes);
  info->set_streams_max(limits.streams_max);
  info->set_factor_memory_bytes(facts.factor_memory_bytes);
  info->set_factor_memory_reserved_bytes(facts.factor_memory_reserved_bytes);
  info->set_stores_matrices(facts.stores_matrices);
  info->set_matrix_memory_bytes(facts.matrix_memory_bytes);
}

}  // namespace steelyard::server
