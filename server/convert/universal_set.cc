#include "server/convert/universal_set.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/convert/key_heads.h"
#include "server/convert/response_size.h"
#include "server/convert/score_function.h"
#include "server/convert/set_message.h"
#include "server/convert/set_resource.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"
#include "steelyard/queryable_set.h"

namespace steelyard::server {
namespace {

constexpr char kFewerKeys[] =
    "Raise max_response_bytes, ask for fewer keys (a larger epsilon or a "
    "smaller top_m), or call StreamFindUniversalSet.";
// sizeof a message in memory over its size on the wire. A set is its lists,
// 17 bytes an entry.
constexpr double kSetMemoryPerWire = 2.0;
// A set's frame in an event: tags and lengths.
constexpr std::int64_t kEventBytesMax = 32;

absl::StatusOr<ScoreFunction> SetFunctionFromProto(
    const v1::FindUniversalSetRequest& request, Index columns) {
  absl::StatusOr<ScoreFunction> function = ScoreFunctionFromProto(
      request.has_function(), request.function(), columns);
  if (!function.ok()) return function;
  const auto* const softmax = std::get_if<Softmax>(&*function);
  if (softmax != nullptr && softmax->mode == SoftmaxMode::kCertified) {
    return OutOfRangeError(
        "function.softmax.mode", "SOFTMAX_MODE_CERTIFIED",
        "no set of keys of a size independent of n holds every large score; "
        "QueryHeavy certifies its scores with the keys at hand");
  }
  return function;
}

bool PositiveAndFinite(double value) {
  return value > 0.0 && std::isfinite(value);
}

absl::StatusOr<RidgeVariant> RidgeFromProto(
    const v1::RidgeVariant& ridge, const UniversalSetOptions& options) {
  if (!PositiveAndFinite(ridge.lambda())) {
    return OutOfRangeError("ridge.lambda", absl::StrCat(ridge.lambda()),
                           "it must be positive and finite");
  }
  if (!PositiveAndFinite(ridge.ratio())) {
    return OutOfRangeError("ridge.ratio", absl::StrCat(ridge.ratio()),
                           "it must be positive and finite");
  }
  if (!IsSquare(options.function)) {
    return ConflictingFieldsError("ridge", "is set", "function is not |x|^2");
  }
  if (options.causal) {
    return ConflictingFieldsError("ridge", "is set", "causal is set, too");
  }
  return RidgeVariant{.lambda = ridge.lambda(), .ratio = ridge.ratio()};
}

absl::StatusOr<Selection> SelectionFromProto(
    v1::Selection selection, const UniversalSetOptions& options) {
  Selection chosen = Selection::kAutomatic;
  switch (selection) {
    case v1::SELECTION_UNSPECIFIED:
      return chosen;
    case v1::SELECTION_DIRECT:
      chosen = Selection::kDirect;
      break;
    case v1::SELECTION_FAST:
      chosen = Selection::kFast;
      break;
    case v1::SELECTION_JOHNSON_LINDENSTRAUSS:
      chosen = Selection::kJohnsonLindenstrauss;
      break;
    default:
      return UnknownEnumError("selection", static_cast<int>(selection),
                              "Selection");
  }
  const std::string given = absl::StrCat("is ", v1::Selection_Name(selection));
  if (!IsSquare(options.function)) {
    return ConflictingFieldsError("selection", given, "function is not |x|^2");
  }
  if (options.causal && chosen != Selection::kDirect) {
    return ConflictingFieldsError("selection", given,
                                  "causal sets are found directly");
  }
  if (options.ridge.has_value() && chosen != Selection::kDirect) {
    return ConflictingFieldsError("selection", given,
                                  "sets with a ridge are found directly");
  }
  return chosen;
}

// A set that is kept answers every query, with certainty.
absl::StatusOr<std::optional<SetRequest>> KeptFromProto(
    const v1::FindUniversalSetRequest& request,
    const UniversalSetOptions& options) {
  std::optional<SetRequest> kept;
  if (request.set_id().empty()) {
    if (request.has_ttl()) {
      return ConflictingFieldsError("ttl", "is set",
                                    "without set_id nothing is kept");
    }
    return kept;
  }
  absl::StatusOr<SetRequest> wanted = SetRequestFromProto(
      request.set_id(), request.has_ttl(), request.ttl(), "");
  if (!wanted.ok()) return wanted.status();
  if (options.ridge.has_value()) {
    return ConflictingFieldsError("set_id", "is set",
                                  "a set with a ridge is for a part of the "
                                  "queries and cannot be kept");
  }
  if (options.selection == Selection::kJohnsonLindenstrauss) {
    return ConflictingFieldsError("set_id", "is set",
                                  "a set of random projections may lack keys "
                                  "and cannot be kept");
  }
  kept = *std::move(wanted);
  return kept;
}

absl::StatusOr<UniversalSetOptions> OptionsFromProto(
    const v1::FindUniversalSetRequest& request, Index columns) {
  const absl::StatusOr<Threshold> threshold = RequiredThreshold(
      request.epsilon(), request.has_top_m()
                             ? std::optional<std::int64_t>(request.top_m())
                             : std::nullopt);
  if (!threshold.ok()) return threshold.status();
  absl::StatusOr<ScoreFunction> function =
      SetFunctionFromProto(request, columns);
  if (!function.ok()) return function.status();
  UniversalSetOptions options{.epsilon = threshold->epsilon,
                              .top_m = threshold->top_m,
                              .function = *std::move(function),
                              .causal = request.causal(),
                              .seed = request.seed()};
  if (options.causal && std::holds_alternative<Softmax>(options.function)) {
    return ConflictingFieldsError("causal", "is set",
                                  "the softmax heuristic centres all keys");
  }
  if (request.has_ridge()) {
    absl::StatusOr<RidgeVariant> ridge =
        RidgeFromProto(request.ridge(), options);
    if (!ridge.ok()) return ridge.status();
    options.ridge = *ridge;
  }
  absl::StatusOr<Selection> selection =
      SelectionFromProto(request.selection(), options);
  if (!selection.ok()) return selection.status();
  options.selection = *selection;
  return options;
}

}  // namespace

absl::StatusOr<UniversalSetProblem> UniversalSetProblemFromProto(
    const v1::FindUniversalSetRequest& request, const Limits& limits,
    const MatrixLookup& matrices) {
  absl::StatusOr<TensorInput> keys =
      KeysFromProto(request.has_keys(), request.keys(), limits, matrices);
  if (!keys.ok()) return keys.status();
  UniversalSetProblem problem(*std::move(keys));

  absl::StatusOr<UniversalSetOptions> options =
      OptionsFromProto(request, problem.keys_.cols());
  if (!options.ok()) return options.status();
  problem.options_ = *std::move(options);
  absl::StatusOr<Lengths> lengths =
      LengthsFromProto(request.lengths(), problem.keys_);
  if (!lengths.ok()) return lengths.status();
  problem.lengths_ = *std::move(lengths);
  absl::StatusOr<std::optional<SetRequest>> kept =
      KeptFromProto(request, problem.options_);
  if (!kept.ok()) return kept.status();
  problem.kept_ = *std::move(kept);
  if (problem.kept_.has_value()) {
    problem.kept_->bytes =
        static_cast<double>(problem.keys_.heads()) *
        BytesOfQueryableSet(problem.keys_.rows(), problem.keys_.cols(),
                            problem.options_);
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

SetDescription SetDescriptionOf(const UniversalSetProblem& problem) {
  return {.heads = problem.keys().heads(),
          .columns = problem.keys().cols(),
          .epsilon = problem.options().epsilon,
          .top_m = problem.options().top_m,
          .function = problem.options().function,
          .causal = problem.options().causal};
}

std::vector<Index> KeyCounts(const UniversalSetProblem& problem) {
  if (!problem.lengths().empty()) return problem.lengths();
  return std::vector<Index>(static_cast<std::size_t>(problem.keys().heads()),
                            problem.keys().rows());
}

Cost CostOf(const UniversalSetProblem& problem, int workers) {
  const TensorInput& keys = problem.keys();
  Cost cost = CostOfUniversalSet(keys.heads(), keys.rows(), keys.cols(),
                                 problem.options(), workers);
  cost.bytes += static_cast<double>(keys.copy_bytes());
  const Index members =
      std::min(keys.rows(), problem.options().top_m.value_or(keys.rows()));
  cost.bytes +=
      AnswerMemory(static_cast<double>(keys.heads()) * WireBytesMax(members),
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
  double bytes = 0.0;
  for (const UniversalSet& set : sets) bytes += WireBytesMin(set);
  if (const absl::Status fits = CheckFits(bytes, max, kFewerKeys); !fits.ok()) {
    return fits;
  }
  SetFrame frame{.head = 0, .epsilon = problem.options().epsilon};
  for (const UniversalSet& set : sets) {
    ToProto(set, frame, response->add_sets());
    ++frame.head;
  }
  ToProto(timing.queue, response->mutable_queue_time());
  ToProto(timing.compute, response->mutable_compute_time());
  return CheckMessage(max, kFewerKeys, response);
}

absl::Status WriteSets(
    const std::vector<UniversalSet>& sets, const UniversalSetProblem& problem,
    const Limits& limits,
    absl::FunctionRef<bool(const v1::FindUniversalSetEvent&)> write) {
  SetFrame frame{.head = 0, .epsilon = problem.options().epsilon};
  v1::FindUniversalSetEvent event;
  for (const UniversalSet& set : sets) {
    const absl::Status written =
        WriteInParts(set, frame, limits.chunk_bytes_max - kEventBytesMax,
                     [&](const v1::UniversalSet& part) {
                       *event.mutable_set() = part;
                       return write(event);
                     });
    if (!written.ok()) return written;
    ++frame.head;
  }
  return absl::OkStatus();
}

}  // namespace steelyard::server
