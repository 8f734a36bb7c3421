// LevAttention: attention over the universal set, sinks and local keys only.
// The calls are in client.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "steelyard/client/matrix_source.h"
#include "steelyard/client/options.h"
#include "steelyard/client/regression.h"
#include "steelyard/client/score_function.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

// What is attended to, and by whom.
struct AttendInputs {
  // n x d or H x n x d. Needed unless the set alone is attended.
  std::optional<DenseSource> keys = std::nullopt;
  // n x e or H x n x e.
  DenseSource values;
  // m x d or G x m x d, G a multiple of H.
  TensorView queries;
  // "universalSets/{id}" or the id alone. Empty: the set is found from `keys`
  // by epsilon or top_m; with neither, there is none.
  std::string universal_set = {};
};

// Keys with |position - key| <= radius.
struct Window {
  std::int64_t radius = 0;  // >= 0
};

// Keys first, first + 1, ... are the cells of a height x width grid, row by
// row. Local keys of a cell are those within Manhattan distance radius. Keys
// before `first` are off the grid.
struct Grid {
  std::int64_t height = 1;
  std::int64_t width = 1;
  std::int64_t radius = 0;
  std::int64_t first = 0;
};

struct NoLocalKeys {};
using LocalKeys = std::variant<NoLocalKeys, Window, Grid>;

// By what the weights of a query are divided.
enum class AttentionNormalization {
  kAttended,  // By the sum over the attended keys: weights sum to 1.
  kAll,       // By Z of all keys: weights sum to the captured mass.
};

struct AttendOptions {
  // Unset: |x|^2; with a kept set, that of the set.
  std::optional<ScoreFunction> function = std::nullopt;

  // As UniversalSetOptions. Not with a kept set.
  std::optional<double> epsilon = std::nullopt;
  std::optional<std::int64_t> top_m = std::nullopt;

  // >= 0. The first keys, always attended.
  std::int64_t sinks = 0;
  LocalKeys local = NoLocalKeys{};
  AttentionNormalization normalization = AttentionNormalization::kAttended;

  // Query i sees keys 0..positions[i] only.
  bool causal = false;
  // One a query of a head. Empty: query i is at position n - m + i.
  std::vector<std::int64_t> positions = {};

  // Storage of the output on the wire: float64 holds all of it. Unset: that of
  // the values.
  std::optional<ScalarType> output_type = std::nullopt;

  // Valid keys of each head, as UniversalSetOptions::lengths.
  std::vector<std::int64_t> lengths = {};
};

struct Attention {
  // G m x e, head-major; as float64, which every storage type is a part of.
  RowMajorMatrix output;
  // Share of Z that the attended keys hold, one a row. Empty: Z is not known.
  std::vector<double> captured_mass;
  std::vector<std::int64_t> attended;  // Keys attended, one a row.
  Seconds compute_time{0.0};
};

using AttentionBlockCallback =
    std::function<void(std::int64_t number, Attention attention)>;

}  // namespace steelyard::client
