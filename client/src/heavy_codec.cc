#include "heavy_codec.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "matrix_codec.h"
#include "score_function_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr char kPrefix[] = "universalSets/";

template <typename T>
std::vector<T> Vector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

// The offsets begin at 0, never fall, and end with the last entry.
bool FitTogether(const PackedHeavyScores& packed) {
  const std::vector<std::int64_t>& offsets = packed.row_offsets;
  return !offsets.empty() && offsets.front() == 0 &&
         std::is_sorted(offsets.begin(), offsets.end()) &&
         std::cmp_equal(offsets.back(), packed.indices.size()) &&
         packed.scores.size() == packed.indices.size() &&
         (packed.scores_upper.empty() ||
          packed.scores_upper.size() == packed.scores.size()) &&
         packed.captured_mass.size() + 1 == offsets.size();
}

}  // namespace

std::string SetName(const std::string& name_or_id) {
  if (absl::StartsWith(name_or_id, kPrefix)) return name_or_id;
  return absl::StrCat(kPrefix, name_or_id);
}

absl::Status ToProto(const KeySource& source, const HeavyOptions& options,
                     const ClientOptions& limits,
                     v1::QueryHeavyRequest* request) {
  request->set_epsilon(options.epsilon);
  if (options.function.has_value()) {
    ToProto(*options.function, request->mutable_function());
  }
  request->set_causal(options.causal);
  request->mutable_positions()->Assign(options.positions.begin(),
                                       options.positions.end());
  request->mutable_lengths()->Assign(options.lengths.begin(),
                                     options.lengths.end());
  request->set_max_response_bytes(limits.response_bytes_max);
  if (const auto* set = std::get_if<KeptSet>(&source)) {
    request->mutable_universal_set()->set_name(SetName(set->name));
    return absl::OkStatus();
  }
  return ToProto(std::get<DenseSource>(source), "keys",
                 limits.request_bytes_max, request->mutable_keys());
}

HeavyRow FromProto(const v1::HeavyRow& wire) {
  HeavyRow row;
  row.indices = Vector(wire.indices());
  row.scores = Vector(wire.scores());
  row.scores_upper = Vector(wire.scores_upper());
  row.normalizer = wire.normalizer();
  row.normalizer_exponent = wire.normalizer_exponent();
  row.captured_mass = wire.captured_mass();
  row.undefined = wire.undefined();
  row.keys_scored = wire.keys_scored();
  return row;
}

HeavyScores FromProto(const v1::QueryHeavyResponse& response) {
  HeavyScores scores;
  scores.rows.reserve(static_cast<std::size_t>(response.rows_size()));
  for (const v1::HeavyRow& row : response.rows()) {
    scores.rows.push_back(FromProto(row));
  }
  scores.queue_time = SecondsFromProto(response.queue_time());
  scores.compute_time = SecondsFromProto(response.compute_time());
  return scores;
}

absl::StatusOr<PackedHeavyScores> PackedFromProto(
    const v1::QueryHeavyResponse& response) {
  const v1::PackedRows& wire = response.packed();
  auto offsets = IntegersFromProto(wire.row_offsets(), "packed.row_offsets");
  auto indices = IntegersFromProto(wire.indices(), "packed.indices");
  auto scores = DoublesFromProto(wire.scores(), "packed.scores");
  auto mass = DoublesFromProto(wire.captured_mass(), "packed.captured_mass");
  absl::StatusOr<std::vector<double>> upper = std::vector<double>();
  if (wire.has_scores_upper()) {
    upper = DoublesFromProto(wire.scores_upper(), "packed.scores_upper");
  }
  for (const absl::Status& status :
       {offsets.status(), indices.status(), scores.status(), mass.status(),
        upper.status()}) {
    if (!status.ok()) return status;
  }
  PackedHeavyScores packed;
  packed.row_offsets = *std::move(offsets);
  packed.indices = *std::move(indices);
  packed.scores = *std::move(scores);
  packed.scores_upper = *std::move(upper);
  packed.captured_mass = *std::move(mass);
  packed.queue_time = SecondsFromProto(response.queue_time());
  packed.compute_time = SecondsFromProto(response.compute_time());
  if (!FitTogether(packed)) {
    return BrokenAnswer("the arrays of packed rows do not fit together");
  }
  return packed;
}

}  // namespace steelyard::client
