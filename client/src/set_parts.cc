#include "set_parts.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "heavy_codec.h"
#include "universal_set_codec.h"

namespace steelyard::client {
namespace {

template <typename T>
void Append(const std::vector<T>& more, std::vector<T>* list) {
  list->insert(list->end(), more.begin(), more.end());
}

}  // namespace

absl::Status SetParts::Add(const v1::UniversalSet& part) {
  UniversalSet set = FromProto(part);
  if (!open_) {
    sets_.heads.push_back(std::move(set));
  } else {
    UniversalSet& whole = sets_.heads.back();
    if (set.head != whole.head) {
      return BrokenAnswer(absl::StrCat("the set of head ", whole.head,
                                       " goes on with head ", set.head));
    }
    Append(set.indices, &whole.indices);
    Append(set.sensitivities, &whole.sensitivities);
    Append(set.upper_bounds, &whole.upper_bounds);
    Append(set.undecided, &whole.undecided);
    Append(set.new_direction, &whole.new_direction);
  }
  open_ = part.more_follows();
  return absl::OkStatus();
}

absl::StatusOr<UniversalSets> SetParts::Finish() {
  if (open_) {
    return BrokenAnswer(absl::StrCat("the set of head ",
                                     sets_.heads.back().head, " breaks off"));
  }
  for (const UniversalSet& set : sets_.heads) {
    if (set.sensitivities.size() != set.indices.size() ||
        (!set.upper_bounds.empty() &&
         set.upper_bounds.size() != set.indices.size())) {
      return BrokenAnswer(absl::StrCat(
          "head ", set.head, " has ", set.indices.size(), " indices and ",
          set.sensitivities.size(), " sensitivities"));
    }
  }
  return std::move(sets_);
}

absl::StatusOr<UniversalSets> ReadSets(const Connection& connection,
                                       const std::string& name,
                                       const std::vector<std::int64_t>& heads,
                                       const CallOptions& call) {
  v1::ReadUniversalSetRequest request;
  request.set_name(SetName(name));
  request.mutable_heads()->Assign(heads.begin(), heads.end());
  std::optional<SetParts> parts;  // Of the last attempt.
  absl::Status status =
      connection.ReadUniversalSet(request, call, [&](int /*attempt*/) {
        parts.emplace();
        return [&parts](v1::UniversalSet* part) { return parts->Add(*part); };
      });
  if (!status.ok()) return status;
  return parts->Finish();
}

}  // namespace steelyard::client
