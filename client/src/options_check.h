// Whether options are in range, before anything is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

inline constexpr std::int64_t kMessageBytesMax = (std::int64_t{1} << 31) - 1;

// ERRORS  InvalidArgument, naming the option: out of range, or half of a pair.
absl::Status Validate(const ClientOptions& options);
absl::Status Validate(const TlsCredentials& tls);
absl::Status ValidateDeadline(const std::string& field, Seconds deadline);

// 1 to 128 printable ASCII characters without blanks.
absl::Status ValidateRequestId(const std::string& id);

// ERRORS  ResourceExhausted LIMIT_EXCEEDED.
absl::Status ValidateRequestBytes(std::size_t bytes, std::int64_t bytes_max);

// InvalidArgument FIELD_OUT_OF_RANGE.
absl::Status InvalidOption(const std::string& field,
                           const std::string& message);

}  // namespace steelyard::client
