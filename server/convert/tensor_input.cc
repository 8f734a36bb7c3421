#include "server/convert/tensor_input.h"

#include <bit>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/convert/stored_input.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Tensors are used in place, so memory must look like the wire.
static_assert(std::endian::native == std::endian::little);

constexpr char kDenseRule[] = "a dense matrix is taken here";

std::string ShapeText(const v1::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

std::string ExtentPath(const std::string& path, int extent) {
  return absl::StrCat(path, ".shape[", extent, "]");
}

// Exactly one of data and values.
absl::Status CheckSource(const v1::Tensor& tensor, const std::string& path,
                         const Limits& limits) {
  const bool data = !tensor.data().empty();
  const bool values = tensor.values_size() > 0;
  if (data && values) {
    return ConflictingFieldsError(
        path + ".values",
        absl::StrCat("has ", tensor.values_size(), " numbers and ", path,
                     ".data has ", tensor.data().size(), " bytes"),
        "exactly one of data and values must be set");
  }
  if (!data && !values) {
    return FieldRequiredError(path + ".data",
                              "exactly one of data and values must be set");
  }
  if (tensor.values_size() > limits.values_max) {
    return LimitExceededError({.field = path + ".values",
                               .what = "the size of " + path + ".values",
                               .limit = "values_max",
                               .value = double(tensor.values_size()),
                               .max = double(limits.values_max)});
  }
  return absl::OkStatus();
}

absl::StatusOr<StorageType> TypeOfNumbers(const v1::Tensor& tensor,
                                          const std::string& path) {
  const std::string field = path + ".dtype";
  const bool by_hand = tensor.values_size() > 0;
  if (!by_hand || !v1::DType_IsValid(tensor.dtype())) {
    return StorageTypeOf(tensor.dtype(), field);
  }
  if (tensor.dtype() == v1::DTYPE_UNSPECIFIED ||
      tensor.dtype() == v1::DTYPE_FLOAT64) {
    return StorageType::kFloat64;
  }
  return WrongDtypeError(field,
                         absl::StrCat("is ", v1::DType_Name(tensor.dtype())),
                         "values are DTYPE_FLOAT64 or unspecified");
}

std::string ExtentsText(const TensorRule& rule) {
  if (rule.extents_max == 3) {
    return "2 (rows x columns) or 3 (heads x rows x columns) are required";
  }
  if (rule.extents_min == 2) return "2 (rows x columns) are required";
  if (rule.extents_max == 1) return "1 (rows) is required";
  return "1 (rows) or 2 (rows x columns) are required";
}

absl::Status CheckExtents(const v1::Tensor& tensor, const std::string& path,
                          const TensorRule& rule) {
  if (tensor.shape_size() < rule.extents_min ||
      tensor.shape_size() > rule.extents_max) {
    return WrongShapeError(
        path + ".shape", absl::StrCat("has ", tensor.shape_size(), " extents"),
        ExtentsText(rule));
  }
  for (int i = 0; i < tensor.shape_size(); ++i) {
    if (tensor.shape(i) < 1) {
      return WrongShapeError(ExtentPath(path, i),
                             absl::StrCat("is ", tensor.shape(i)),
                             "every extent is >= 1");
    }
  }
  return absl::OkStatus();
}

// product(shape) * sizeof(type), or SHAPE_OVERFLOW.
absl::StatusOr<std::int64_t> BytesOf(const v1::Tensor& tensor,
                                     const std::string& path,
                                     StorageType type) {
  std::int64_t bytes = SizeOf(type);
  for (const std::int64_t extent : tensor.shape()) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return ShapeOverflowError(
          path + ".shape",
          absl::StrCat("is ", ShapeText(tensor), " of ", NameOf(type)),
          "the product in bytes must be below 2^63");
    }
  }
  return bytes;
}

absl::Status CheckSize(const v1::Tensor& tensor, const std::string& path,
                       StorageType type, std::int64_t bytes) {
  const std::string shape = ShapeText(tensor);
  if (tensor.values_size() > 0) {
    const std::int64_t numbers = bytes / SizeOf(type);
    if (tensor.values_size() == numbers) return absl::OkStatus();
    return WrongSizeError(
        path + ".values",
        absl::StrCat("has ", tensor.values_size(), " numbers"),
        absl::StrCat("shape ", shape, " requires ", numbers));
  }
  if (static_cast<std::int64_t>(tensor.data().size()) == bytes) {
    return absl::OkStatus();
  }
  return WrongSizeError(
      path + ".data", absl::StrCat("has ", tensor.data().size(), " bytes"),
      absl::StrCat("shape ", shape, " of ", NameOf(type), " requires ", bytes));
}

