#include "universal_set_codec.h"

#include <vector>

#include "matrix_codec.h"
#include "score_function_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

template <typename T>
std::vector<T> Vector(const google::protobuf::RepeatedField<T>& field) {
  return std::vector<T>(field.begin(), field.end());
}

v1::Selection ToProto(Selection selection) {
  switch (selection) {
    case Selection::kAutomatic:
      return v1::SELECTION_UNSPECIFIED;
    case Selection::kDirect:
      return v1::SELECTION_DIRECT;
    case Selection::kFast:
      return v1::SELECTION_FAST;
    case Selection::kJohnsonLindenstrauss:
      return v1::SELECTION_JOHNSON_LINDENSTRAUSS;
  }
  return v1::SELECTION_UNSPECIFIED;
}

}  // namespace

absl::Status ToProto(const DenseSource& keys,
                     const UniversalSetOptions& options,
                     const ClientOptions& limits,
                     v1::FindUniversalSetRequest* request) {
  if (options.epsilon.has_value()) request->set_epsilon(*options.epsilon);
  if (options.top_m.has_value()) request->set_top_m(*options.top_m);
  ToProto(options.function, request->mutable_function());
  request->set_causal(options.causal);
  if (options.ridge.has_value()) {
    request->mutable_ridge()->set_lambda(options.ridge->lambda);
    request->mutable_ridge()->set_ratio(options.ridge->ratio);
  }
  request->set_selection(ToProto(options.selection));
  request->set_set_id(options.keep.set_id);
  if (options.keep.ttl.has_value()) {
    *request->mutable_ttl() = DurationToProto(*options.keep.ttl);
  }
  request->mutable_lengths()->Assign(options.lengths.begin(),
                                     options.lengths.end());
  if (options.seed.has_value()) request->set_seed(*options.seed);
  request->set_max_response_bytes(limits.response_bytes_max);
  return ToProto(keys, "keys", limits.request_bytes_max,
                 request->mutable_keys());
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
  set.upper_bounds = Vector(wire.upper_bounds());
  set.undecided = Vector(wire.undecided());
  set.new_direction = Vector(wire.new_direction());
  return set;
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

}  // namespace steelyard::client
