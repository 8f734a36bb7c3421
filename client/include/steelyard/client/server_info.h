// What a server is, and whether it serves.
#pragma once

#include <cstdint>
#include <string>

namespace steelyard::client {

struct ServerInfo {
  std::string version;       // "MAJOR.MINOR.PATCH".
  std::int32_t workers = 0;  // Threads that compute.
  std::string cpu_target;    // Instruction set of the kernels: "AVX2".
  std::string blas;          // Library, version and kernel.

  // Limits. Bytes.
  std::int64_t request_bytes_max = 0;
  std::int64_t chunk_bytes_max = 0;
  std::int64_t memory_budget_bytes = 0;
  std::int64_t memory_reserved_bytes = 0;      // Now.
  std::int64_t set_memory_bytes = 0;           // Of stored universal sets.
  std::int64_t set_memory_reserved_bytes = 0;  // Now.
  std::int64_t matrix_memory_bytes = 0;        // Larger matrices stay in files.
  std::int64_t factor_memory_bytes = 0;        // Of factors of stored matrices.
  std::int64_t factor_memory_reserved_bytes = 0;  // Now.

  // Limits. Counts.
  std::int64_t columns_max = 0;
  std::int64_t heads_max = 0;
  std::int64_t right_hand_sides_max = 0;
  std::int32_t exponent_max = 0;
  std::int64_t streams_max = 0;  // Of keys, states or matrices, at once.

  bool stores_matrices = false;  // UploadMatrix is possible.
};

// Of grpc.health.v1.
enum class ServingStatus {
  kUnknown,
  kServing,
  kNotServing,  // Draining, or not ready yet.
};

}  // namespace steelyard::client
