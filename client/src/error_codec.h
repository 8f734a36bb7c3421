// Errors between the wire, absl::Status and ErrorDetail.
//
// A status carries its google.rpc.Status as it came, as a payload, and who made
// the call as another; DetailOf (error_detail.h) decodes both.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "steelyard/client/error_detail.h"

namespace steelyard::client {

// Who asked, how often.
struct CallRecord {
  std::string request_id;
  int attempts = 0;
};

// `details` are the bytes of the trailer grpc-status-details-bin; may be empty
// or garbage, which is then ignored. `code` as in gRPC; not OK.
absl::Status StatusFromWire(int code, const std::string& message,
                            const std::string& details);

// An error that the client found. Of `detail`, reason, field and metadata are
// kept.
absl::Status LocalError(absl::StatusCode code, const std::string& message,
                        const ErrorDetail& detail);

// INTERNAL: the server's answer breaks the contract.
absl::Status BrokenAnswer(const std::string& what);

// Adds the record; DetailOf returns it as request_id and attempts.
void AttachRecord(const CallRecord& record, absl::Status* status);

}  // namespace steelyard::client
