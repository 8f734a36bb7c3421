#include "server/convert/csr_input.h"

#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/convert/stored_input.h"
#include "server/convert/tensor_input.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

constexpr std::int64_t kOffsetSize = 8;
constexpr std::int64_t kColumnSize = 4;

std::int64_t LengthOf(const std::string& bytes) {
  return static_cast<std::int64_t>(bytes.size());
}

absl::Status CheckExtents(const v1::CsrMatrix& matrix, const std::string& path,
                          const Limits& limits) {
  if (matrix.rows() < 1) {
    return WrongShapeError(path + ".rows", absl::StrCat("is ", matrix.rows()),
                           "every extent is >= 1");
  }
  const std::string field = path + ".columns";
  if (matrix.columns() < 1) {
    return WrongShapeError(field, absl::StrCat("is ", matrix.columns()),
                           "every extent is >= 1");
  }
  if (matrix.columns() > limits.columns_max) {
    return LimitExceededError({.field = field,
                               .what = field,
                               .limit = "columns_max",
                               .value = double(matrix.columns()),
                               .max = double(limits.columns_max)});
  }
  return absl::OkStatus();
}

absl::Status CheckSizes(const v1::CsrMatrix& matrix, const std::string& path,
                        StorageType type) {
  std::int64_t offsets = 0;
  if (__builtin_add_overflow(matrix.rows(), 1, &offsets) ||
      __builtin_mul_overflow(offsets, kOffsetSize, &offsets)) {
    return ShapeOverflowError(path + ".rows",
                              absl::StrCat("is ", matrix.rows()),
                              "(rows + 1) * 8 must be below 2^63");
  }
  if (LengthOf(matrix.row_offsets()) != offsets) {
    return WrongSizeError(
        path + ".row_offsets",
        absl::StrCat("has ", matrix.row_offsets().size(), " bytes"),
        absl::StrCat(matrix.rows(), " rows require ", offsets,
                     ": rows + 1 int64"));
  }
  const std::int64_t columns = LengthOf(matrix.column_indices());
  if (columns % kColumnSize != 0) {
    return WrongSizeError(path + ".column_indices",
                          absl::StrCat("has ", columns, " bytes"),
                          "it holds an int32 an entry");
  }
  const std::int64_t values = columns / kColumnSize * SizeOf(type);
  if (LengthOf(matrix.values()) != values) {
    return WrongSizeError(
        path + ".values",
        absl::StrCat("has ", matrix.values().size(), " bytes"),
        absl::StrCat(columns / kColumnSize, " column indices require ", values,
                     " of ", NameOf(type)));
  }
  return absl::OkStatus();
}

}  // namespace

bool CsrInput::Array::aligned() const {
  return reinterpret_cast<std::uintptr_t>(bytes) %
             static_cast<std::uintptr_t>(alignment) ==
         0;
}

CsrInput::Arrays CsrInput::arrays() const {
  const void* offsets = nullptr;
  const void* columns = nullptr;
  const void* values = nullptr;
  if (stored_ == nullptr) {
    offsets = message_->row_offsets().data();
    columns = message_->column_indices().data();
    values = message_->values().data();
  } else {
    const MatrixLayout& layout = stored_->info().layout;
    const std::byte* const data = stored_->data();
    offsets = data + layout.row_offsets_at();
    columns = data + layout.column_indices_at();
    values = data + layout.values_at();
  }
  const std::int64_t number = SizeOf(type_);
  return {{offsets, (rows_ + 1) * kOffsetSize, kOffsetSize},
          {columns, nonzeros_ * kColumnSize, kColumnSize},
          {values, nonzeros_ * number, number}};
}

std::int64_t CsrInput::copy_bytes() const {
  if (stored_ != nullptr) return 0;
  const Arrays all = arrays();
  std::int64_t bytes = 0;
  for (const Array& array : {all.row_offsets, all.column_indices, all.values}) {
    if (!array.aligned()) bytes += array.size;
  }
  return bytes;
}

std::string CsrInput::PathOfNumber() const {
  return stored_ == nullptr ? path_ + ".values" : path_;
}

std::string CsrInput::Description() const {
  return absl::StrCat(
      stored_ == nullptr ? "" : MatrixName(stored_->info().id) + " ", rows_,
      "x", cols_, " CSR of ", nonzeros_, " ", NameOf(type_));
}

CsrInput CsrInput::FromStored(std::shared_ptr<const StoredMatrix> matrix,
                              const std::string& path) {
  const MatrixLayout& layout = matrix->info().layout;
  CsrInput input;
  input.type_ = layout.type;
  input.rows_ = layout.rows;
  input.cols_ = layout.cols;
  input.nonzeros_ = layout.nonzeros;
  input.path_ = path;
  input.stored_ = std::move(matrix);
  return input;
}

absl::StatusOr<CsrInput> CsrFromProto(const v1::CsrMatrix& matrix,
                                      const std::string& path,
                                      const Limits& limits) {
  const absl::StatusOr<StorageType> type =
      StorageTypeOf(matrix.dtype(), path + ".dtype");
  if (!type.ok()) return type.status();
  if (absl::Status extents = CheckExtents(matrix, path, limits);
      !extents.ok()) {
    return extents;
  }
  if (absl::Status sizes = CheckSizes(matrix, path, *type); !sizes.ok()) {
    return sizes;
  }
  CsrInput input;
  input.type_ = *type;
  input.rows_ = matrix.rows();
  input.cols_ = matrix.columns();
  input.nonzeros_ = LengthOf(matrix.column_indices()) / kColumnSize;
  input.message_ = &matrix;
  input.path_ = path;
  return input;
}

CsrArrays::CsrArrays(const CsrInput& input)
    : stored_(input.stored()), view_(ViewOf(input)) {}

AnyCsrView CsrArrays::ViewOf(const CsrInput& input) {
  const auto in_place = [](const CsrInput::Array& array, Copy* copy) {
    if (array.aligned()) return array.bytes;
    copy->resize(static_cast<std::size_t>(array.size));
    if (array.size > 0) std::memcpy(copy->data(), array.bytes, copy->size());
    return static_cast<const void*>(copy->data());
  };
  const CsrInput::Arrays arrays = input.arrays();
  const auto* const offsets = static_cast<const std::int64_t*>(
      in_place(arrays.row_offsets, &row_offsets_));
  const auto* const columns = static_cast<const std::int32_t*>(
      in_place(arrays.column_indices, &column_indices_));
  const void* const values = in_place(arrays.values, &values_);
  const auto view = [&](const auto* numbers) -> AnyCsrView {
    return CsrView(offsets, columns, numbers, input.rows(), input.cols(),
                   input.nonzeros());
  };
  switch (input.type()) {
    case StorageType::kFloat64:
      return view(static_cast<const double*>(values));
    case StorageType::kFloat32:
      return view(static_cast<const float*>(values));
    case StorageType::kFloat16:
      return view(static_cast<const Half*>(values));
    case StorageType::kBFloat16:
      return view(static_cast<const BFloat16*>(values));
  }
  return view(static_cast<const double*>(values));
}

}  // namespace steelyard::server
