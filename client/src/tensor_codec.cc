#include "tensor_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "error_codec.h"

namespace steelyard::client {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the wire is little-endian, and tensors are copied as they are");

// Gathering goes by squares of this many rows and columns, so that neither side
// leaves the cache between two numbers of one line.
constexpr std::int64_t kTile = 64;

v1::DType DTypeOf(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat64:
      return v1::DTYPE_FLOAT64;
    case ScalarType::kFloat32:
      return v1::DTYPE_FLOAT32;
    case ScalarType::kFloat16:
      return v1::DTYPE_FLOAT16;
    case ScalarType::kBFloat16:
      return v1::DTYPE_BFLOAT16;
  }
  return v1::DTYPE_UNSPECIFIED;
}

std::int64_t BytesOf(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat64:
      return 8;
    case ScalarType::kFloat32:
      return 4;
    default:
      return 2;
  }
}

absl::Status Invalid(const std::string& reason, const std::string& field,
                     const std::string& message) {
  return LocalError(absl::StatusCode::kInvalidArgument, message,
                    {.reason = reason, .field = field});
}

std::string ShapeInWords(const TensorView& view) {
  std::string words;
  for (int axis = 0; axis < view.rank(); ++axis) {
    absl::StrAppend(&words, axis > 0 ? " x " : "", view.extent(axis));
  }
  return words;
}

// How many bytes the tensor has.
absl::StatusOr<std::int64_t> CheckedBytes(const TensorView& view,
                                          const std::string& field) {
  const std::string shape = absl::StrCat(field, ".shape");
  if (view.rank() < 1 || view.rank() > 3) {
    return Invalid("WRONG_SHAPE", shape,
                   absl::StrCat(shape, " has no 1 to 3 extents"));
  }
  std::int64_t bytes = BytesOf(view.type());
  for (int axis = 0; axis < view.rank(); ++axis) {
    const std::int64_t extent = view.extent(axis);
    if (extent < 1) {
      const std::string at = absl::StrCat(shape, "[", axis, "]");
      return Invalid("FIELD_OUT_OF_RANGE", at,
                     absl::StrCat(at, " is ", extent, "; it must be >= 1"));
    }
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return Invalid("SHAPE_OVERFLOW", shape,
                     absl::StrCat(shape, " ", ShapeInWords(view),
                                  " has more bytes than 2^63 - 1"));
    }
  }
  const std::int64_t numbers = bytes / BytesOf(view.type());
  if (numbers != view.available()) {
    return Invalid(
        "WRONG_SIZE", field,
        absl::StrCat(field, " has ", view.available(), " numbers; its shape ",
                     ShapeInWords(view), " needs ", numbers));
  }
  return bytes;
}

// A view of one to three extents as heads x rows x columns.
struct Layout {
  std::array<std::int64_t, 3> extents{1, 1, 1};
  std::array<std::int64_t, 3> strides{0, 0, 0};

  explicit Layout(const TensorView& view) {
    const auto first = static_cast<std::size_t>(3 - view.rank());
    for (int axis = 0; axis < view.rank(); ++axis) {
      extents[first + static_cast<std::size_t>(axis)] = view.extent(axis);
      strides[first + static_cast<std::size_t>(axis)] = view.stride(axis);
    }
  }

  bool IsRowMajor() const {
    std::int64_t stride = 1;
    for (std::size_t axis = 3; axis-- > 0;) {
      if (extents[axis] != 1 && strides[axis] != stride) return false;
      stride *= extents[axis];
    }
    return true;
  }
};

// Word: an unsigned integer of the size of the scalar; no number is touched.
template <typename Word>
void Gather(const Layout& from, const void* data, char* out) {
  const Word* words = static_cast<const Word*>(data);
  const auto [heads, rows, columns] = from.extents;
  const auto [head_stride, row_stride, column_stride] = from.strides;
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t i0 = 0; i0 < rows; i0 += kTile) {
      for (std::int64_t j0 = 0; j0 < columns; j0 += kTile) {
        const std::int64_t i_end = std::min(rows, i0 + kTile);
        const std::int64_t j_end = std::min(columns, j0 + kTile);
        for (std::int64_t i = i0; i < i_end; ++i) {
          const Word* row = words + h * head_stride + i * row_stride;
          char* to = out + ((h * rows + i) * columns + j0) *
                               static_cast<std::int64_t>(sizeof(Word));
          for (std::int64_t j = j0; j < j_end; ++j, to += sizeof(Word)) {
            std::memcpy(to, row + j * column_stride, sizeof(Word));
          }
        }
      }
    }
  }
}

}  // namespace

