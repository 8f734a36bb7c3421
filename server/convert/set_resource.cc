#include "server/convert/set_resource.h"

#include <cstdint>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "server/convert/score_function.h"
#include "server/errors/errors.h"
#include "server/sets/set_name.h"

namespace steelyard::server {
namespace {

v1::UniversalSetInfo::State StateOf(SetState state) {
  switch (state) {
    case SetState::kReceiving:
      return v1::UniversalSetInfo::STATE_RECEIVING;
    case SetState::kSuspended:
      return v1::UniversalSetInfo::STATE_SUSPENDED;
    case SetState::kFinished:
      return v1::UniversalSetInfo::STATE_FINISHED;
  }
  return v1::UniversalSetInfo::STATE_UNSPECIFIED;
}

void TimeToProto(absl::Time time, google::protobuf::Timestamp* proto) {
  const std::int64_t seconds = absl::ToUnixSeconds(time);
  proto->set_seconds(seconds);
  proto->set_nanos(static_cast<std::int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

}  // namespace

absl::StatusOr<SetRequest> SetRequestFromProto(
    const std::string& set_id, bool has_ttl,
    const google::protobuf::Duration& ttl, const std::string& path) {
  SetRequest request;
  if (!set_id.empty()) {
    const absl::Status id = CheckSetId(set_id, path + "set_id");
    if (!id.ok()) return id;
    request.id = set_id;
  }
  if (!has_ttl) return request;
  // Seconds and nanoseconds apart: their sum of the extremes would overflow.
  const absl::Duration given =
      absl::Seconds(ttl.seconds()) + absl::Nanoseconds(ttl.nanos());
  // Nanoseconds of another sign than the seconds', or a second and more of
  // them, are no google.protobuf.Duration.
  const bool valid = ttl.nanos() >= 0 && ttl.nanos() < 1'000'000'000;
  if (!valid || given <= absl::ZeroDuration() || given > kSetTtlMax) {
    return OutOfRangeError(path + "ttl", absl::FormatDuration(given),
                           "it must be positive and at most 24h");
  }
  request.ttl = given;
  return request;
}

void ToProto(const SetInfo& info, v1::UniversalSetInfo* proto) {
  proto->set_name(info.name);
  proto->set_state(StateOf(info.state));
  proto->set_heads(info.description.heads);
  proto->set_columns(info.description.columns);
  proto->mutable_next_offset()->Add(info.keys.begin(), info.keys.end());
  proto->set_epsilon(info.description.epsilon.value_or(0.0));
  ToProto(info.description.function, proto->mutable_function());
  proto->set_causal(info.description.causal);
  proto->set_size_bytes(info.bytes);
  TimeToProto(info.create_time, proto->mutable_create_time());
  TimeToProto(info.expire_time, proto->mutable_expire_time());
}

void ToProto(const SetRegistry::Page& page,
             v1::ListUniversalSetsResponse* response) {
  for (const SetInfo& info : page.sets) ToProto(info, response->add_sets());
  if (!page.more) return;
  const absl::StatusOr<std::string> last =
      SetIdOf(page.sets.back().name, "name");
  response->set_next_page_token(PageTokenOf(*last));
}

absl::StatusOr<std::vector<Index>> HeadsFromProto(
    const v1::ReadUniversalSetRequest& request, Index heads) {
  std::vector<Index> chosen(request.heads().begin(), request.heads().end());
  if (chosen.empty()) {
    chosen.resize(static_cast<std::size_t>(heads));
    std::iota(chosen.begin(), chosen.end(), Index{0});
    return chosen;
  }
  Index next = 0;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] < next || chosen[i] >= heads) {
      return OutOfRangeError(
          absl::StrCat("heads[", i, "]"), absl::StrCat(chosen[i]),
          absl::StrCat("heads must ascend and be in [0, ", heads, ")"));
    }
    next = chosen[i] + 1;
  }
  return chosen;
}

}  // namespace steelyard::server
