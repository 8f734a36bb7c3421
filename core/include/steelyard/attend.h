// LevAttention: attention over the universal set, sinks and local keys only.
//
//     o_i = sum_j w_ij v_j,   w_ij = f(<q_i, k_j>) / Z_i,
//
//   j over U, the first `sinks` keys and the keys near query i; each key counts
//   once. Z_i sums over the attended keys, or over all of them.
//
// METHOD  Members and sinks are gathered once a key head; queries go in groups
//   of neighbouring positions, so that their local keys are shared. One product
//   a key and query, weights in a unit that follows the largest, as in online
//   softmax: no f overflows. Z of all keys is ||R q||^2 for |x|^2 that is not
//   causal, else one more pass over the keys.
//
// SOURCE  NUMERICS N8. [KBKW25] LevAttention, section 5.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"
#include "steelyard/queryable_set.h"
#include "steelyard/score_function.h"

namespace steelyard {

// Keys `first`, first + 1, ... are the cells of a height x width grid, row by
// row; a query near cell c attends all cells within this Manhattan distance.
// Keys before `first` are off the grid, and so are queries at such positions.
struct LocalGrid {
  Index height = 1;
  Index width = 1;
  Index radius = 0;
  Index first = 0;
};

enum class AttendNormalization {
  kAttended,  // rows of w sum to 1
  kAllKeys    // rows of w sum to the captured mass
};

struct AttendOptions {
  // Of the sets, when they are found from the keys. Unset with top_m unset: no
  // universal set, only sinks and local keys.
  std::optional<double> epsilon;
  std::optional<Index> top_m;
  ScoreFunction function = Power{2.0};
  Index sinks = 0;
  // Keys with |position - key| <= window. At most one of the two.
  std::optional<Index> window;
  std::optional<LocalGrid> grid;
  AttendNormalization normalization = AttendNormalization::kAttended;
  // Query i sees keys 0..positions[i]: of U, sinks and local keys those, and Z
  // of all keys is of those. U is then found causal (N5); a set given serves as
  // it is.
  bool causal = false;
  // One a query of a head. Empty: query i is at position n - m + i.
  std::vector<Index> positions;
};

// A query that attends no key, or whose scores rounding alone could have made
// (a query of zeros), gets a row of zeros.
struct AttendedHead {
  Matrix<double> output;  // m x e
  // The share of Z of all keys that is attended, one a query. NaN where Z is
  // not known: with kAttended it is known for |x|^2 with a set, for queries
  // that see all keys.
  std::vector<double> captured_mass;
  std::vector<Index> attended;  // keys attended, one a query
};

// SHAPES   keys: H views n_h x d; values: H views n_h x e; queries: G views
//          m x d, G a multiple of H, query head g reads key head floor(g H /
//          G). `sets`: empty (found from `keys`), or one a key head; `keys` may
//          be empty when sets are given and neither sinks, local keys nor
//          kAllKeys (but of |x|^2 that is not causal) need them. With sets,
//          their function is attended, epsilon, top_m and function are unused.
//          Softmax is attended over the members of the heuristic's set,
//          whatever its mode.
// SCALARS  any storage types; sums are float64.
// COST     that of the sets, then 2 (d + e) (|U| + sinks + local) flops a
//          query; 2 n d more where Z takes a pass.
// RANDOM   none.
// ERRORS   InvalidArgument NOT_FINITE ("keys", "values", "queries");
//          FIELD_REQUIRED ("keys"); WRONG_SHAPE ("values"): not one row a key
//          of the set.
//          Cancelled, DeadlineExceeded: `context.stop`.
absl::StatusOr<std::vector<AttendedHead>> Attend(
    absl::Span<const AnyMatrixView> keys, absl::Span<const QueryableSet> sets,
    absl::Span<const AnyMatrixView> values,
    absl::Span<const AnyMatrixView> queries, const AttendOptions& options,
    const ComputeContext& context);

struct AttendHeads;  // core/src/queries/attend_head.h

// Keys, values and sets made ready for any number of query blocks: the set is
// found, and members and sinks are gathered, once. Immutable; copies share.
class AttendKeys {
 public:
  explicit AttendKeys(std::shared_ptr<const AttendHeads> heads)
      : heads_(std::move(heads)) {}

  // Queries read the keys and values themselves, which must outlive this: for
  // local keys, and for Z of all keys that takes a pass. Else they may go.
  bool reads_inputs() const;
  // Held in memory, keys and values themselves not included.
  double bytes() const;

  const AttendHeads& heads() const { return *heads_; }

 private:
  std::shared_ptr<const AttendHeads> heads_;
};

// Everything of Attend but the queries; options.positions are not used. Same
// errors, but for those of queries.
absl::StatusOr<AttendKeys> PrepareAttend(absl::Span<const AnyMatrixView> keys,
                                         absl::Span<const QueryableSet> sets,
                                         absl::Span<const AnyMatrixView> values,
                                         const AttendOptions& options,
                                         const ComputeContext& context);

// The same bits as Attend of these queries. `positions`: as those of
// AttendOptions. ERRORS
// InvalidArgument NOT_FINITE ("queries"); FIELD_REQUIRED ("keys"): of a set
// without keys, Z of a query that does not see all of them. Those of
// `context.stop`.
absl::StatusOr<std::vector<AttendedHead>> Attend(
    const AttendKeys& keys, absl::Span<const AnyMatrixView> queries,
    const std::vector<Index>& positions, const ComputeContext& context);

// Of the latter, for G heads of m queries.
Cost CostOfAttend(const AttendKeys& keys, Index query_heads, Index m,
                  int workers);

// For H key heads of n x d, values of e columns, G heads of m queries.
Cost CostOfAttend(Index key_heads, Index n, Index d, Index e, Index query_heads,
                  Index m, const AttendOptions& options, int workers);

// Of PrepareAttend without sets, what it returns included.
Cost CostOfAttendKeys(Index key_heads, Index n, Index d, Index e,
                      const AttendOptions& options, int workers);

}  // namespace steelyard