absl::Status CheckLimits(const TensorInput& tensor, const TensorRule& rule,
                         const Limits& limits) {
  const bool stored = tensor.stored() != nullptr;
  if (tensor.heads() > limits.heads_max) {
    const std::string field = tensor.PathOfExtent(0);
    return LimitExceededError(
        {.field = field,
         .what = stored ? "the number of heads of " + field : field,
         .limit = "heads_max",
         .value = double(tensor.heads()),
         .max = double(limits.heads_max)});
  }
  if (tensor.cols() > rule.cols_max) {
    const std::string field = tensor.PathOfExtent(tensor.extents() - 1);
    return LimitExceededError(
        {.field = field,
         .what = stored ? "the number of columns of " + field : field,
         .limit = rule.cols_limit,
         .value = double(tensor.cols()),
         .max = double(rule.cols_max)});
  }
  return absl::OkStatus();
}

TensorInput::Layout LayoutOf(const v1::Tensor& tensor, StorageType type) {
  TensorInput::Layout layout{.type = type, .extents = tensor.shape_size()};
  if (layout.extents == 1) {
    layout.rows = tensor.shape(0);
    return layout;
  }
  if (layout.extents == 3) layout.heads = tensor.shape(0);
  layout.rows = tensor.shape(layout.extents - 2);
  layout.cols = tensor.shape(layout.extents - 1);
  return layout;
}

template <typename T>
std::vector<AnyMatrixView> Views(const void* numbers, Index heads, Index rows,
                                 Index cols) {
  std::vector<AnyMatrixView> views;
  views.reserve(static_cast<std::size_t>(heads));
  const T* const first = static_cast<const T*>(numbers);
  for (Index head = 0; head < heads; ++head) {
    views.emplace_back(MatrixView<T>(first + head * rows * cols, rows, cols));
  }
  return views;
}

}  // namespace

std::int64_t SizeOf(StorageType type) {
  switch (type) {
    case StorageType::kFloat64:
      return 8;
    case StorageType::kFloat32:
      return 4;
    case StorageType::kFloat16:
    case StorageType::kBFloat16:
      return 2;
  }
  return 8;
}

const char* NameOf(StorageType type) {
  switch (type) {
    case StorageType::kFloat64:
      return "FLOAT64";
    case StorageType::kFloat32:
      return "FLOAT32";
    case StorageType::kFloat16:
      return "FLOAT16";
    case StorageType::kBFloat16:
      return "BFLOAT16";
  }
  return "FLOAT64";
}

absl::StatusOr<StorageType> StorageTypeOf(v1::DType dtype,
                                          const std::string& field) {
  switch (dtype) {
    case v1::DTYPE_FLOAT64:
      return StorageType::kFloat64;
    case v1::DTYPE_FLOAT32:
      return StorageType::kFloat32;
    case v1::DTYPE_FLOAT16:
      return StorageType::kFloat16;
    case v1::DTYPE_BFLOAT16:
      return StorageType::kBFloat16;
    case v1::DTYPE_INT64:
      return WrongDtypeError(
          field, "is DTYPE_INT64",
          "inputs are FLOAT64, FLOAT32, FLOAT16 or BFLOAT16; INT64 is for "
          "answers");
    case v1::DTYPE_UNSPECIFIED:
      return FieldRequiredError(field, "it says how data stores its numbers");
    default:
      return UnknownEnumError(field, static_cast<int>(dtype), "DType");
  }
}

TensorInput TensorInput::FromBytes(const Layout& layout, const void* numbers,
                                   const std::string& path) {
  TensorInput tensor;
  tensor.type_ = layout.type;
  tensor.extents_ = layout.extents;
  tensor.heads_ = layout.heads;
  tensor.rows_ = layout.rows;
  tensor.cols_ = layout.cols;
  tensor.numbers_ = numbers;
  tensor.path_ = path;
  return tensor;
}

TensorInput TensorInput::FromStored(std::shared_ptr<const StoredMatrix> matrix,
                                    const std::string& path) {
  const MatrixLayout& layout = matrix->info().layout;
  TensorInput tensor = FromBytes({.type = layout.type,
                                  .extents = layout.extents,
                                  .heads = layout.heads,
                                  .rows = layout.rows,
                                  .cols = layout.cols},
                                 nullptr, path);
  tensor.stored_ = std::move(matrix);
  return tensor;
}

absl::Status TensorInput::Load(const StopToken& stop) const {
  return stored_ == nullptr ? absl::OkStatus() : stored_->Load(stop);
}

const void* TensorInput::numbers() const {
  return stored_ == nullptr ? numbers_ : stored_->data();
}

bool TensorInput::aligned() const {
  if (stored_ != nullptr) return true;
  // Each of the four types is aligned to its own size.
  return reinterpret_cast<std::uintptr_t>(numbers_) %
             static_cast<std::uintptr_t>(SizeOf(type_)) ==
         0;
}

std::int64_t TensorInput::bytes() const {
  return heads_ * rows_ * cols_ * SizeOf(type_);
}

std::int64_t TensorInput::copy_bytes() const { return aligned() ? 0 : bytes(); }

std::int64_t TensorInput::message_bytes() const {
  return stored_ == nullptr ? bytes() : 0;
}

std::string TensorInput::PathOfNumber(const std::string& index) const {
  if (stored_ != nullptr) return path_;
  if (!in_values_) return path_ + ".data";
  return absl::StrCat(path_, ".values[", index, "]");
}

