#include "server/convert/heavy_query.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/convert/heavy_answer.h"
#include "server/convert/response_size.h"
#include "server/convert/score_function.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

QueryRowsRule RuleFor(const HeavyTerms& terms, const std::string& prefix) {
  const bool causal = terms.options().causal;
  return {.prefix = prefix,
          .positions_required = causal,
          .positions_refused = !causal};
}

// Keys of one head that numerators are taken over, at most.
double MembersOfHead(const HeavyTerms& terms) {
  if (!terms.keys().has_value()) {
    return std::max(1.0,
                    terms.members() / static_cast<double>(terms.shape().heads));
  }
  return static_cast<double>(terms.keys()->rows());
}

// Of a set the members are known by its size only: as if their keys were here.
Cost CostOfSet(const HeavyProblem& problem, int workers) {
  const HeavyTerms& terms = problem.terms();
  const KeyShape& shape = terms.shape();
  const double members = MembersOfHead(terms);
  const auto d = static_cast<double>(shape.columns);
  HeavyOptions options = terms.options();
  options.causal = false;
  Cost cost =
      CostOfHeavyScores(shape.heads, static_cast<Index>(std::ceil(members)),
                        shape.columns, problem.rows().queries.heads(),
                        problem.rows().queries.rows(), options, workers);
  cost.flops = 2.0 * problem.rows().count() * d * (d + 2.0 * members);
  return cost;
}

}  // namespace

HeavyOptions HeavyProblem::options() const {
  HeavyOptions options = terms_.options();
  options.positions = rows_.positions;
  return options;
}

absl::Status HeavyTerms::Load(const StopToken& stop) const {
  return keys_.has_value() ? keys_->Load(stop) : absl::OkStatus();
}

absl::StatusOr<HeavyTerms> HeavyTermsFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices) {
  HeavyTerms terms;
  absl::StatusOr<ScoreFunction> function = Power{2.0};
  if (set != nullptr) {
    if (!request.lengths().empty()) {
      return ConflictingFieldsError(
          "lengths", absl::StrCat("has ", request.lengths_size(), " numbers"),
          "lengths are of keys; a set knows its own");
    }
    terms.shape_ = {.heads = set->heads, .columns = set->columns, .rows = {}};
    terms.members_ = set->members;
    function = FunctionOfSet(request.has_function(), request.function(), *set);
  } else {
    absl::StatusOr<TensorInput> keys =
        KeysFromProto(request.has_keys(), request.keys(), limits, matrices);
    if (!keys.ok()) return keys.status();
    const absl::StatusOr<Lengths> lengths =
        LengthsFromProto(request.lengths(), *keys);
    if (!lengths.ok()) return lengths.status();
    terms.lengths_ = *lengths;
    terms.shape_ = {
        .heads = keys->heads(), .columns = keys->cols(), .rows = keys->rows()};
    function = ScoreFunctionFromProto(request.has_function(),
                                      request.function(), keys->cols());
    terms.keys_ = *std::move(keys);
  }
  if (!function.ok()) return function.status();
  terms.options_.function = *std::move(function);

  const absl::StatusOr<double> epsilon = EpsilonFromProto(request.epsilon());
  if (!epsilon.ok()) return epsilon.status();
  terms.options_.epsilon = *epsilon;
  terms.options_.causal = request.causal();
  terms.packed_ = request.packed();

  const absl::StatusOr<std::int64_t> bytes = MaxResponseBytes(
      request.has_max_response_bytes()
          ? std::optional<std::int64_t>(request.max_response_bytes())
          : std::nullopt,
      limits);
  if (!bytes.ok()) return bytes.status();
  terms.max_response_bytes_ = *bytes;
  return terms;
}

absl::StatusOr<HeavyProblem> HeavyProblemFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices) {
  absl::StatusOr<HeavyTerms> terms =
      HeavyTermsFromProto(request, set, limits, matrices);
  if (!terms.ok()) return terms.status();
  absl::StatusOr<QueryRows> rows = QueryRowsFromProto(
      request.has_queries() ? &request.queries() : nullptr, request.positions(),
      terms->shape(), RuleFor(*terms, ""), limits);
  if (!rows.ok()) return rows.status();
  return HeavyProblem(*std::move(terms), *std::move(rows));
}

absl::StatusOr<HeavyTerms> HeavyOpenFromProto(
    const v1::QueryHeavyRequest& request, const SetFacts* set,
    const Limits& limits, const MatrixLookup& matrices) {
  if (request.has_queries() || !request.positions().empty()) {
    return ConflictingFieldsError(
        request.has_queries() ? "queries" : "positions", "is set",
        "in a stream the queries come in blocks, after open");
  }
  return HeavyTermsFromProto(request, set, limits, matrices);
}

absl::StatusOr<HeavyProblem> HeavyBlockFromProto(const v1::QueryBlock& block,
                                                 const HeavyTerms& terms,
                                                 const Limits& limits) {
  absl::StatusOr<QueryRows> rows = QueryRowsFromProto(
      block.has_queries() ? &block.queries() : nullptr, block.positions(),
      terms.shape(), RuleFor(terms, "block."), limits);
  if (!rows.ok()) return rows.status();
  return HeavyProblem(terms, *std::move(rows));
}

Cost CostOf(const HeavyProblem& problem, int workers) {
  const HeavyTerms& terms = problem.terms();
  const TensorInput& queries = problem.rows().queries;
  Cost cost;
  if (terms.keys().has_value()) {
    const KeyShape& shape = terms.shape();
    cost = CostOfHeavyScores(shape.heads, *shape.rows, shape.columns,
                             queries.heads(), queries.rows(), terms.options(),
                             workers);
    cost.bytes += static_cast<double>(terms.keys()->copy_bytes());
  } else {
    cost = CostOfSet(problem, workers);
  }
  cost.bytes += static_cast<double>(queries.copy_bytes()) +
                AnswerMemoryOf(problem, terms.max_response_bytes());
  return cost;
}

double AnswerMemoryOf(const HeavyProblem& problem, std::int64_t max) {
  const HeavyOptions& options = problem.terms().options();
  const double members = MembersOfHead(problem.terms());
  // Scores of a row add up to 1, so at most 1 / epsilon reach epsilon; twice
  // that leaves room for rounding. Proven intervals can be wide.
  const double entries = IsSquare(options.function)
                             ? std::min(members, 2.0 / options.epsilon + 1.0)
                             : members;
  return MemoryOfHeavyAnswer(problem.rows().count(), entries,
                             problem.terms().packed(),
                             static_cast<double>(max));
}

std::string DescriptionOf(const HeavyTerms& terms) {
  return terms.keys().has_value()
             ? absl::StrCat("keys ", terms.keys()->Description())
             : absl::StrCat("set ", terms.shape().heads, "x",
                            terms.shape().columns);
}

std::string DescriptionOf(const HeavyProblem& problem) {
  return absl::StrCat(DescriptionOf(problem.terms()), ", queries ",
                      problem.rows().queries.Description());
}

absl::Status AtProtoPath(const absl::Status& status, const HeavyTerms& terms) {
  if (!terms.keys().has_value()) return status;
  return AtTensor(status, "keys", *terms.keys(), terms.lengths());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const HeavyProblem& problem) {
  return AtQueries(AtProtoPath(status, problem.terms()), problem.rows());
}

}  // namespace steelyard::server
