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

// It matters where a query stands, and the options do not say.
bool NeedsPositions(const AttendOptions& options);

// The positions that the options give; where they are needed, n - m + i, n the
// rows of the values; else none.
std::vector<std::int64_t> PositionsOrLast(const AttendInputs& inputs,
                                          const AttendOptions& options,
                                          std::int64_t value_rows);

}  // namespace steelyard::client
