// Heavy rows as arrays: three allocations instead of two a row.
#pragma once

#include "absl/types/span.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

// At least one row. `indices`, `scores` and `scores_upper` stay unset where no
// row has an entry: an extent is >= 1. `scores_upper` stands for all entries
// when it stands for one; exact scores are their own upper ends.
void ToProto(absl::Span<const HeavyRow> rows, v1::PackedRows* packed);

// Bytes on the wire of the numbers of these rows.
double PackedBytes(double rows, double entries, bool intervals);

}  // namespace steelyard::server
