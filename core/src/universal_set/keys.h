// One head of keys, factored and scored: what both the universal set and the
// heavy scores of queries start from.
#pragma once

#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "factor/factor.h"
#include "linalg/stopped.h"
#include "steelyard/universal_set.h"
#include "universal_set/membership.h"

namespace steelyard {

struct FactoredKeys {
  Factor factor;
  LeverageScores scores;
};

// Of all heads before this one, for errors that name a row: heads may differ in
// length.
inline Index RowsBefore(absl::Span<const AnyMatrixView> heads, Index head) {
  Index rows = 0;
  for (Index h = 0; h < head; ++h) {
    rows += Rows(heads[static_cast<std::size_t>(h)]);
  }
  return rows;
}

// Scan, factor, score. `rows_before` is added to the row that an error names.
absl::StatusOr<FactoredKeys> FactorKeys(const AnyMatrixView& keys,
                                        Index rows_before,
                                        const ComputeContext& context);

// The same, but for keys that cannot reach options.epsilon a bound of the score
// is enough where options.selection says so (filtered_scores.h).
absl::StatusOr<FactoredKeys> FactorKeys(const AnyMatrixView& keys,
                                        Index rows_before,
                                        const UniversalSetOptions& options,
                                        const ComputeContext& context);

// The members and everything the answer says about them.
UniversalSet SelectSet(const FactoredKeys& keys,
                       const UniversalSetOptions& options);

// result[h] = one_head(h), heads side by side. Of several errors that of the
// lowest head is returned, so that it does not depend on the schedule.
template <typename Result>
absl::StatusOr<std::vector<Result>> ForEachHead(
    Index heads, const ComputeContext& context,
    absl::FunctionRef<absl::StatusOr<Result>(Index, const ComputeContext&)>
        one_head) {
  // Progress comes from one thread at a time or not at all.
  const ComputeContext quiet{context.workers, context.stop, {}};
  std::vector<absl::StatusOr<Result>> results(
      static_cast<std::size_t>(heads), absl::AbortedError("not started"));
  context.workers.ParallelFor(heads, context.stop, [&](Index head) {
    results[static_cast<std::size_t>(head)] = one_head(head, quiet);
  });
  const absl::Status stopped = CheckStop(context.stop);
  if (!stopped.ok()) return stopped;
  std::vector<Result> all;
  for (absl::StatusOr<Result>& result : results) {
    if (!result.ok()) return result.status();
    all.push_back(*std::move(result));
  }
  return all;
}

}  // namespace steelyard
