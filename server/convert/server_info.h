// What GetServerInfo answers.
#pragma once

#include <cstdint>
#include <string>

#include "server/limits/limits.h"
#include "steelyard/v1/server_service.pb.h"

namespace steelyard::server {

struct ServerFacts {
  std::string version;  // "0.1.0"
  int workers = 1;
  std::string cpu_target;  // steelyard::CpuTarget()
  std::string blas;        // steelyard::BlasDescription()
  std::int64_t memory_budget_bytes = 0;
  std::int64_t memory_reserved_bytes = 0;
  std::int64_t set_memory_bytes = 0;
  std::int64_t set_memory_reserved_bytes = 0;
  std::int64_t factor_memory_bytes = 0;
  std::int64_t factor_memory_reserved_bytes = 0;
  bool stores_matrices = false;
  std::int64_t matrix_memory_bytes = 0;
};

void ToProto(const ServerFacts& facts, const Limits& limits,
             v1::ServerInfo* info);

}  // namespace steelyard::server
