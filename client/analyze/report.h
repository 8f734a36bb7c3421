// Everything that `steelyard analyze` found out, before it is shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/analyze/attention_mass.h"
#include "client/analyze/set_sizes.h"
#include "client/tensor_files/stored_tensor.h"
#include "steelyard/client/universal_set.h"

namespace steelyard::analyze {

struct Settings {
  MassOptions mass;
  // Which keys count as important: those of sensitivity >= epsilon, or, unset,
  // the `important` most sensitive ones.
  std::optional<double> epsilon;
  int64_t important = 32;
  // Unset scale: 1 / sqrt(d) of the layer.
  bool scale_is_default = true;
};

// One query head, with the key head that it reads.
struct HeadReport {
  int64_t head = 0;
  int64_t key_head = 0;
  int64_t keys = 0;
  int64_t queries = 0;
  int64_t columns = 0;
  int64_t rank = 0;
  bool exact = false;
  double relative_score_error = 0.0;
  std::vector<double> sensitivities;  // Of every key, by position.
  std::vector<SetSize> set_sizes;
  std::vector<int64_t> important;
  Masses masses;
};

struct LayerReport {
  std::string name;
  std::string keys;  // As they were named on the command line.
  std::string queries;
  double scale = 1.0;  // Of softmax.
  std::vector<HeadReport> heads;
};

struct Report {
  std::string version;
  Settings settings;
  std::vector<LayerReport> layers;
};

// Thresholds of the curve |U| against epsilon: down to this, so many a decade.
inline constexpr double kLeastEpsilon = 1e-3;
inline constexpr int kThresholdsPerDecade = 10;

// `sets`: one a key head, with all keys as members (top_m = n).
//
// ERRORS  InvalidArgument: shapes that do not go together; a query that is not
//         finite; more queries than keys where causal. Internal: sets that do
//         not fit the keys.
absl::StatusOr<LayerReport> AnalyzeLayer(
    const tensor_files::StoredTensor& keys,
    const tensor_files::StoredTensor& queries,
    const std::vector<client::UniversalSet>& sets, const Settings& settings);

// OK when queries can be asked of these keys; the message names both shapes.
absl::Status CheckShapes(const tensor_files::TensorInfo& keys,
                         const tensor_files::TensorInfo& queries, bool causal);

// "exp(0.177 <q, k>)", "|<q, k>|^2".
std::string FunctionText(const Settings& settings, double scale);

// "the 32 keys of largest sensitivity", "keys of sensitivity >= 0.1".
std::string ImportantText(const Settings& settings);

}  // namespace steelyard::analyze
