#include "server/convert/kernel_options.h"

#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "server/convert/widen.h"
#include "server/errors/errors.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr char kPreconditioner[] = "attention_kernel.preconditioner";
constexpr char kRank[] = "attention_kernel.preconditioner_rank";
constexpr char kRowRidge[] = "attention_kernel.row_ridge";

absl::StatusOr<std::optional<KernelMethod>> KernelMethodOf(v1::Method method) {
  switch (method) {
    case v1::METHOD_UNSPECIFIED:
      return std::nullopt;
    case v1::METHOD_CHOLESKY:
      return KernelMethod::kCholesky;
    case v1::METHOD_CONJUGATE_GRADIENT:
      return KernelMethod::kConjugateGradient;
    case v1::METHOD_BLOCK_COORDINATE:
      return KernelMethod::kBlockCoordinate;
    default:
      return ConflictingFieldsError(
          "method", absl::StrCat("is ", v1::Method_Name(method)),
          "attention_kernel takes METHOD_CHOLESKY, METHOD_CONJUGATE_GRADIENT, "
          "METHOD_BLOCK_COORDINATE or none");
  }
}

absl::StatusOr<std::optional<KernelPreconditioner>> KernelPreconditionerOf(
    v1::Preconditioner preconditioner) {
  switch (preconditioner) {
    case v1::PRECONDITIONER_UNSPECIFIED:
      return std::nullopt;
    case v1::PRECONDITIONER_NONE:
      return KernelPreconditioner::kNone;
    case v1::PRECONDITIONER_JACOBI:
      return KernelPreconditioner::kJacobi;
    case v1::PRECONDITIONER_RPCHOLESKY:
      return KernelPreconditioner::kRpCholesky;
    case v1::PRECONDITIONER_POLYNOMIAL_SKETCH:
      return KernelPreconditioner::kPolynomialSketch;
    default:
      return UnknownEnumError(kPreconditioner, static_cast<int>(preconditioner),
                              "Preconditioner");
  }
}

absl::StatusOr<std::optional<Index>> RankOf(
    const v1::AttentionKernel& kernel,
    std::optional<KernelPreconditioner> preconditioner, Index rows) {
  if (!kernel.has_preconditioner_rank()) return std::nullopt;
  const std::int32_t rank = kernel.preconditioner_rank();
  const std::string given = absl::StrCat("is ", rank);
  if (preconditioner != KernelPreconditioner::kRpCholesky &&
      preconditioner != KernelPreconditioner::kPolynomialSketch) {
    return ConflictingFieldsError(kRank, given,
                                  "a rank is of PRECONDITIONER_RPCHOLESKY or "
                                  "PRECONDITIONER_POLYNOMIAL_SKETCH");
  }
  if (rank < 1 || rank > rows) {
    return OutOfRangeError(
        kRank, absl::StrCat(rank),
        absl::StrCat("it must be in [1, n], and a has ", rows, " rows"));
  }
  return rank;
}

}  // namespace

absl::StatusOr<double> KernelScaleOf(std::optional<double> scale,
                                     const std::string& field) {
  if (!scale.has_value()) return 1.0;
  if (!std::isfinite(*scale) || *scale <= 0.0) {
    return OutOfRangeError(field, absl::StrCat(*scale),
                           "it must be finite and > 0");
  }
  return *scale;
}

absl::StatusOr<KernelNormalization> KernelNormalizationOf(
    v1::KernelNormalization normalization, const std::string& field) {
  switch (normalization) {
    case v1::KERNEL_NORMALIZATION_UNSPECIFIED:
    case v1::KERNEL_NORMALIZATION_NONE:
      return KernelNormalization::kNone;
    case v1::KERNEL_NORMALIZATION_UNIT_DIAGONAL:
      return KernelNormalization::kUnitDiagonal;
    case v1::KERNEL_NORMALIZATION_SOFTMAX_ROWS:
      return KernelNormalization::kSoftmaxRows;
    default:
      return UnknownEnumError(field, static_cast<int>(normalization),
                              "KernelNormalization");
  }
}

