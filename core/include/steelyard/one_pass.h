// The universal set of keys that arrive in blocks, in memory that does not grow
// with their number; exact, whatever their order and the size of the blocks.
//
// METHOD  Scores only fall as keys arrive. R of all keys so far is kept, and
//   the keys (candidates) that no score so far has excluded: a key is dropped
//   at time t iff tau~_t (1 + delta_t) < epsilon with delta_t certified at that
//   moment, so each drop is proved alone; while delta_t is infinite nothing is
//   dropped. Rank < d: below EpsilonOfMembers instead of epsilon, which queries
//   need. Causal: by the exact score on arrival, once. Other f: a deterministic
//   coreset of d^2 numbers gives upper bounds.
//
// SOURCE  NUMERICS N5, N6, N7.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"
#include "steelyard/queryable_set.h"
#include "steelyard/universal_set.h"

namespace steelyard {

struct OnePassOptions {
  Index columns = 0;                                 // d
  StorageType storage = StorageType::kFloat32;       // of every block
  double epsilon = 0.0;                              // in (0, 1]
  std::optional<Index> top_m;  // of the final set; does not bound the memory
  ScoreFunction function = Power{2.0};               // no softmax
  bool causal = false;
  Index first_index = 0;  // global index of the first key
};

// Keys first, first + 1, ..., first + count - 1.
struct KeyRange {
  Index first = 0;
  Index count = 0;
};

// All that a pass knows, as plain data: what an exported state carries.
struct OnePassState {
  std::vector<KeyRange> ranges;   // keys seen: sorted, disjoint
  Matrix<double> factor;          // R, d x d, of K times 2^-column_exponents
  std::vector<int> column_exponents;
  // Two finite bounds, good for any rank: R'R = (X + D)'(X + D) with
  // (1 - factor_error) K'K <= X'X <= (1 + factor_error) K'K and
  // ||D||_F <= householder_error, K scaled. factor_error < 1.
  double factor_error = 0.0;
  double householder_error = 0.0;
  std::vector<Index> indices;         // of the candidates, ascending
  std::vector<std::byte> candidates;  // their keys, as sent: row-major
  // Causal only; as `indices`: scores on arrival and bounds on their relative
  // errors (infinite: nothing is known; a score of 1: the rank rule of N4).
  std::vector<double> arrival_scores;
  std::vector<double> arrival_errors;
  // Causal only: sum over all keys of the scores, and of their upper ends.
  double arrival_total = 0.0;
  double arrival_bound = 0.0;
  std::string coreset;                 // p != 2: opaque, versioned
};

class OnePassUniversalSet {
 public:
  // ERRORS  InvalidArgument: an option that one pass cannot serve (softmax).
  static absl::StatusOr<OnePassUniversalSet> Create(
      const OnePassOptions& options);

  // Goes on from an exported state. ERRORS InvalidArgument STATE_CORRUPT with
  // the field that contradicts another.
  static absl::StatusOr<OnePassUniversalSet> Restore(
      const OnePassOptions& options, OnePassState state,
      const ComputeContext& context);

  OnePassUniversalSet(OnePassUniversalSet&&) noexcept;
  OnePassUniversalSet& operator=(OnePassUniversalSet&&) noexcept;
  ~OnePassUniversalSet();

  // The next keys, c x d of options.storage, c >= 1, any c. All of the block
  // or, with an error, none of it. Their global indices follow the largest
  // index seen (first_index: nothing seen). Small blocks wait inside, as sent,
  // until enough rows are there to be worth O(d^3); every answer counts them.
  // COST    2 c d^2 flops, amortised.
  // ERRORS  InvalidArgument NOT_FINITE, field "keys", the row within the block.
  //         Cancelled, DeadlineExceeded, Aborted: `context.stop`.
  absl::Status Add(const AnyMatrixView& keys, const ComputeContext& context);

  // The set of the keys so far; the pass can go on. No keys yet: an empty set.
  // Of dropped keys only that they are below epsilon is known, so
  // effective_epsilon is at least epsilon once one was dropped, and
  // total_sensitivity is the rank (causal: the sum of the arrival scores, and
  // size_bound its upper end over epsilon). Other functions than |x|^2: members
  // by upper bounds, marked so; total_sensitivity bounds the sum of the true
  // ones, d^max(1, p/2) for each p (causal: the sum of the bounds).
  absl::StatusOr<UniversalSet> Snapshot(const ComputeContext& context) const;

  // The same with what queries need.
  absl::StatusOr<QueryableSet> Queryable(const ComputeContext& context) const;

  absl::StatusOr<OnePassState> Export(const ComputeContext& context) const;

  // As if all keys of `other` had been added, too (N6). Associative and
  // commutative; exact. On error nothing has changed.
  // ERRORS  FailedPrecondition RANGES_OVERLAP, CAUSAL_NOT_MERGEABLE.
  //         InvalidArgument CONFLICTING_FIELDS: other options.
  absl::Status Merge(const OnePassUniversalSet& other,
                     const ComputeContext& context);

  const OnePassOptions& options() const;
  Index keys() const;                  // seen so far
  std::vector<KeyRange> ranges() const;
  double bytes() const;                // held now

 private:
  struct Pass;
  explicit OnePassUniversalSet(std::unique_ptr<Pass> pass);
  std::unique_ptr<Pass> pass_;
};

// Bytes that one head holds between calls, for blocks of at most `block_rows`:
// R and its copies, keys that wait, and the largest candidate buffer of keys of
// full rank whose certified error is at most 1e-3 (a causal pass keeps
// d ln(n) / epsilon keys: n is taken as 2^32). Keys of lower rank, or without a
// certified error, can hold more, as can other functions than |x|^2, whose bounds
// keep more keys than are heavy: callers watch bytes().
double BytesOfOnePass(const OnePassOptions& options, Index block_rows);

// One call: flops of an Add of `block_rows` keys, and the bytes that any call
// takes beyond what the head holds before and after.
Cost CostOfOnePass(const OnePassOptions& options, Index block_rows,
                   int workers);

}  // namespace steelyard
