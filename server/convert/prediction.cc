#include "server/convert/prediction.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/convert/kernel_options.h"
#include "server/convert/key_heads.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Of one entry of y: in memory, and on the wire at most. An exponent is an int,
// and a varint of at most 5 bytes.
constexpr double kEntryMemory = 8.0 + 4.0;
constexpr std::int64_t kEntryBytesMax = 8 + 5;
// Everything else of a message: offset, header of the tensor, lengths.
constexpr std::int64_t kMessageBytesMax = 256;
// Fewer rows than fit: the first are there sooner, and the caller sees them
// come.
constexpr Index kBlockRowsMax = 1024;

// Rows of one message; 0: not even one fits.
Index RowsOfMessage(Index k, const Limits& limits) {
  const Index fit =
      (limits.chunk_bytes_max - kMessageBytesMax) / (kEntryBytesMax * k);
  return std::min(fit, kBlockRowsMax);
}

absl::StatusOr<TensorInput> WeightsFromProto(const v1::PredictRequest& request,
                                             const Limits& limits,
                                             const MatrixLookup& matrices) {
  TensorRule rule{.extents_min = 1,
                  .extents_max = 2,
                  .cols_max = limits.right_hand_sides_max,
                  .cols_limit = "right_hand_sides_max"};
  switch (request.weights_case()) {
    case v1::PredictRequest::kX:
      return TensorFromProto(request.x(), "x", rule, limits);
    case v1::PredictRequest::kXMatrix:
      rule.extents_min = 2;
      return StoredTensor(matrices, request.x_matrix(), "x_matrix", rule,
                          limits);
    case v1::PredictRequest::WEIGHTS_NOT_SET:
      break;
  }
  return FieldRequiredError("x", "it or x_matrix holds the weights");
}

absl::Status WrongExtent(const TensorInput& tensor, int extent, Index given,
                         const char* unit, const std::string& rule) {
  return WrongShapeError(tensor.PathOfExtent(extent),
                         tensor.stored() == nullptr
                             ? absl::StrCat("is ", given)
                             : absl::StrCat("has ", given, " ", unit),
                         rule);
}

absl::Status CheckShapes(const PredictProblem& problem, const Limits& limits) {
  const TensorInput& x = problem.x();
  if (x.rows() != problem.a().rows()) {
    return WrongExtent(x, 0, x.rows(), "rows",
                       absl::StrCat("a has ", problem.a().rows(), " rows"));
  }
  const TensorInput& queries = problem.queries();
  if (queries.cols() != problem.a().cols()) {
    return WrongExtent(queries, 1, queries.cols(), "columns",
                       absl::StrCat("a has ", problem.a().cols(), " columns"));
  }
  if (problem.options().block_rows >= 1) return absl::OkStatus();
  const std::string field = x.PathOfExtent(x.extents() - 1);
  return LimitExceededError(
      {.field = field,
       .what = "the size of one row of y, by " + field + ", in bytes",
       .limit = "chunk_bytes_max",
       .value = static_cast<double>(kEntryBytesMax * x.cols()),
       .max = static_cast<double>(limits.chunk_bytes_max)});
}

const char* NameOf(KernelNormalization normalization) {
  switch (normalization) {
    case KernelNormalization::kNone:
      return "NONE";
    case KernelNormalization::kUnitDiagonal:
      return "UNIT_DIAGONAL";
    case KernelNormalization::kSoftmaxRows:
      return "SOFTMAX_ROWS";
  }
  return "NONE";
}

}  // namespace

absl::StatusOr<PredictProblem> PredictProblemFromProto(
    const v1::PredictRequest& request, const Limits& limits,
    const MatrixLookup& matrices) {
  const TensorRule rows{.extents_max = 2, .cols_max = limits.columns_max};
  if (!request.has_a()) {
    return FieldRequiredError("a", "it holds the rows of the regression");
  }
  absl::StatusOr<TensorInput> a =
      TensorFromProto(request.a(), "a", rows, limits, matrices);
  if (!a.ok()) return a.status();
  absl::StatusOr<TensorInput> x = WeightsFromProto(request, limits, matrices);
  if (!x.ok()) return x.status();
  if (!request.has_queries()) {
    return FieldRequiredError("queries", "it holds the new rows");
  }
  absl::StatusOr<TensorInput> queries =
      TensorFromProto(request.queries(), "queries", rows, limits, matrices);
  if (!queries.ok()) return queries.status();

  PredictProblem problem(*std::move(a), *std::move(x), *std::move(queries));
  const auto scale =
      KernelScaleOf(request.has_scale() ? std::optional<double>(request.scale())
                                        : std::nullopt,
                    "scale");
  if (!scale.ok()) return scale.status();
  problem.options_.scale = *scale;
  const auto normalization =
      KernelNormalizationOf(request.normalization(), "normalization");
  if (!normalization.ok()) return normalization.status();
  problem.options_.normalization = *normalization;
  problem.options_.block_rows = RowsOfMessage(problem.x().cols(), limits);
  if (absl::Status shapes = CheckShapes(problem, limits); !shapes.ok()) {
    return shapes;
  }
  return problem;
}

double BytesOfAnswer(const PredictProblem& problem, const Limits& limits) {
  const auto k = static_cast<double>(problem.x().cols());
  const auto m = static_cast<double>(problem.queries().rows());
  const double block =
      kEntryMemory * k *
      std::min(m, static_cast<double>(problem.options().block_rows));
  // The rows that fill the queue are taken whole; one message and its wire
  // form.
  const double queued =
      std::min(kEntryMemory * k * m,
               static_cast<double>(limits.stream_queue_bytes) + block);
  return queued + 2.0 * static_cast<double>(limits.chunk_bytes_max);
}

Cost CostOf(const PredictProblem& problem, const Limits& limits, int workers) {
  Cost cost = CostOfKernelPrediction(
      problem.a().rows(), problem.a().cols(), problem.x().cols(),
      problem.queries().rows(), problem.options(), workers);
  cost.bytes +=
      static_cast<double>(problem.a().copy_bytes() + problem.x().copy_bytes() +
                          problem.queries().copy_bytes()) +
      BytesOfAnswer(problem, limits);
  return cost;
}

std::string DescriptionOf(const PredictProblem& problem) {
  return absl::StrCat(NameOf(problem.options().normalization), ": a ",
                      problem.a().Description(), ", x ",
                      problem.x().Description(), ", queries ",
                      problem.queries().Description());
}

absl::Status AtProtoPath(const absl::Status& status,
                         const PredictProblem& problem) {
  const absl::Status at_a = AtTensor(status, "a", problem.a());
  const absl::Status at_x = AtTensor(at_a, "x", problem.x());
  return AtTensor(at_x, "queries", problem.queries());
}

void ToProto(const PredictedRows& rows, v1::PredictResponse* response) {
  response->Clear();
  response->set_offset(rows.first);
  v1::Tensor* const y = response->mutable_y();
  y->set_dtype(v1::DTYPE_FLOAT64);
  y->add_shape(rows.y.rows());
  y->add_shape(rows.y.cols());
  y->set_data(reinterpret_cast<const char*>(rows.y.data()),
              static_cast<std::size_t>(rows.y.size()) * sizeof(double));
  response->mutable_y_exponents()->Add(rows.exponents.begin(),
                                       rows.exponents.end());
}

std::int64_t BytesOf(const PredictedRows& rows) {
  return rows.y.size() * static_cast<std::int64_t>(sizeof(double)) +
         static_cast<std::int64_t>(rows.exponents.size() * sizeof(int));
}

}  // namespace steelyard::server
