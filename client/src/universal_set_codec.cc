#include "universal_set_codec.h"

#include <vector>

#include "tensor_codec.h"

namespace steelyard::client {
namespace {

template <typename T>
std::vector<T> Vector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

UniversalSet FromProto(const v1::UniversalSet& wire) {
  UniversalSet set;
  set.head = wire.head();
  set.indices = Vector(wire.indices());
  set.sensitivities = Vector(wire.sensitivities());
  set.epsilon = wire.epsilon();
  set.effective_epsilon = wire.effective_epsilon();
  set.rank = wire.rank();
  set.size_bound = wire.size_bound();
  set.exact = wire.exact();
  set.relative_score_error = wire.relative_score_error();
  set.total_sensitivity = wire.total_sensitivity();
  set.keys = wire.keys();
  set.condition_estimate = wire.condition_estimate();
  set.method = wire.method();
  set.undecided = Vector(wire.undecided());
  set.new_direction = Vector(wire.new_direction());
  return set;
}

HeavyRow FromProto(const v1::HeavyRow& wire) {
  HeavyRow row;
  row.indices = Vector(wire.indices());
  row.scores = Vector(wire.scores());
  row.normalizer = wire.normalizer();
  row.normalizer_exponent = wire.normalizer_exponent();
  row.captured_mass = wire.captured_mass();
  row.undefined = wire.undefined();
  return row;
}

}  // namespace

absl::Status ToProto(const TensorView& keys, const UniversalSetOptions& options,
                     const ClientOptions& limits,
                     v1::FindUniversalSetRequest* request) {
  if (options.epsilon.has_value()) request->set_epsilon(*options.epsilon);
  if (options.top_m.has_value()) request->set_top_m(*options.top_m);
  if (options.seed.has_value()) request->set_seed(*options.seed);
  request->mutable_function()->mutable_power()->set_p(options.power);
  request->set_max_response_bytes(limits.response_bytes_max);
  return ToProto(keys, "keys.dense", limits.request_bytes_max,
                 request->mutable_keys()->mutable_dense());
}

absl::Status ToProto(const TensorView& keys, const TensorView& queries,
                     const HeavyOptions& options, const ClientOptions& limits,
                     v1::QueryHeavyRequest* request) {
  request->set_epsilon(options.epsilon);
  request->mutable_function()->mutable_power()->set_p(options.power);
  request->set_max_response_bytes(limits.response_bytes_max);
  const absl::Status status =
      ToProto(keys, "keys.dense", limits.request_bytes_max,
              request->mutable_keys()->mutable_dense());
  if (!status.ok()) return status;
  return ToProto(queries, "queries", limits.request_bytes_max,
                 request->mutable_queries());
}

UniversalSets FromProto(const v1::FindUniversalSetResponse& response) {
  UniversalSets sets;
  for (const v1::UniversalSet& set : response.sets()) {
    sets.heads.push_back(FromProto(set));
  }
  sets.queue_time = SecondsFromProto(response.queue_time());
  sets.compute_time = SecondsFromProto(response.compute_time());
  return sets;
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

}  // namespace steelyard::client
