#include "set_registry_codec.h"

#include "heavy_codec.h"
#include "score_function_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

SetState FromProto(v1::UniversalSetInfo::State state) {
  switch (state) {
    case v1::UniversalSetInfo::STATE_RECEIVING:
      return SetState::kReceiving;
    case v1::UniversalSetInfo::STATE_SUSPENDED:
      return SetState::kSuspended;
    case v1::UniversalSetInfo::STATE_FINISHED:
      return SetState::kFinished;
    default:
      return SetState::kUnknown;
  }
}

}  // namespace

SetInfo FromProto(const v1::UniversalSetInfo& wire) {
  SetInfo info;
  info.name = wire.name();
  info.state = FromProto(wire.state());
  info.heads = wire.heads();
  info.columns = wire.columns();
  info.next_offset.assign(wire.next_offset().begin(), wire.next_offset().end());
  info.epsilon = wire.epsilon();
  info.function = FromProto(wire.function());
  info.causal = wire.causal();
  info.size_bytes = wire.size_bytes();
  info.create_time = TimeFromProto(wire.create_time());
  info.expire_time = TimeFromProto(wire.expire_time());
  return info;
}

void ToProto(const KeyStreamOptions& options, v1::OpenKeys* open) {
  open->set_set_id(options.set_id);
  open->set_heads(options.heads);
  open->set_columns(options.columns);
  open->set_dtype(DTypeOf(options.type));
  open->set_epsilon(options.epsilon);
  ToProto(options.function, open->mutable_function());
  if (options.top_m.has_value()) open->set_top_m(*options.top_m);
  open->set_causal(options.causal);
  open->set_first_index(options.first_index);
  if (options.ttl.has_value()) {
    *open->mutable_ttl() = DurationToProto(*options.ttl);
  }
}

void ToProto(const std::string& set_id, const MergeInputs& inputs,
             const std::optional<Seconds>& ttl, v1::MergeOpen* open) {
  open->set_set_id(set_id);
  for (const std::string& name : inputs.names) open->add_names(SetName(name));
  if (ttl.has_value()) *open->mutable_ttl() = DurationToProto(*ttl);
}

std::string SetId(const std::string& name_or_id) {
  const std::size_t slash = name_or_id.rfind('/');
  return slash == std::string::npos ? name_or_id : name_or_id.substr(slash + 1);
}

}  // namespace steelyard::client
