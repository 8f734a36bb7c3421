#include "server/convert/query_rows.h"

#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/convert/key_heads.h"
#include "server/convert/score_function.h"
#include "server/errors/errors.h"
#include "server/sets/set_name.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

absl::StatusOr<std::optional<std::string>> IdOf(
    bool given, const v1::UniversalSetRef& set) {
  if (!given) return std::optional<std::string>();
  absl::StatusOr<std::string> id = SetIdOf(set.name(), "universal_set.name");
  if (!id.ok()) return id.status();
  return std::optional<std::string>(*std::move(id));
}

absl::Status CheckShape(const TensorInput& queries, const KeyShape& keys,
                        const std::string& field) {
  if (queries.cols() != keys.columns) {
    return WrongShapeError(
        absl::StrCat(field, ".shape[", queries.extents() - 1, "]"),
        absl::StrCat("is ", queries.cols()),
        absl::StrCat("keys have ", keys.columns, " columns"));
  }
  if (queries.heads() % keys.heads != 0) {
    const bool batch = queries.extents() == 3;
    return WrongShapeError(
        batch ? field + ".shape[0]" : field + ".shape",
        batch ? absl::StrCat("is ", queries.heads()) : "is one head",
        absl::StrCat("keys have ", keys.heads,
                     " heads, and the heads of queries must be a multiple"));
  }
  return absl::OkStatus();
}

absl::Status CheckPositions(const PositionList& positions,
                            const TensorInput& queries, const KeyShape& keys,
                            const QueryRowsRule& rule) {
  const std::string field = rule.prefix + "positions";
  if (positions.empty()) {
    if (!rule.positions_required) return absl::OkStatus();
    return FieldRequiredError(
        field, absl::StrCat("causal queries need one position a query of a "
                            "head, ",
                            queries.rows(), " of them"));
  }
  if (rule.positions_refused) {
    return ConflictingFieldsError(
        field, absl::StrCat("has ", positions.size(), " numbers"),
        "positions are of causal queries only; set causal, or leave them out");
  }
  if (positions.size() != queries.rows()) {
    return WrongShapeError(field,
                           absl::StrCat("has ", positions.size(), " numbers"),
                           absl::StrCat(rule.prefix, "queries have ",
                                        queries.rows(), " rows a head"));
  }
  for (int i = 0; i < positions.size(); ++i) {
    const bool beyond = keys.rows.has_value() && positions[i] >= *keys.rows;
    if (positions[i] < 0 || beyond) {
      return OutOfRangeError(
          absl::StrCat(field, "[", i, "]"), absl::StrCat(positions[i]),
          keys.rows.has_value()
              ? absl::StrCat("it must be in [0, ", *keys.rows - 1, "]")
              : "it must be >= 0");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<std::string>> SetIdFromProto(
    const v1::QueryHeavyRequest& request) {
  return IdOf(request.has_universal_set(), request.universal_set());
}

absl::StatusOr<std::optional<std::string>> SetIdFromProto(
    const v1::AttendRequest& request) {
  return IdOf(request.has_universal_set(), request.universal_set());
}

absl::StatusOr<QueryRows> QueryRowsFromProto(const v1::Tensor* queries,
                                             const PositionList& positions,
                                             const KeyShape& keys,
                                             const QueryRowsRule& rule,
                                             const Limits& limits) {
  const std::string field = rule.prefix + "queries";
  if (queries == nullptr) {
    return FieldRequiredError(field, "it holds the queries");
  }
  absl::StatusOr<TensorInput> tensor = TensorFromProto(
      *queries, field, {.cols_max = limits.columns_max}, limits);
  if (!tensor.ok()) return tensor.status();
  if (const absl::Status fits = CheckShape(*tensor, keys, field); !fits.ok()) {
    return fits;
  }
  if (const absl::Status fits = CheckPositions(positions, *tensor, keys, rule);
      !fits.ok()) {
    return fits;
  }
  return QueryRows{*std::move(tensor),
                   std::vector<Index>(positions.begin(), positions.end()),
                   rule.prefix + "positions"};
}

absl::Status AtQueries(const absl::Status& status, const QueryRows& rows) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (detail.has_value() && absl::StartsWith(detail->field, "positions")) {
    const std::string prefix = rows.positions_path.substr(
        0, rows.positions_path.size() - std::string("positions").size());
    return prefix.empty()
               ? status
               : InMessage(status, prefix.substr(0, prefix.size() - 1));
  }
  return AtTensor(status, "queries", rows.queries);
}

absl::Status InMessage(const absl::Status& status, const std::string& message) {
  std::optional<ErrorDetail> detail = DetailOf(status);
  if (!detail.has_value() || detail->field.empty()) return status;
  std::string text(status.message());
  if (absl::StartsWith(text, detail->field)) {
    text = absl::StrCat(message, ".", text);
  }
  detail->field = absl::StrCat(message, ".", detail->field);
  absl::Status moved = ErrorWithDetail(status.code(), text, *detail);
  // What else stands in it: when to try again, of what there is too little.
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (!moved.GetPayload(url).has_value()) moved.SetPayload(url, value);
  });
  return moved;
}

absl::StatusOr<ScoreFunction> FunctionOfSet(bool given,
                                            const v1::ScoreFunction& function,
                                            const SetFacts& set) {
  if (!given) return set.function;
  absl::StatusOr<ScoreFunction> asked =
      ScoreFunctionFromProto(given, function, set.columns);
  if (!asked.ok()) return asked;
  const auto* const softmax = std::get_if<Softmax>(&*asked);
  if (softmax != nullptr && softmax->mode == SoftmaxMode::kCertified) {
    return ConflictingFieldsError(
        "function.softmax.mode", "is SOFTMAX_MODE_CERTIFIED",
        "certified scores need the keys themselves, and a set holds a part of "
        "them: send keys instead of universal_set");
  }
  if (!GiveTheSameScores(*asked, set.function)) {
    return ConflictingFieldsError(
        "function", absl::StrCat("is ", DescriptionOf(*asked)),
        absl::StrCat("the set is of ", DescriptionOf(set.function),
                     "; leave function out, or find a set of this one"));
  }
  return set.function;
}

}  // namespace steelyard::server
