// StreamQueryHeavy and StreamAttend: blocks of queries out, whole answers in,
// each once, whatever breaks in between.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "connection.h"
#include "heavy_codec.h"
#include "steelyard/client/attend.h"
#include "steelyard/client/heavy_scores.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

absl::Status ConverseHeavy(const Connection& connection,
                           const KeySource& source, const QueryBlocks& blocks,
                           const HeavyOptions& options,
                           const HeavyBlockCallback& on_block,
                           const CallOptions& call);

absl::Status ConverseAttend(const Connection& connection,
                            const AttendInputs& inputs,
                            const QueryBlocks& blocks,
                            const AttendOptions& options,
                            const AttentionBlockCallback& on_block,
                            const CallOptions& call);

// The positions that the options give; else n - m + i where it matters where a
// query stands; else none.
std::vector<std::int64_t> PositionsOrLast(const AttendInputs& inputs,
                                          const AttendOptions& options);

}  // namespace steelyard::client
