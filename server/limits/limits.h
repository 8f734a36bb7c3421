// Every bound on a request and an answer, with its unit and its reason.
//
// GetServerInfo tells them and each has a flag of the server; a request over
// one of them ends in RESOURCE_EXHAUSTED with the reason LIMIT_EXCEEDED, or,
// for a whole message, in gRPC's own RESOURCE_EXHAUSTED.
#pragma once

#include <cstdint>

#include "steelyard/matrix_view.h"

namespace steelyard::server {

struct Limits {
  // d: columns of a matrix, length of a key. The factor is d x d float64 a
  // worker slot: 512 MiB at 8192.
  Index columns_max = 8192;

  // H and G: heads of one batch, keys and queries alike. Each has its own
  // factor and its own entry in the answer.
  Index heads_max = 4096;

  // k: right-hand sides of one solve. Each has its own entry in every list of
  // the report.
  Index right_hand_sides_max = 4096;

  // j of a power regression. Above it kappa^(2j) has no digit left for any
  // matrix that is not orthogonal.
  int exponent_max = 64;

  // Streams that receive keys, states or matrices, and predictions, at
  // once. Each holds up to two threads and stream_queue_bytes of messages.
  std::int64_t streams_max = 256;

  // Bytes of a stream's messages that were received and are not computed yet;
  // then reading stops. Of rows that were predicted and are not sent yet; then
  // computing stops.
  std::int64_t stream_queue_bytes = std::int64_t{8} << 20;

  // Bytes of one request message. gRPC's default of 4 MB would refuse most
  // matrices; what is larger belongs on several machines or in float16.
  std::int64_t request_bytes_max = std::int64_t{256} << 20;

  // Bytes of an answer that did not ask for more: clients accept 4 MiB unless
  // they are told otherwise.
  std::int64_t response_bytes_default = 4'000'000;

  // Bytes of one streamed message, all fields together: the size at which
  // loopback gRPC is fastest (SERVICE 1, "Large tensors").
  std::int64_t chunk_bytes_max = std::int64_t{1} << 20;

  // Numbers of Tensor.values: for inputs written by hand, not for data.
  std::int64_t values_max = 65536;
};

// Bytes. protobuf and gRPC count messages in int32; no flag can exceed it, and
// max_response_bytes ends here.
inline constexpr std::int64_t kMessageBytesHardMax = 2147483647;

}  // namespace steelyard::server
