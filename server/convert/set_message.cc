#include "server/convert/set_message.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace steelyard::server {
namespace {

// Bytes on the wire of one index and its number, at most: int64 as varint, a
// double and whether it is a bound. At least: 1 and 8.
constexpr double kEntryBytesMax = 10.0 + 8.0 + 1.0;
constexpr double kEntryBytesMin = 1.0 + 8.0;
// Of the other fields of one set, at most; `method` is a sentence.
constexpr double kSetBytesMax = 1024.0;
// Of a member of a part: as above, and named again as undecided and as
// new_direction.
constexpr std::int64_t kPartEntryBytesMax = 10 + 8 + 1 + 10 + 10;

// Members [first, last) of a set.
struct Range {
  std::size_t first = 0;
  std::size_t last = 0;
};

template <typename T, typename List>
void Append(const std::vector<T>& numbers, const Range& range, List* list) {
  const auto first = numbers.begin() + static_cast<std::ptrdiff_t>(range.first);
  const auto last = numbers.begin() + static_cast<std::ptrdiff_t>(range.last);
  list->Add(first, last);
}

// Those of `some`, which are members, that are in the range.
template <typename List>
void AppendBetween(const std::vector<Index>& some, Index from, Index to,
                   List* list) {
  list->Add(std::lower_bound(some.begin(), some.end(), from),
            std::upper_bound(some.begin(), some.end(), to));
}

void MembersToProto(const UniversalSet& set, const Range& range,
                    v1::UniversalSet* proto) {
  if (range.first == range.last) return;
  Append(set.indices, range, proto->mutable_indices());
  Append(set.sensitivities, range, proto->mutable_sensitivities());
  if (!set.upper_bounds.empty()) {
    Append(set.upper_bounds, range, proto->mutable_upper_bounds());
  }
  const Index from = set.indices[range.first];
  const Index to = set.indices[range.last - 1];
  AppendBetween(set.undecided, from, to, proto->mutable_undecided());
  AppendBetween(set.new_direction, from, to, proto->mutable_new_direction());
}

void FactsToProto(const UniversalSet& set, const SetFrame& frame,
                  v1::UniversalSet* proto) {
  proto->set_epsilon(frame.epsilon.value_or(0.0));
  proto->set_effective_epsilon(set.effective_epsilon);
  proto->set_rank(set.rank);
  proto->set_size_bound(set.size_bound);
  proto->set_exact(set.exact);
  proto->set_relative_score_error(set.relative_score_error);
  proto->set_total_sensitivity(set.total_sensitivity);
  proto->set_keys(set.keys);
  proto->set_condition_estimate(set.condition_estimate);
  proto->set_method(set.method);
}

}  // namespace

void ToProto(const UniversalSet& set, const SetFrame& frame,
             v1::UniversalSet* proto) {
  MembersToProto(set, {0, set.indices.size()}, proto);
  FactsToProto(set, frame, proto);
  proto->set_head(frame.head);
}

double WireBytesMax(Index members) {
  return kEntryBytesMax * static_cast<double>(members) + kSetBytesMax;
}

double WireBytesMin(const UniversalSet& set) {
  return kEntryBytesMin * static_cast<double>(set.indices.size());
}

absl::Status WriteInParts(
    const UniversalSet& set, const SetFrame& frame, std::int64_t bytes_max,
    absl::FunctionRef<bool(const v1::UniversalSet&)> write) {
  const auto members_max = static_cast<std::size_t>(std::max<std::int64_t>(
      1, (bytes_max - static_cast<std::int64_t>(kSetBytesMax)) /
             kPartEntryBytesMax));
  v1::UniversalSet part;
  FactsToProto(set, frame, &part);
  Range range;
  do {
    range = {range.last,
             std::min(set.indices.size(), range.last + members_max)};
    MembersToProto(set, range, &part);
    part.set_head(frame.head);
    part.set_more_follows(range.last < set.indices.size());
    if (!write(part)) {
      return absl::CancelledError("the caller no longer reads the stream");
    }
    part.Clear();
  } while (range.last < set.indices.size());
  return absl::OkStatus();
}

}  // namespace steelyard::server
