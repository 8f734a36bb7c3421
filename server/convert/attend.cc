#include "server/convert/attend.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/convert/attend_answer.h"
#include "server/convert/local_keys.h"
#include "server/convert/response_size.h"
#include "server/convert/score_function.h"
#include "server/convert/threshold.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

bool IsLocal(const AttendOptions& options) {
  return options.window.has_value() || options.grid.has_value();
}

// Keys of the head with the fewest.
Index FewestRows(const AttendTerms& terms) {
  return terms.lengths().empty() ? terms.values().rows()
                                 : *std::min_element(terms.lengths().begin(),
                                                     terms.lengths().end());
}

absl::StatusOr<TensorInput> ValuesFromProto(const v1::AttendRequest& request,
                                            const Limits& limits,
                                            const MatrixLookup& matrices) {
  if (!request.has_values()) {
    return FieldRequiredError("values", "it holds the values");
  }
  return TensorFromProto(request.values(), "values",
                         {.cols_max = limits.columns_max}, limits, matrices);
}

// `extent` 0: heads; 1: rows.
absl::Status Differs(const TensorInput& tensor, int extent,
                     const std::string& rule) {
  if (extent == 0 && tensor.extents() == 2) {
    return WrongShapeError(tensor.PathOfShape(), "is one head", rule);
  }
  const int at = tensor.extents() - 2 + (extent == 0 ? -1 : 0);
  const Index given = extent == 0 ? tensor.heads() : tensor.rows();
  return WrongShapeError(
      tensor.PathOfExtent(at),
      tensor.stored() == nullptr
          ? absl::StrCat("is ", given)
          : absl::StrCat("has ", given, extent == 0 ? " heads" : " rows"),
      rule);
}

absl::StatusOr<StorageType> OutputType(v1::DType dtype, StorageType values) {
  switch (dtype) {
    case v1::DTYPE_UNSPECIFIED:
      return values;
    case v1::DTYPE_FLOAT64:
      return StorageType::kFloat64;
    case v1::DTYPE_FLOAT32:
      return StorageType::kFloat32;
    case v1::DTYPE_FLOAT16:
      return StorageType::kFloat16;
    case v1::DTYPE_BFLOAT16:
      return StorageType::kBFloat16;
    case v1::DTYPE_INT64:
      return WrongDtypeError("output_dtype", "is DTYPE_INT64",
                             "outputs are FLOAT64, FLOAT32, FLOAT16 or "
                             "BFLOAT16");
    default:
      return UnknownEnumError("output_dtype", dtype, "DType");
  }
}

absl::StatusOr<AttendNormalization> NormalizationFromProto(
    v1::Normalization normalization) {
  switch (normalization) {
    case v1::NORMALIZATION_UNSPECIFIED:
    case v1::NORMALIZATION_ATTENDED:
      return AttendNormalization::kAttended;
    case v1::NORMALIZATION_ALL:
      return AttendNormalization::kAllKeys;
    default:
      return UnknownEnumError("normalization", normalization, "Normalization");
  }
}

// Where no position is given query i is at n - m + i, which must be one.
absl::Status CheckDefaultPositions(const AttendTerms& terms,
                                   const QueryRows& rows) {
  const bool placed = terms.options().causal || IsLocal(terms.options());
  const Index n = FewestRows(terms);
  if (!placed || !rows.positions.empty() || rows.queries.rows() <= n) {
    return absl::OkStatus();
  }
  return FieldRequiredError(
      rows.positions_path,
      absl::StrCat("there are ", rows.queries.rows(), " queries a head and ", n,
                   " keys, so the queries are not the last of the keys"));
}

absl::StatusOr<QueryRows> RowsFromProto(const v1::Tensor* queries,
                                        const PositionList& positions,
                                        const AttendTerms& terms,
                                        const std::string& prefix,
                                        const Limits& limits) {
  absl::StatusOr<QueryRows> rows = QueryRowsFromProto(
      queries, positions, terms.shape(), {.prefix = prefix}, limits);
  if (!rows.ok()) return rows;
  if (absl::Status placed = CheckDefaultPositions(terms, *rows); !placed.ok()) {
    return placed;
  }
  return rows;
}

double OutputBytes(const AttendProblem& problem, double max) {
  return MemoryOfAttendAnswer(problem.rows().count(), problem.terms(), max);
}

// Of the set's part of the work, which core counts where it finds the set.
double FlopsOfMembers(const AttendProblem& problem) {
  const AttendTerms& terms = problem.terms();
  const double members =
      terms.members() / static_cast<double>(terms.shape().heads);
  return 2.0 * problem.rows().count() * members *
         static_cast<double>(terms.shape().columns + terms.values().cols());
}

