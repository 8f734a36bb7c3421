// One key head made ready for Attend: the keys that every query attends, with
// their values, and what is known of Z.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "factor/factor.h"
#include "queries/local_keys.h"
#include "steelyard/attend.h"

namespace steelyard {

struct AttendHead {
  Index n = 0;
  std::optional<AnyMatrixView> keys;  // where there are any
  AnyMatrixView values;
  std::vector<int> exponents;  // columns of keys count times 2^-exponents
  LocalKeys local;
  // Members of the set and sinks: ascending, each once.
  std::vector<Index> common;
  Matrix<double> common_keys;    // scaled
  Matrix<double> common_values;  // as they are
  // f = coefficient |x|^2: ||R q||^2 of all n keys is Z. Else nullptr.
  const Factor* factor = nullptr;
  double coefficient = 1.0;

  // Of a query that sees this many keys.
  bool KnowsZ(Index visible) const { return factor != nullptr && visible >= n; }
};

struct AttendHeads {
  std::vector<AttendHead> heads;
  ScoreFunction function;
  std::vector<QueryableSet> sets;  // whose factors `heads` point to
  AttendOptions options;           // without positions
};

// ERRORS  InvalidArgument: FIELD_REQUIRED keys for sinks and local keys;
//         WRONG_SHAPE values, or a set of other keys; those of
//         FindQueryableSets.
absl::StatusOr<AttendHeads> FindAttendHeads(
    absl::Span<const AnyMatrixView> keys, absl::Span<const QueryableSet> sets,
    absl::Span<const AnyMatrixView> values, const AttendOptions& options,
    const ComputeContext& context);

// Are the keys there where m queries a head at `options.positions` need Z of
// all of them? ERRORS  InvalidArgument FIELD_REQUIRED keys.
absl::Status CheckNormalizers(const AttendHeads& heads, Index m,
                              const AttendOptions& options);

// Members and sinks of one head, at most.
double MostCommonKeys(Index n, Index d, const AttendOptions& options);

// Of FindAttendHeads without sets, what it returns included.
Cost CostOfAttendHeads(Index key_heads, Index n, Index d, Index e,
                       const AttendOptions& options, int workers);

}  // namespace steelyard