absl::StatusOr<AttentionKernelOptions> KernelOptionsFromProto(
    const v1::SolveRequest& request, Index rows) {
  const v1::AttentionKernel& kernel = request.attention_kernel();
  AttentionKernelOptions options;
  const auto scale = KernelScaleOf(
      kernel.has_scale() ? std::optional<double>(kernel.scale()) : std::nullopt,
      "attention_kernel.scale");
  if (!scale.ok()) return scale.status();
  options.scale = *scale;
  const auto normalization = KernelNormalizationOf(
      kernel.normalization(), "attention_kernel.normalization");
  if (!normalization.ok()) return normalization.status();
  options.normalization = *normalization;
  const auto method = KernelMethodOf(request.method());
  if (!method.ok()) return method.status();
  options.method = *method;
  const auto preconditioner = KernelPreconditionerOf(kernel.preconditioner());
  if (!preconditioner.ok()) return preconditioner.status();
  options.preconditioner = *preconditioner;
  if (options.preconditioner.has_value() &&
      options.method == KernelMethod::kCholesky) {
    return ConflictingFieldsError(
        kPreconditioner,
        absl::StrCat("is ", v1::Preconditioner_Name(kernel.preconditioner())),
        "METHOD_CHOLESKY takes none");
  }
  const auto rank = RankOf(kernel, options.preconditioner, rows);
  if (!rank.ok()) return rank.status();
  options.preconditioner_rank = *rank;
  return options;
}

absl::StatusOr<std::optional<TensorInput>> RowRidgeFromProto(
    const v1::AttentionKernel& kernel, Index rows, const Limits& limits) {
  if (!kernel.has_row_ridge()) return std::nullopt;
  absl::StatusOr<TensorInput> tensor = TensorFromProto(
      kernel.row_ridge(), kRowRidge,
      {.extents_min = 1, .extents_max = 1, .cols_max = 1}, limits);
  if (!tensor.ok()) return tensor.status();
  if (tensor->rows() != rows) {
    return WrongShapeError(tensor->PathOfExtent(0),
                           absl::StrCat("is ", tensor->rows()),
                           absl::StrCat("a has ", rows, " rows"));
  }
  return std::optional<TensorInput>(*std::move(tensor));
}

absl::StatusOr<std::vector<double>> RowRidgeNumbers(const TensorInput& tensor) {
  const TensorMatrices matrices(tensor);
  std::vector<double> numbers = Widened(matrices.matrix());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto row = static_cast<Index>(i);
    if (!std::isfinite(numbers[i])) {
      return WithField(NotFiniteError(kRowRidge, row, 0, 1, numbers[i]),
                       tensor.PathOfNumber(absl::StrCat(i)));
    }
    if (numbers[i] < 0.0) {
      return OutOfRangeError(
          tensor.PathOfNumber(absl::StrCat(i)), absl::StrCat(numbers[i]),
          absl::StrCat("it must be >= 0, and entry ", i, " is not"));
    }
  }
  return numbers;
}

v1::Preconditioner PreconditionerOf(KernelPreconditioner preconditioner) {
  switch (preconditioner) {
    case KernelPreconditioner::kNone:
      return v1::PRECONDITIONER_NONE;
    case KernelPreconditioner::kJacobi:
      return v1::PRECONDITIONER_JACOBI;
    case KernelPreconditioner::kRpCholesky:
      return v1::PRECONDITIONER_RPCHOLESKY;
    case KernelPreconditioner::kPolynomialSketch:
      return v1::PRECONDITIONER_POLYNOMIAL_SKETCH;
  }
  return v1::PRECONDITIONER_UNSPECIFIED;
}

absl::Status AtKernelPath(const absl::Status& status) {
  const auto detail = DetailOf(status);
  const bool named = detail.has_value() && detail->field == "preconditioner";
  return named ? WithField(status, kPreconditioner) : status;
}

}  // namespace steelyard::server