absl::Status ToProto(const TensorView& view, const std::string& field,
                     std::int64_t bytes_max, v1::Tensor* tensor) {
  const absl::StatusOr<std::int64_t> bytes = CheckedBytes(view, field);
  if (!bytes.ok()) return bytes.status();
  if (*bytes > bytes_max) {
    return LocalError(absl::StatusCode::kResourceExhausted,
                      absl::StrCat(field, " has ", *bytes,
                                   " bytes; request_bytes_max is ", bytes_max),
                      {.reason = "LIMIT_EXCEEDED",
                       .field = field,
                       .metadata = {{"limit", "request_bytes_max"},
                                    {"value", absl::StrCat(*bytes)},
                                    {"max", absl::StrCat(bytes_max)}}});
  }
  tensor->set_dtype(DTypeOf(view.type()));
  tensor->clear_shape();
  for (int axis = 0; axis < view.rank(); ++axis) {
    tensor->add_shape(view.extent(axis));
  }
  const Layout layout(view);
  if (layout.IsRowMajor()) {
    tensor->set_data(view.data(), static_cast<std::size_t>(*bytes));
    return absl::OkStatus();
  }
  std::string* data = tensor->mutable_data();
  data->resize(static_cast<std::size_t>(*bytes));
  switch (BytesOf(view.type())) {
    case 8:
      Gather<std::uint64_t>(layout, view.data(), data->data());
      break;
    case 4:
      Gather<std::uint32_t>(layout, view.data(), data->data());
      break;
    default:
      Gather<std::uint16_t>(layout, view.data(), data->data());
  }
  return absl::OkStatus();
}

absl::StatusOr<RowMajorMatrix> MatrixFromProto(const v1::Tensor& tensor,
                                               const std::string& name) {
  if (tensor.dtype() != v1::DTYPE_FLOAT64) {
    return BrokenAnswer(absl::StrCat(name, " is not FLOAT64"));
  }
  const int rank = tensor.shape_size();
  const std::int64_t rows = rank > 0 ? tensor.shape(0) : 0;
  const std::int64_t columns = rank > 1 ? tensor.shape(1) : 1;
  std::int64_t bytes = 0;
  if (rank < 1 || rank > 2 || rows < 1 || columns < 1 ||
      __builtin_mul_overflow(rows, columns, &bytes) ||
      __builtin_mul_overflow(bytes, std::int64_t{8}, &bytes) ||
      static_cast<std::uint64_t>(bytes) != tensor.data().size()) {
    return BrokenAnswer(absl::StrCat(name, " has shape [",
                                     absl::StrJoin(tensor.shape(), ", "),
                                     "] and ", tensor.data().size(), " bytes"));
  }
  RowMajorMatrix matrix(rows, columns);
  std::memcpy(matrix.data(), tensor.data().data(), tensor.data().size());
  return matrix;
}

Seconds SecondsFromProto(const google::protobuf::Duration& duration) {
  return Seconds(static_cast<double>(duration.seconds()) +
                 1e-9 * duration.nanos());
}

google::protobuf::Duration DurationToProto(Seconds seconds) {
  constexpr double kLongest = 315576000000.0;  // Of google.protobuf.Duration.
  const double total = std::clamp(seconds.count(), -kLongest, kLongest);
  double whole = std::trunc(total);
  double nanos = std::ceil((total - whole) * 1e9);
  if (nanos >= 1e9) {
    whole += 1.0;
    nanos = 0.0;
  }
  google::protobuf::Duration duration;
  duration.set_seconds(static_cast<std::int64_t>(whole));
  duration.set_nanos(static_cast<std::int32_t>(nanos));
  return duration;
}

}  // namespace steelyard::client
