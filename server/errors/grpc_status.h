// absl::Status -> grpc::Status with google.rpc.Status bytes as details.
//
// ErrorInfo (domain `steelyard`, reason, metadata), BadRequest (field path,
// description), RetryInfo and QuotaFailure are packed into Any under
// google.rpc's type URLs, so that every language's standard helpers read them.
// gRPC sends the details as the trailer grpc-status-details-bin.
//
// Message and details together stay below kStatusBytesMax: long texts are cut
// at a character, bytes that are not UTF-8 are replaced.
#pragma once

#include <grpcpp/support/status.h>

#include <cstddef>

#include "absl/status/status.h"

namespace steelyard::server {

// Bytes. A status above about 8 KB breaks the call itself (HTTP/2 headers).
inline constexpr std::size_t kStatusBytesMax = 4000;

// Reasons live in the domain of this service.
inline constexpr char kErrorDomain[] = "steelyard";

// Codes that the contract does not name (UNKNOWN, OUT_OF_RANGE, DATA_LOSS,
// UNIMPLEMENTED, ... from within) are our bug: INTERNAL. Never UNKNOWN.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace steelyard::server