// Gathered keys and values of a set's members, and their indices.
double BytesOfMembers(const AttendTerms& terms) {
  return 8.0 * terms.members() *
         static_cast<double>(terms.shape().columns + terms.values().cols() + 3);
}

double CopyBytes(const AttendTerms& terms) {
  double bytes = static_cast<double>(terms.values().copy_bytes());
  if (terms.keys().has_value()) {
    bytes += static_cast<double>(terms.keys()->copy_bytes());
  }
  return bytes;
}

Cost CostOfCore(const AttendProblem& problem, int workers) {
  const AttendTerms& terms = problem.terms();
  const TensorInput& queries = problem.rows().queries;
  Cost cost =
      CostOfAttend(terms.shape().heads, terms.values().rows(),
                   terms.shape().columns, terms.values().cols(),
                   queries.heads(), queries.rows(), terms.options(), workers);
  cost.flops += FlopsOfMembers(problem);
  cost.bytes +=
      static_cast<double>(queries.copy_bytes()) + BytesOfMembers(terms);
  return cost;
}

}  // namespace

// Reads the fields of a request in the order in which they need each other.
class AttendTermsReader {
 public:
  AttendTermsReader(const v1::AttendRequest& request, const SetFacts* set,
                    const Limits& limits, const MatrixLookup& matrices)
      : request_(request), set_(set), limits_(limits), matrices_(matrices) {}

  absl::StatusOr<AttendTerms> Read() {
    absl::StatusOr<TensorInput> values =
        ValuesFromProto(request_, limits_, matrices_);
    if (!values.ok()) return values.status();
    AttendTerms terms(*std::move(values));
    for (const auto read :
         {&AttendTermsReader::ReadKeys, &AttendTermsReader::CheckShapes,
          &AttendTermsReader::ReadLengths, &AttendTermsReader::ReadFunction,
          &AttendTermsReader::ReadThreshold, &AttendTermsReader::ReadPlaces,
          &AttendTermsReader::ReadOutput, &AttendTermsReader::CheckSources}) {
      const absl::Status status = (this->*read)(&terms);
      if (!status.ok()) return status;
    }
    return terms;
  }

 private:
  absl::Status ReadKeys(AttendTerms* terms) const {
    if (!request_.has_keys()) {
      if (set_ != nullptr) return absl::OkStatus();
      return FieldRequiredError(
          "keys", "they are needed unless universal_set alone is attended");
    }
    absl::StatusOr<TensorInput> keys =
        KeysFromProto(true, request_.keys(), limits_, matrices_);
    if (!keys.ok()) return keys.status();
    terms->keys_ = *std::move(keys);
    return absl::OkStatus();
  }

