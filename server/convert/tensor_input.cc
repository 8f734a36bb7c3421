#include "server/convert/tensor_input.h"

#include <bit>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// Tensors are used in place, so memory must look like the wire.
static_assert(std::endian::native == std::endian::little);

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

absl::StatusOr<StorageType> StorageTypeOf(const v1::Tensor& tensor,
                                          const std::string& path) {
  const std::string field = path + ".dtype";
  const int number = static_cast<int>(tensor.dtype());
  if (!v1::DType_IsValid(number)) {
    return UnknownEnumError(field, number, "DType");
  }
  if (tensor.values_size() > 0) {
    if (tensor.dtype() == v1::DTYPE_UNSPECIFIED ||
        tensor.dtype() == v1::DTYPE_FLOAT64) {
      return StorageType::kFloat64;
    }
    return WrongDtypeError(field,
                           absl::StrCat("is ", v1::DType_Name(tensor.dtype())),
                           "values are DTYPE_FLOAT64 or unspecified");
  }
  switch (tensor.dtype()) {
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
    default:
      return FieldRequiredError(field, "it says how data stores its numbers");
  }
}

std::string ExtentsText(const TensorRule& rule) {
  if (rule.extents_max == 3) {
    return "2 (rows x columns) or 3 (heads x rows x columns) are required";
  }
  if (rule.extents_min == 2) return "2 (rows x columns) are required";
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

absl::Status CheckLimits(const TensorInput::Layout& layout,
                         const std::string& path, const TensorRule& rule,
                         const Limits& limits) {
  if (layout.heads > limits.heads_max) {
    const std::string field = ExtentPath(path, 0);
    return LimitExceededError({.field = field,
                               .what = field,
                               .limit = "heads_max",
                               .value = double(layout.heads),
                               .max = double(limits.heads_max)});
  }
  if (layout.cols > rule.cols_max) {
    const std::string field = ExtentPath(path, layout.extents - 1);
    return LimitExceededError({.field = field,
                               .what = field,
                               .limit = rule.cols_limit,
                               .value = double(layout.cols),
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

bool TensorInput::aligned() const {
  // Each of the four types is aligned to its own size.
  return reinterpret_cast<std::uintptr_t>(numbers_) %
             static_cast<std::uintptr_t>(SizeOf(type_)) ==
         0;
}

std::int64_t TensorInput::bytes() const {
  return heads_ * rows_ * cols_ * SizeOf(type_);
}

std::int64_t TensorInput::copy_bytes() const { return aligned() ? 0 : bytes(); }

std::string TensorInput::PathOfNumber(const std::string& index) const {
  if (!in_values_) return path_ + ".data";
  return absl::StrCat(path_, ".values[", index, "]");
}

std::string TensorInput::Description() const {
  std::string shape = absl::StrCat(rows_);
  if (extents_ >= 2) absl::StrAppend(&shape, "x", cols_);
  if (extents_ == 3) shape = absl::StrCat(heads_, "x", shape);
  return absl::StrCat(shape, " ", NameOf(type_));
}

absl::StatusOr<TensorInput> TensorFromProto(const v1::Tensor& tensor,
                                            const std::string& path,
                                            const TensorRule& rule,
                                            const Limits& limits) {
  if (const absl::Status source = CheckSource(tensor, path, limits);
      !source.ok()) {
    return source;
  }
  const absl::StatusOr<StorageType> type = StorageTypeOf(tensor, path);
  if (!type.ok()) return type.status();
  if (const absl::Status extents = CheckExtents(tensor, path, rule);
      !extents.ok()) {
    return extents;
  }
  const absl::StatusOr<std::int64_t> bytes = BytesOf(tensor, path, *type);
  if (!bytes.ok()) return bytes.status();
  const TensorInput::Layout layout = LayoutOf(tensor, *type);
  if (const absl::Status bounds = CheckLimits(layout, path, rule, limits);
      !bounds.ok()) {
    return bounds;
  }
  if (const absl::Status size = CheckSize(tensor, path, *type, *bytes);
      !size.ok()) {
    return size;
  }

  const bool in_values = tensor.values_size() > 0;
  const void* const numbers =
      in_values ? static_cast<const void*>(tensor.values().data())
                : static_cast<const void*>(tensor.data().data());
  TensorInput input = TensorInput::FromBytes(layout, numbers, path);
  input.in_values_ = in_values;
  return input;
}

absl::StatusOr<TensorInput> TensorFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits) {
  switch (input.source_case()) {
    case v1::MatrixInput::kDense:
      return TensorFromProto(input.dense(), name + ".dense", rule, limits);
    case v1::MatrixInput::kCsr:
      return ConflictingFieldsError(name + ".csr", "is set",
                                    "a dense matrix is taken here");
    case v1::MatrixInput::kMatrix:
      return ConflictingFieldsError(name + ".matrix", "is set",
                                    "a dense matrix is taken here");
    case v1::MatrixInput::SOURCE_NOT_SET:
      break;
  }
  return FieldRequiredError(name + ".dense", "it holds the matrix");
}

TensorMatrices::TensorMatrices(const TensorInput& tensor) {
  const void* numbers = tensor.numbers_;
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
