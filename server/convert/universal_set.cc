#include "server/convert/universal_set.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/convert/key_heads.h"
#include "server/convert/response_size.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr char kFewerKeys[] =
    "Raise max_response_bytes, or ask for fewer keys: a larger epsilon or a "
    "smaller top_m.";
// Bytes on the wire of one index and its number, at most: int64 as varint and
// a double. At least: 1 and 8.
constexpr double kEntryBytesMax = 10.0 + 8.0;
constexpr double kEntryBytesMin = 1.0 + 8.0;
// Of the other fields of one set, at most.
constexpr double kSetBytesMax = 256.0;
// sizeof a message in memory over its size on the wire. A set is its lists,
// 16 bytes an entry.
constexpr double kSetMemoryPerWire = 2.0;

absl::Status CheckFunction(bool given, const v1::ScoreFunction& function) {
  if (!given) return absl::OkStatus();  // |x|^2
  if (function.function_case() != v1::ScoreFunction::kPower) {
    // Also a function of a later version, which must not pass as |x|^2.
    return FieldRequiredError("function.power",
                              "this version computes |x|^2 only");
  }
  if (function.power().p() != 2.0) {
    return OutOfRangeError("function.power.p",
                           absl::StrCat(function.power().p()),
                           "this version computes p = 2");
  }
  return absl::OkStatus();
}

double WireBytesMin(const std::vector<UniversalSet>& sets) {
  double bytes = 0.0;
  for (const UniversalSet& set : sets) {
    bytes += kEntryBytesMin * static_cast<double>(set.indices.size());
  }
  return bytes;
}

void SetToProto(const UniversalSet& set, v1::UniversalSet* proto) {
  proto->mutable_indices()->Add(set.indices.begin(), set.indices.end());
  proto->mutable_sensitivities()->Add(set.sensitivities.begin(),
                                      set.sensitivities.end());
  proto->set_effective_epsilon(set.effective_epsilon);
  proto->set_rank(set.rank);
  proto->set_size_bound(set.size_bound);
  proto->set_exact(set.exact);
  proto->set_relative_score_error(set.relative_score_error);
  proto->set_total_sensitivity(set.total_sensitivity);
  proto->set_keys(set.keys);
  proto->set_condition_estimate(set.condition_estimate);
  proto->set_method(set.method);
  proto->mutable_undecided()->Add(set.undecided.begin(), set.undecided.end());
  proto->mutable_new_direction()->Add(set.new_direction.begin(),
                                      set.new_direction.end());
}

}  // namespace

absl::StatusOr<UniversalSetProblem> UniversalSetProblemFromProto(
    const v1::FindUniversalSetRequest& request, const Limits& limits) {
  absl::StatusOr<TensorInput> keys =
      KeysFromProto(request.has_keys(), request.keys(), limits);
  if (!keys.ok()) return keys.status();
  UniversalSetProblem problem(*std::move(keys));

  const absl::StatusOr<Threshold> threshold = RequiredThreshold(
      request.epsilon(), request.has_top_m()
                             ? std::optional<std::int64_t>(request.top_m())
                             : std::nullopt);
  if (!threshold.ok()) return threshold.status();
  problem.options_.epsilon = threshold->epsilon;
  problem.options_.top_m = threshold->top_m;

  if (const absl::Status function =
          CheckFunction(request.has_function(), request.function());
      !function.ok()) {
    return function;
  }
  const absl::StatusOr<std::int64_t> bytes = MaxResponseBytes(
      request.has_max_response_bytes()
          ? std::optional<std::int64_t>(request.max_response_bytes())
          : std::nullopt,
      limits);
  if (!bytes.ok()) return bytes.status();
  problem.max_response_bytes_ = *bytes;
  return problem;
}

Cost CostOf(const UniversalSetProblem& problem, int workers) {
  const TensorInput& keys = problem.keys();
  Cost cost =
      CostOfUniversalSet(keys.heads(), keys.rows(), keys.cols(), workers);
  cost.bytes += static_cast<double>(keys.copy_bytes());
  const Index members =
      std::min(keys.rows(), problem.options().top_m.value_or(keys.rows()));
  cost.bytes += AnswerMemory(
      static_cast<double>(keys.heads()) *
          (kEntryBytesMax * static_cast<double>(members) + kSetBytesMax),
      kSetMemoryPerWire, problem.max_response_bytes());
  return cost;
}

std::string DescriptionOf(const UniversalSetProblem& problem) {
  return absl::StrCat("keys ", problem.keys().Description());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const UniversalSetProblem& problem) {
  return AtTensor(status, "keys", problem.keys());
}

absl::Status ToProto(const std::vector<UniversalSet>& sets,
                     const UniversalSetProblem& problem, const Timing& timing,
                     v1::FindUniversalSetResponse* response) {
  const std::int64_t max = problem.max_response_bytes();
  if (const absl::Status fits = CheckFits(WireBytesMin(sets), max, kFewerKeys);
      !fits.ok()) {
    return fits;
  }
  std::int64_t head = 0;
  for (const UniversalSet& set : sets) {
    v1::UniversalSet* const proto = response->add_sets();
    SetToProto(set, proto);
    proto->set_epsilon(problem.options().epsilon.value_or(0.0));
    proto->set_head(head++);
  }
  ToProto(timing.queue, response->mutable_queue_time());
  ToProto(timing.compute, response->mutable_compute_time());
  return CheckMessage(max, kFewerKeys, response);
}

}  // namespace steelyard::server
