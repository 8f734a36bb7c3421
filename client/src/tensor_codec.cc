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

// Rows that lie together, as those of a part of a row-major tensor do.
void GatherRows(const Layout& from, std::int64_t width, const void* data,
                char* out) {
  const char* bytes = static_cast<const char*>(data);
  const auto [heads, rows, columns] = from.extents;
  const bool together = rows == 1 || from.strides[1] == columns;
  const std::int64_t pieces = together ? 1 : rows;
  const auto piece =
      static_cast<std::size_t>(columns * width * (together ? rows : 1));
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t i = 0; i < pieces; ++i, out += piece) {
      const std::int64_t at = h * from.strides[0] + i * from.strides[1];
      std::memcpy(out, bytes + at * width, piece);
    }
  }
}

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

// As float64: nothing is rounded.
template <typename T>
void Widen(const std::string& data, RowMajorMatrix* matrix) {
  T number;
  const char* at = data.data();
  for (Eigen::Index i = 0; i < matrix->size(); ++i, at += sizeof(T)) {
    std::memcpy(&number, at, sizeof(T));
    matrix->data()[i] = static_cast<double>(number);
  }
}

std::int64_t BytesOf(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT64:
    case v1::DTYPE_INT64:
      return 8;
    case v1::DTYPE_FLOAT32:
      return 4;
    case v1::DTYPE_FLOAT16:
    case v1::DTYPE_BFLOAT16:
      return 2;
    default:
      return 0;
  }
}

// product(shape), where `data` has exactly so many numbers; else -1.
std::int64_t CountOf(const v1::Tensor& tensor) {
  std::int64_t bytes = BytesOf(tensor.dtype());
  for (const std::int64_t extent : tensor.shape()) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return -1;
  }
  const bool filled =
      bytes >= 0 && static_cast<std::uint64_t>(bytes) == tensor.data().size();
  return filled && tensor.shape_size() > 0 && BytesOf(tensor.dtype()) > 0
             ? bytes / BytesOf(tensor.dtype())
             : -1;
}

absl::Status WrongTensor(const v1::Tensor& tensor, const std::string& name) {
  return BrokenAnswer(absl::StrCat(name, " is ", v1::DType_Name(tensor.dtype()),
                                   " of shape [",
                                   absl::StrJoin(tensor.shape(), ", "),
                                   "] and ", tensor.data().size(), " bytes"));
}

template <typename T>
absl::StatusOr<std::vector<T>> VectorFromProto(const v1::Tensor& tensor,
                                               v1::DType dtype,
                                               const std::string& name) {
  const std::int64_t count = CountOf(tensor);
  if (tensor.dtype() != dtype || tensor.shape_size() != 1 || count < 0) {
    return WrongTensor(tensor, name);
  }
  std::vector<T> numbers(static_cast<std::size_t>(count));
  std::copy(tensor.data().begin(), tensor.data().end(),
            reinterpret_cast<char*>(numbers.data()));
  return numbers;
}

}  // namespace

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

absl::Status CheckBytesMax(std::int64_t bytes, const std::string& field,
                           std::int64_t bytes_max) {
  if (bytes <= bytes_max) return absl::OkStatus();
  return LocalError(absl::StatusCode::kResourceExhausted,
                    absl::StrCat(field, " has ", bytes,
                                 " bytes; request_bytes_max is ", bytes_max),
                    {.reason = "LIMIT_EXCEEDED",
                     .field = field,
                     .metadata = {{"limit", "request_bytes_max"},
                                  {"value", absl::StrCat(bytes)},
                                  {"max", absl::StrCat(bytes_max)}}});
}

std::optional<ScalarType> ScalarTypeOf(v1::DType dtype) {
  switch (dtype) {
    case v1::DTYPE_FLOAT64:
      return ScalarType::kFloat64;
    case v1::DTYPE_FLOAT32:
      return ScalarType::kFloat32;
    case v1::DTYPE_FLOAT16:
      return ScalarType::kFloat16;
    case v1::DTYPE_BFLOAT16:
      return ScalarType::kBFloat16;
    default:
      return std::nullopt;
  }
}

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

absl::StatusOr<RowMajorMatrix> RowsFromProto(const v1::Tensor& tensor,
                                             const std::string& name) {
  const std::int64_t count = CountOf(tensor);
  const int rank = tensor.shape_size();
  if (count < 1 || rank < 1 || rank > 3 || tensor.dtype() == v1::DTYPE_INT64) {
    return WrongTensor(tensor, name);
  }
  const std::int64_t columns = tensor.shape(rank - 1);
  RowMajorMatrix matrix(count / columns, columns);
  switch (tensor.dtype()) {
    case v1::DTYPE_FLOAT64:
      Widen<double>(tensor.data(), &matrix);
      break;
    case v1::DTYPE_FLOAT32:
      Widen<float>(tensor.data(), &matrix);
      break;
    case v1::DTYPE_FLOAT16:
      Widen<Eigen::half>(tensor.data(), &matrix);
      break;
    default:
      Widen<Eigen::bfloat16>(tensor.data(), &matrix);
  }
  return matrix;
}

absl::StatusOr<std::vector<double>> DoublesFromProto(const v1::Tensor& tensor,
                                                     const std::string& name) {
  return VectorFromProto<double>(tensor, v1::DTYPE_FLOAT64, name);
}

absl::StatusOr<std::vector<std::int64_t>> IntegersFromProto(
    const v1::Tensor& tensor, const std::string& name) {
  return VectorFromProto<std::int64_t>(tensor, v1::DTYPE_INT64, name);
}

absl::Status ToProto(const TensorView& view, const std::string& field,
                     std::int64_t bytes_max, v1::Tensor* tensor) {
  const absl::StatusOr<std::int64_t> bytes = CheckedBytes(view, field);
  if (!bytes.ok()) return bytes.status();
  absl::Status fits = CheckBytesMax(*bytes, field, bytes_max);
  if (!fits.ok()) return fits;
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
  if (layout.extents[2] == 1 || layout.strides[2] == 1) {
    GatherRows(layout, BytesOf(view.type()), view.data(), data->data());
    return absl::OkStatus();
  }
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

std::chrono::system_clock::time_point TimeFromProto(
    const google::protobuf::Timestamp& time) {
  return std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::seconds(time.seconds()) +
          std::chrono::nanoseconds(time.nanos())));
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
