// Every large attention score of given queries: what is asked and what is
// answered. The calls are in client.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "steelyard/client/options.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

// A set that the server keeps: by Keeping::set_id, or streamed, or merged.
struct KeptSet {
  // "universalSets/{id}", or the id alone.
  explicit KeptSet(std::string set_name) : name(std::move(set_name)) {}

  std::string name;
};

struct HeavyOptions {
  // Smallest score to report. Dimensionless, in (0, 1]. With a kept set: at
  // least its effective_epsilon (FailedPrecondition EPSILON_BELOW_SET).
  double epsilon = 0.01;

  // Unset: |x|^2; with a kept set, that of the set (no other is taken).
  std::optional<ScoreFunction> function = std::nullopt;

  // Query i sees keys 0..positions[i] only; needs positions.
  bool causal = false;
  // One a query of a head, each in [0, n). Causal only; empty in
  // StreamQueryHeavy over blocks, which bring their own.
  std::vector<std::int64_t> positions = {};

  // Valid keys of each head, as UniversalSetOptions::lengths. Not with a set.
  std::vector<std::int64_t> lengths = {};
};

// Of one query. A key is here iff the upper end of its score's error interval
// reaches epsilon, so that none is missed.
struct HeavyRow {
  std::vector<std::int64_t> indices;  // Ascending, zero-based, of the key head.
  // f(<q, k>) / Z; same order. Lower ends where scores_upper is not empty.
  std::vector<double> scores;
  // Upper ends of the scores. Empty: the scores are exact.
  std::vector<double> scores_upper;
  // Z, the sum of f(<q, k_l>) over all n keys, is
  // normalizer * 2^normalizer_exponent.
  double normalizer = 0.0;
  std::int32_t normalizer_exponent = 0;
  // Share of Z that `indices` hold, in [0, 1]; its lower end where scores are
  // intervals.
  double captured_mass = 0.0;
  // The query is 0 or orthogonal to every key: it has no scores.
  bool undefined = false;
  // Softmax, certified: how many keys were looked at.
  std::int64_t keys_scored = 0;
};

struct HeavyScores {
  std::vector<HeavyRow> rows;  // G m of them; row g m + i: query i of head g.
  Seconds queue_time{0.0};
  Seconds compute_time{0.0};
};

// The same in arrays, without normalisers, for thousands of queries.
struct PackedHeavyScores {
  // Row r is entries row_offsets[r] to row_offsets[r + 1] - 1.
  std::vector<std::int64_t> row_offsets;
  std::vector<std::int64_t> indices;
  std::vector<double> scores;
  std::vector<double> scores_upper;   // Empty: the scores are exact.
  std::vector<double> captured_mass;  // One a row.
  Seconds queue_time{0.0};
  Seconds compute_time{0.0};
};

// A part of the queries of a streamed call.
struct QueryBlock {
  TensorView queries;                        // m x d or G x m x d.
  std::vector<std::int64_t> positions = {};  // Causal only; m of them.
};

// Gives block `number`, or nullopt where there is none: 0, 1, ... in order;
// from the first unanswered block on again when the connection broke. The
// memory behind a block must stay until the next one is asked for. Called on a
// thread of the library.
using QueryBlocks =
    std::function<std::optional<QueryBlock>(std::int64_t number)>;

// Takes the whole answer of block `number`; in order, each once. Called on the
// thread that made the call.
using HeavyBlockCallback =
    std::function<void(std::int64_t number, HeavyScores scores)>;

}  // namespace steelyard::client
