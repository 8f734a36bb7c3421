#include "server/convert/heavy_query.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/convert/key_heads.h"
#include "server/convert/response_size.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr char kFewerRows[] =
    "Raise max_response_bytes, or ask for less: a larger epsilon or fewer "
    "queries a call.";

// Bytes on the wire of one index and its number, at most: int64 as varint and
// a double. At least: 1 and 8.
constexpr double kEntryBytesMax = 10.0 + 8.0;
constexpr double kEntryBytesMin = 1.0 + 8.0;
// Of the other fields of one row, at most.
constexpr double kRowBytesMax = 40.0;
// Of a row without scores: tag, length, `undefined`.
constexpr double kRowBytesMin = 4.0;
// sizeof a message in memory over its size on the wire. A row is an object with
// two lists of its own.
constexpr double kRowMemoryPerWire = 8.0;

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

absl::StatusOr<TensorInput> QueriesFromProto(
    const v1::QueryHeavyRequest& request, const TensorInput& keys,
    const Limits& limits) {
  if (!request.has_queries()) {
    return FieldRequiredError("queries", "it holds the queries");
  }
  absl::StatusOr<TensorInput> queries = TensorFromProto(
      request.queries(), "queries", {.cols_max = limits.columns_max}, limits);
  if (!queries.ok()) return queries;
  if (queries->cols() != keys.cols()) {
    return WrongShapeError(
        absl::StrCat("queries.shape[", queries->extents() - 1, "]"),
        absl::StrCat("is ", queries->cols()),
        absl::StrCat("keys have ", keys.cols(), " columns"));
  }
  if (queries->heads() % keys.heads() != 0) {
    const bool batch = queries->extents() == 3;
    return WrongShapeError(
        batch ? "queries.shape[0]" : "queries.shape",
        batch ? absl::StrCat("is ", queries->heads()) : "is one head",
        absl::StrCat("keys have ", keys.heads(),
                     " heads, and the heads of queries must be a multiple"));
  }
  return queries;
}

double WireBytesMin(const std::vector<HeavyRow>& rows) {
  double bytes = kRowBytesMin * static_cast<double>(rows.size());
  for (const HeavyRow& row : rows) {
    bytes += kEntryBytesMin * static_cast<double>(row.indices.size());
  }
  return bytes;
}

void RowToProto(const HeavyRow& row, v1::HeavyRow* proto) {
  proto->mutable_indices()->Add(row.indices.begin(), row.indices.end());
  proto->mutable_scores()->Add(row.scores.begin(), row.scores.end());
  proto->set_normalizer(row.normalizer);
  proto->set_captured_mass(row.captured_mass);
  proto->set_undefined(row.undefined);
  proto->set_normalizer_exponent(row.normalizer_exponent);
}

}  // namespace

absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
    const v1::QueryHeavyRequest& request, const Limits& limits) {
  absl::StatusOr<TensorInput> keys =
      KeysFromProto(request.has_keys(), request.keys(), limits);
  if (!keys.ok()) return keys.status();
  absl::StatusOr<TensorInput> queries =
      QueriesFromProto(request, *keys, limits);
  if (!queries.ok()) return queries.status();
  HeavyProblem problem(*std::move(keys), *std::move(queries));

  const absl::StatusOr<double> epsilon = EpsilonFromProto(request.epsilon());
  if (!epsilon.ok()) return epsilon.status();
  problem.options_.epsilon = *epsilon;

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

Cost CostOf(const HeavyProblem& problem, int workers) {
  const TensorInput& keys = problem.keys();
  const TensorInput& queries = problem.queries();
  const double epsilon = problem.options().epsilon;
  Cost cost =
      CostOfHeavyScores(keys.heads(), keys.rows(), keys.cols(), queries.heads(),
                        queries.rows(), epsilon, workers);
  cost.bytes += static_cast<double>(keys.copy_bytes() + queries.copy_bytes());
  // Scores of a row add up to 1, so at most 1 / epsilon reach epsilon; twice
  // that leaves room for those whose error interval does.
  const double entries =
      std::min(static_cast<double>(keys.rows()), 2.0 / epsilon + 1.0);
  const double rows = static_cast<double>(queries.heads()) *
                      static_cast<double>(queries.rows());
  cost.bytes += AnswerMemory(rows * (kEntryBytesMax * entries + kRowBytesMax),
                             kRowMemoryPerWire, problem.max_response_bytes());
  return cost;
}

std::string DescriptionOf(const HeavyProblem& problem) {
  return absl::StrCat("keys ", problem.keys().Description(), ", queries ",
                      problem.queries().Description());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const HeavyProblem& problem) {
  return AtTensor(AtTensor(status, "keys", problem.keys()), "queries",
                  problem.queries());
}

absl::Status CheckResponseSize(const HeavyProblem& problem) {
  const double rows = static_cast<double>(problem.queries().heads()) *
                      static_cast<double>(problem.queries().rows());
  return CheckFits(kRowBytesMin * rows, problem.max_response_bytes(),
                   kFewerRows);
}

absl::Status ToProto(const std::vector<HeavyRow>& rows,
                     const HeavyProblem& problem, const Timing& timing,
                     v1::QueryHeavyResponse* response) {
  const std::int64_t max = problem.max_response_bytes();
  if (const absl::Status fits = CheckFits(WireBytesMin(rows), max, kFewerRows);
      !fits.ok()) {
    return fits;
  }
  response->mutable_rows()->Reserve(static_cast<int>(rows.size()));
  for (const HeavyRow& row : rows) RowToProto(row, response->add_rows());
  ToProto(timing.queue, response->mutable_queue_time());
  ToProto(timing.compute, response->mutable_compute_time());
  return CheckMessage(max, kFewerRows, response);
}

}  // namespace steelyard::server