  absl::Status CheckShapes(AttendTerms* terms) const {
    const TensorInput& values = terms->values_;
    if (set_ != nullptr) {
      terms->with_set_ = true;
      terms->members_ = set_->members;
      terms->shape_ = {.heads = set_->heads, .columns = set_->columns};
      const std::string rule =
          absl::StrCat("the set has ", set_->heads, " heads");
      if (values.heads() != set_->heads) {
        return Differs(values, 0, rule);
      }
    }
    terms->shape_.rows = values.rows();
    if (!terms->keys_.has_value()) return absl::OkStatus();
    const TensorInput& keys = *terms->keys_;
    if (set_ != nullptr && keys.cols() != set_->columns) {
      return WrongShapeError(
          keys.PathOfExtent(keys.extents() - 1),
          keys.stored() == nullptr
              ? absl::StrCat("is ", keys.cols())
              : absl::StrCat("has ", keys.cols(), " columns"),
          absl::StrCat("the set has keys of ", set_->columns, " columns"));
    }
    terms->shape_.heads = keys.heads();
    terms->shape_.columns = keys.cols();
    if (values.heads() != keys.heads()) {
      return Differs(values, 0,
                     absl::StrCat("keys have ", keys.heads(), " heads"));
    }
    if (values.rows() != keys.rows()) {
      return Differs(values, 1,
                     absl::StrCat("keys have ", keys.rows(), " rows"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadLengths(AttendTerms* terms) const {
    const absl::StatusOr<Lengths> lengths =
        LengthsFromProto(request_.lengths(), terms->values_);
    if (!lengths.ok()) return lengths.status();
    terms->lengths_ = *lengths;
    return absl::OkStatus();
  }

  absl::Status ReadFunction(AttendTerms* terms) const {
    const absl::StatusOr<ScoreFunction> function =
        set_ != nullptr
            ? FunctionOfSet(request_.has_function(), request_.function(), *set_)
            : ScoreFunctionFromProto(request_.has_function(),
                                     request_.function(),
                                     terms->shape_.columns);
    if (!function.ok()) return function.status();
    terms->options_.function = *function;
    const auto normalization = NormalizationFromProto(request_.normalization());
    if (!normalization.ok()) return normalization.status();
    terms->options_.normalization = *normalization;
    return absl::OkStatus();
  }

  absl::Status ReadThreshold(AttendTerms* terms) const {
    const absl::StatusOr<Threshold> threshold = ThresholdFromProto(
        request_.epsilon(), request_.has_top_m()
                                ? std::optional<std::int64_t>(request_.top_m())
                                : std::nullopt);
    if (!threshold.ok()) return threshold.status();
    terms->options_.epsilon = threshold->epsilon;
    terms->options_.top_m = threshold->top_m;
    const auto* const softmax = std::get_if<Softmax>(&terms->options_.function);
    for (const auto& [given, field] :
         {std::pair(threshold->epsilon.has_value(), "epsilon"),
          std::pair(threshold->top_m.has_value(), "top_m")}) {
      if (!given) continue;
      if (softmax != nullptr && softmax->mode == SoftmaxMode::kCertified) {
        return ConflictingFieldsError(
            "function.softmax.mode", "is SOFTMAX_MODE_CERTIFIED",
            absl::StrCat(field,
                         " asks for a set, and none of softmax holds "
                         "every large score: take SOFTMAX_MODE_HEURISTIC, or "
                         "QueryHeavy for every large score"));
      }
      if (set_ == nullptr) continue;
      return ConflictingFieldsError(
          field, "is set beside universal_set",
          "they say which set is to be found; one that is there has its own");
    }
    return absl::OkStatus();
  }

  absl::Status ReadPlaces(AttendTerms* terms) const {
    if (request_.sinks() < 0) {
      return OutOfRangeError("sinks", absl::StrCat(request_.sinks()),
                             "it must be >= 0");
    }
    const Index n = terms->values_.rows();
    terms->options_.sinks = std::min(request_.sinks(), n);
    terms->options_.causal = request_.causal();
    if (request_.causal() && set_ != nullptr && !set_->causal) {
      return ConflictingFieldsError(
          "causal", "is set",
          "the set is of queries that see every key; keys that are large among "
          "the first ones only are not in it. Find the set with causal");
    }
    return LocalKeysFromProto(request_, FewestRows(*terms), n,
                              &terms->options_);
  }

  absl::Status ReadOutput(AttendTerms* terms) const {
    const auto type =
        OutputType(request_.output_dtype(), terms->values_.type());
    if (!type.ok()) return type.status();
    terms->output_type_ = *type;
    const absl::StatusOr<std::int64_t> bytes = MaxResponseBytes(
        request_.has_max_response_bytes()
            ? std::optional<std::int64_t>(request_.max_response_bytes())
            : std::nullopt,
        limits_);
    if (!bytes.ok()) return bytes.status();
    terms->max_response_bytes_ = *bytes;
    return absl::OkStatus();
  }

  // Something is attended, and the keys are there where they are needed.
  absl::Status CheckSources(AttendTerms* terms) const {
    const AttendOptions& options = terms->options_;
    const bool beyond_set = request_.sinks() > 0 || IsLocal(options);
    if (set_ == nullptr && !options.epsilon.has_value() &&
        !options.top_m.has_value() && !beyond_set) {
      return FieldRequiredError(
          "epsilon",
          "without universal_set, epsilon, top_m, sinks, window and grid no "
          "key is attended");
    }
    if (terms->keys_.has_value()) return absl::OkStatus();
    if (beyond_set) {
      return FieldRequiredError(
          "keys",
          "sinks and local keys are attended beside universal_set, and "
          "the set holds its own keys only");
    }
    if (std::holds_alternative<Softmax>(options.function) &&
        options.normalization == AttendNormalization::kAllKeys) {
      return FieldRequiredError("keys",
                                "the sum of softmax over all keys needs them");
    }
    return absl::OkStatus();
  }

  const v1::AttendRequest& request_;
  const SetFacts* const set_;
  const Limits& limits_;
  const MatrixLookup& matrices_;
};

std::optional<UniversalSetOptions> AttendTerms::search() const {
  const bool wanted =
      options_.epsilon.has_value() || options_.top_m.has_value();
  if (with_set_ || !wanted) return std::nullopt;
  UniversalSetOptions search;
  search.epsilon = options_.epsilon;
  search.top_m = options_.top_m;
  search.function = options_.function;
  search.causal = options_.causal;
  return search;
}

absl::Status AttendTerms::Load(const StopToken& stop) const {
  absl::Status loaded = values_.Load(stop);
  if (loaded.ok() && keys_.has_value()) loaded = keys_->Load(stop);
  return loaded;
}

AttendOptions AttendProblem::options() const {
  AttendOptions options = terms_.options();
  options.positions = rows_.positions;
  return options;
}

absl::StatusOr<AttendProblem> AttendProblemFromProto(
    const v1::AttendRequest& request, const SetFacts* set, const Limits& limits,
    const MatrixLookup& matrices) {
  absl::StatusOr<AttendTerms> terms =
      AttendTermsReader(request, set, limits, matrices).Read();
  if (!terms.ok()) return terms.status();
  absl::StatusOr<QueryRows> rows =
      RowsFromProto(request.has_queries() ? &request.queries() : nullptr,
                    request.positions(), *terms, "", limits);
  if (!rows.ok()) return rows.status();
  return AttendProblem(*std::move(terms), *std::move(rows));
}

absl::StatusOr<AttendTerms> AttendOpenFromProto(
    const v1::AttendRequest& request, const SetFacts* set, const Limits& limits,
    const MatrixLookup& matrices) {
  if (request.has_queries() || !request.positions().empty()) {
    return ConflictingFieldsError(
        request.has_queries() ? "queries" : "positions", "is set",
        "in a stream the queries come in blocks, after open");
  }
  return AttendTermsReader(request, set, limits, matrices).Read();
}

absl::StatusOr<AttendProblem> AttendBlockFromProto(const v1::QueryBlock& block,
                                                   const AttendTerms& terms,
                                                   const Limits& limits) {
  absl::StatusOr<QueryRows> rows =
      RowsFromProto(block.has_queries() ? &block.queries() : nullptr,
                    block.positions(), terms, "block.", limits);
  if (!rows.ok()) return rows.status();
  return AttendProblem(terms, *std::move(rows));
}

Cost CostOf(const AttendProblem& problem, int workers) {
  const AttendTerms& terms = problem.terms();
  Cost cost = CostOfCore(problem, workers);
  cost.bytes +=
      CopyBytes(terms) +
      OutputBytes(problem, static_cast<double>(terms.max_response_bytes()));
  return cost;
}

Cost CostOfOpen(const AttendTerms& terms, int workers) {
  Cost cost = CostOfAttendKeys(terms.shape().heads, terms.values().rows(),
                               terms.shape().columns, terms.values().cols(),
                               terms.options(), workers);
  cost.bytes += CopyBytes(terms) + BytesOfMembers(terms);
  return cost;
}

Cost CostOfBlock(const AttendProblem& problem, const AttendKeys& keys,
                 const Limits& limits, int workers) {
  const TensorInput& queries = problem.rows().queries;
  Cost cost = CostOfAttend(keys, queries.heads(), queries.rows(), workers);
  cost.bytes +=
      static_cast<double>(queries.copy_bytes()) +
      OutputBytes(problem, static_cast<double>(limits.chunk_bytes_max));
  return cost;
}

std::string DescriptionOf(const AttendTerms& terms) {
  return absl::StrCat(
      terms.with_set() ? absl::StrCat("set ", terms.shape().heads, "x",
                                      terms.shape().columns, ", ")
                       : "",
      terms.keys().has_value()
          ? absl::StrCat("keys ", terms.keys()->Description(), ", ")
          : "",
      "values ", terms.values().Description());
}

std::string DescriptionOf(const AttendProblem& problem) {
  return absl::StrCat(DescriptionOf(problem.terms()), ", queries ",
                      problem.rows().queries.Description());
}

absl::Status AtProtoPath(const absl::Status& status, const AttendTerms& terms) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  if (detail.has_value() && detail->reason == "WRONG_SHAPE") {
    // A set has another number of keys.
    return WithField(
        status, terms.lengths().empty()
                    ? terms.values().PathOfExtent(terms.values().extents() - 2)
                    : "lengths");
  }
  const absl::Status at_values =
      AtTensor(status, "values", terms.values(), terms.lengths());
  if (!terms.keys().has_value()) return at_values;
  return AtTensor(at_values, "keys", *terms.keys(), terms.lengths());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const AttendProblem& problem) {
  return AtQueries(AtProtoPath(status, problem.terms()), problem.rows());
}

}  // namespace steelyard::server
