// A universal set of core -> v1.UniversalSet: whole, or in parts of a stream.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "steelyard/universal_set.h"
#include "steelyard/v1/universal_set.pb.h"

namespace steelyard::server {

// What a set's message says beside the set.
struct SetFrame {
  Index head = 0;
  std::optional<double> epsilon;  // as asked
};

void ToProto(const UniversalSet& set, const SetFrame& frame,
             v1::UniversalSet* proto);

// On the wire, at most and at least.
double WireBytesMax(Index members);
double WireBytesMin(const UniversalSet& set);

// The set in one or more messages of at most `bytes_max` each: every part
// carries the members of a range of the set. `write` returns false when the
// stream is broken: CANCELLED.
absl::Status WriteInParts(
    const UniversalSet& set, const SetFrame& frame, std::int64_t bytes_max,
    absl::FunctionRef<bool(const v1::UniversalSet&)> write);

}  // namespace steelyard::server