std::string TensorInput::PathOfShape() const {
  return stored_ == nullptr ? path_ + ".shape" : path_;
}

std::string TensorInput::PathOfExtent(int extent) const {
  return stored_ == nullptr ? ExtentPath(path_, extent) : path_;
}

std::string TensorInput::Description() const {
  std::string shape = absl::StrCat(rows_);
  if (extents_ >= 2) absl::StrAppend(&shape, "x", cols_);
  if (extents_ == 3) shape = absl::StrCat(heads_, "x", shape);
  return absl::StrCat(
      stored_ == nullptr ? "" : MatrixName(stored_->info().id) + " ", shape,
      " ", NameOf(type_));
}

absl::StatusOr<TensorInput> TensorFromProto(const v1::Tensor& tensor,
                                            const std::string& path,
                                            const TensorRule& rule,
                                            const Limits& limits) {
  if (const absl::Status source = CheckSource(tensor, path, limits);
      !source.ok()) {
    return source;
  }
  const absl::StatusOr<StorageType> type = TypeOfNumbers(tensor, path);
  if (!type.ok()) return type.status();
  if (const absl::Status extents = CheckExtents(tensor, path, rule);
      !extents.ok()) {
    return extents;
  }
  const absl::StatusOr<std::int64_t> bytes = BytesOf(tensor, path, *type);
  if (!bytes.ok()) return bytes.status();
  const bool in_values = tensor.values_size() > 0;
  const void* const numbers =
      in_values ? static_cast<const void*>(tensor.values().data())
                : static_cast<const void*>(tensor.data().data());
  TensorInput input =
      TensorInput::FromBytes(LayoutOf(tensor, *type), numbers, path);
  input.in_values_ = in_values;
  if (const absl::Status bounds = CheckLimits(input, rule, limits);
      !bounds.ok()) {
    return bounds;
  }
  if (const absl::Status size = CheckSize(tensor, path, *type, *bytes);
      !size.ok()) {
    return size;
  }
  return input;
}

absl::StatusOr<TensorInput> StoredTensor(const MatrixLookup& matrices,
                                         const std::string& name,
                                         const std::string& path,
                                         const TensorRule& rule,
                                         const Limits& limits) {
  auto matrix = HeldMatrix(matrices, name, path);
  if (!matrix.ok()) return matrix.status();
  return StoredTensor(*std::move(matrix), path, rule, limits);
}

absl::StatusOr<TensorInput> StoredTensor(
    std::shared_ptr<const StoredMatrix> matrix, const std::string& path,
    const TensorRule& rule, const Limits& limits) {
  const MatrixLayout& layout = matrix->info().layout;
  if (layout.sparse) {
    return ConflictingFieldsError(path, "names a CSR matrix", kDenseRule);
  }
  if (layout.extents < rule.extents_min || layout.extents > rule.extents_max) {
    return WrongShapeError(
        path, absl::StrCat("names a matrix of ", layout.extents, " extents"),
        ExtentsText(rule));
  }
  TensorInput input = TensorInput::FromStored(std::move(matrix), path);
  if (const absl::Status bounds = CheckLimits(input, rule, limits);
      !bounds.ok()) {
    return bounds;
  }
  return input;
}

absl::StatusOr<TensorInput> TensorFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits,
                                            const MatrixLookup& matrices) {
  switch (input.source_case()) {
    case v1::MatrixInput::kDense:
      return TensorFromProto(input.dense(), name + ".dense", rule, limits);
    case v1::MatrixInput::kCsr:
      return ConflictingFieldsError(name + ".csr", "is set", kDenseRule);
    case v1::MatrixInput::kMatrix:
      return StoredTensor(matrices, input.matrix(), name + ".matrix", rule,
                          limits);
    case v1::MatrixInput::SOURCE_NOT_SET:
      break;
  }
  return FieldRequiredError(name + ".dense", "it holds the matrix");
}

TensorMatrices::TensorMatrices(const TensorInput& tensor)
    : stored_(tensor.stored()) {
  const void* numbers = tensor.numbers();
  if (!tensor.aligned()) {
    copy_.resize(static_cast<std::size_t>(tensor.bytes()));
    std::memcpy(copy_.data(), numbers, copy_.size());
    numbers = copy_.data();
  }
  switch (tensor.type()) {
    case StorageType::kFloat64:
      heads_ =
          Views<double>(numbers, tensor.heads(), tensor.rows(), tensor.cols());
      break;
    case StorageType::kFloat32:
      heads_ =
          Views<float>(numbers, tensor.heads(), tensor.rows(), tensor.cols());
      break;
    case StorageType::kFloat16:
      heads_ =
          Views<Half>(numbers, tensor.heads(), tensor.rows(), tensor.cols());
      break;
    case StorageType::kBFloat16:
      heads_ = Views<BFloat16>(numbers, tensor.heads(), tensor.rows(),
                               tensor.cols());
      break;
  }
}

}  // namespace steelyard::server
