#include "server/convert/matrix_upload.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/checksum/crc32c.h"
#include "server/convert/tensor_input.h"
#include "server/errors/errors.h"
#include "server/request/resource_name.h"
#include "steelyard/csr_view.h"
#include "steelyard/finite.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

// Of all bytes: products and paddings below it do not overflow.
constexpr std::int64_t kBytesMax = std::int64_t{1} << 62;
// What stands between the parts of a CSR matrix.
constexpr std::int64_t kPadding = 64;

constexpr char kData[] = "chunk.data";
// Core's name of the matrix in messages: "matrix[5,2] is nan".
constexpr char kMatrix[] = "matrix";

absl::Status CheckExtent(const std::string& field, std::int64_t extent) {
  if (extent >= 1) return absl::OkStatus();
  return WrongShapeError(field, absl::StrCat("is ", extent),
                         "every extent is >= 1");
}

absl::Status CheckMost(const std::string& field, std::int64_t extent,
                       const char* limit, std::int64_t max) {
  if (extent <= max) return absl::OkStatus();
  return LimitExceededError({.field = field,
                             .what = field,
                             .limit = limit,
                             .value = static_cast<double>(extent),
                             .max = static_cast<double>(max)});
}

// The product, or unset above kBytesMax.
std::optional<std::int64_t> Product(std::initializer_list<std::int64_t> all) {
  std::int64_t product = 1;
  for (const std::int64_t factor : all) {
    if (__builtin_mul_overflow(product, factor, &product) ||
        product > kBytesMax) {
      return std::nullopt;
    }
  }
  return product;
}

absl::StatusOr<MatrixLayout> DenseFromProto(const v1::DenseLayout& dense,
                                            const Limits& limits) {
  const std::string path = "header.dense";
  const absl::StatusOr<StorageType> type =
      StorageTypeOf(dense.dtype(), path + ".dtype");
  if (!type.ok()) return type.status();
  const std::string shape = path + ".shape";
  const int extents = dense.shape_size();
  if (extents != 2 && extents != 3) {
    return WrongShapeError(
        shape, absl::StrCat("has ", extents, " extents"),
        "2 (rows x columns) or 3 (heads x rows x columns) are required");
  }
  for (int i = 0; i < extents; ++i) {
    absl::Status extent =
        CheckExtent(absl::StrCat(shape, "[", i, "]"), dense.shape(i));
    if (!extent.ok()) return extent;
  }
  const MatrixLayout layout{.type = *type,
                            .extents = extents,
                            .heads = extents == 3 ? dense.shape(0) : 1,
                            .rows = dense.shape(extents - 2),
                            .cols = dense.shape(extents - 1)};
  absl::Status most =
      CheckMost(shape + "[0]", layout.heads, "heads_max", limits.heads_max);
  if (most.ok()) {
    most = CheckMost(absl::StrCat(shape, "[", extents - 1, "]"), layout.cols,
                     "columns_max", limits.columns_max);
  }
  if (!most.ok()) return most;
  if (!Product({layout.heads, layout.rows, layout.cols, SizeOf(*type)})) {
    return ShapeOverflowError(
        shape, absl::StrCat("is [", absl::StrJoin(dense.shape(), ", "), "]"),
        "the product in bytes must be below 2^62");
  }
  return layout;
}

absl::StatusOr<MatrixLayout> CsrFromProto(const v1::CsrLayout& csr,
                                          const Limits& limits) {
  const std::string path = "header.csr";
  const absl::StatusOr<StorageType> type =
      StorageTypeOf(csr.dtype(), path + ".dtype");
  if (!type.ok()) return type.status();
  absl::Status status = CheckExtent(path + ".rows", csr.rows());
  if (status.ok()) status = CheckExtent(path + ".columns", csr.columns());
  if (status.ok()) {
    status = CheckMost(path + ".columns", csr.columns(), "columns_max",
                       limits.columns_max);
  }
  if (!status.ok()) return status;
  if (csr.rows() > kBytesMax / 16) {
    return ShapeOverflowError(path + ".rows", absl::StrCat("is ", csr.rows()),
                              "the offsets in bytes must be below 2^61");
  }
  const std::string nonzeros = path + ".nonzeros";
  const auto places = Product({csr.rows(), csr.columns()});
  if (csr.nonzeros() < 0 || (places.has_value() && csr.nonzeros() > *places)) {
    return WrongShapeError(
        nonzeros, absl::StrCat("is ", csr.nonzeros()),
        absl::StrCat("it must be in [0, rows * columns], and those are ",
                     csr.rows(), " and ", csr.columns()));
  }
  if (csr.nonzeros() > kBytesMax / 32) {
    return ShapeOverflowError(nonzeros, absl::StrCat("is ", csr.nonzeros()),
                              "columns and values must be below 2^61 bytes");
  }
  return MatrixLayout{.type = *type,
                      .sparse = true,
                      .rows = csr.rows(),
                      .cols = csr.columns(),
                      .nonzeros = csr.nonzeros()};
}

template <typename T>
absl::Status CheckDense(const MatrixLayout& layout, const T* numbers,
                        const ComputeContext& context) {
  for (Index head = 0; head < layout.heads; ++head) {
    const MatrixView<T> view(numbers + head * layout.rows * layout.cols,
                             layout.rows, layout.cols);
    absl::Status finite =
        CheckFinite(AnyMatrixView(view), kMatrix, context, head * layout.rows);
    if (!finite.ok()) return finite;
  }
  return absl::OkStatus();
}

absl::Status CheckPadding(const std::byte* bytes, std::int64_t begin,
                          std::int64_t end) {
  for (std::int64_t at = begin; at < end; ++at) {
    if (bytes[at] != std::byte{0}) {
      return OutOfRangeError(
          kData, absl::StrCat("not zero at byte ", at, " of the matrix"),
          absl::StrCat("each part is padded with zero bytes to a multiple of ",
                       kPadding));
    }
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status CheckSparse(const MatrixLayout& layout, const std::byte* bytes,
                         const ComputeContext& context) {
  const auto* const offsets = reinterpret_cast<const std::int64_t*>(bytes);
  const auto* const columns =
      reinterpret_cast<const std::int32_t*>(bytes + layout.column_indices_at());
  const auto* const values =
      reinterpret_cast<const T*>(bytes + layout.values_at());
  const Index nonzeros = layout.nonzeros;
  absl::Status status =
      CheckPadding(bytes, (layout.rows + 1) * 8, layout.column_indices_at());
  if (status.ok()) {
    status = CheckPadding(bytes, layout.column_indices_at() + 4 * nonzeros,
                          layout.values_at());
  }
  if (status.ok()) {
    status = CheckPadding(
        bytes,
        layout.values_at() + static_cast<std::int64_t>(sizeof(T)) * nonzeros,
        layout.size());
  }
  if (!status.ok()) return status;
  const CsrView<T> view(offsets, columns, values, layout.rows, layout.cols,
                        nonzeros);
  status = CheckCsr(AnyCsrView(view), kMatrix, context);
  if (!status.ok() || nonzeros == 0) return status;
  return CheckFinite(AnyMatrixView(MatrixView<T>(values, nonzeros, 1)),
                     absl::StrCat(kMatrix, ".values"), context);
}

template <typename T>
absl::Status CheckAs(const MatrixLayout& layout, const std::byte* bytes,
                     const ComputeContext& context) {
  return layout.sparse
             ? CheckSparse<T>(layout, bytes, context)
             : CheckDense(layout, reinterpret_cast<const T*>(bytes), context);
}

absl::Status CheckTyped(const MatrixLayout& layout, const std::byte* bytes,
                        const ComputeContext& context) {
  switch (layout.type) {
    case StorageType::kFloat64:
      return CheckAs<double>(layout, bytes, context);
    case StorageType::kFloat32:
      return CheckAs<float>(layout, bytes, context);
    case StorageType::kFloat16:
      return CheckAs<Half>(layout, bytes, context);
    case StorageType::kBFloat16:
      return CheckAs<BFloat16>(layout, bytes, context);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UploadOrder> UploadOrderFromProto(const v1::UploadHeader& header,
                                                 const Limits& limits) {
  const std::string field = "header.matrix_id";
  if (header.matrix_id().empty()) {
    return FieldRequiredError(field, "[a-z][a-z0-9-]{0,62}");
  }
  absl::Status id = CheckResourceId(header.matrix_id(), field);
  if (!id.ok()) return id;
  absl::StatusOr<MatrixLayout> layout;
  switch (header.layout_case()) {
    case v1::UploadHeader::kDense:
      layout = DenseFromProto(header.dense(), limits);
      break;
    case v1::UploadHeader::kCsr:
      layout = CsrFromProto(header.csr(), limits);
      break;
    case v1::UploadHeader::LAYOUT_NOT_SET:
      return FieldRequiredError("header.layout", "dense or csr");
  }
  if (!layout.ok()) return layout.status();
  return UploadOrder{
      .id = header.matrix_id(), .layout = *layout, .crc32c = header.crc32c()};
}

absl::Status CheckChunk(const v1::UploadChunk& chunk, std::int64_t committed,
                        std::int64_t total, const Limits& limits) {
  const auto size = static_cast<std::int64_t>(chunk.data().size());
  if (size == 0) return FieldRequiredError(kData, "1 byte to 1 MiB");
  if (size > limits.chunk_bytes_max) {
    return LimitExceededError(
        {.field = kData,
         .what = absl::StrCat("the size of ", kData),
         .limit = "chunk_bytes_max",
         .value = static_cast<double>(size),
         .max = static_cast<double>(limits.chunk_bytes_max)});
  }
  if (chunk.offset() != committed) {
    return OffsetMismatchError(
        "chunk.offset", absl::StrCat("is ", chunk.offset()),
        absl::StrCat("the upload goes on at ", committed));
  }
  if (size > total - committed) {
    return WrongSizeError(
        kData, absl::StrCat("has ", size, " bytes"),
        absl::StrCat("the matrix has ", total, " bytes, of which ",
                     total - committed, " are missing"));
  }
  const std::uint32_t computed = Crc32c(chunk.data());
  if (computed != chunk.crc32c()) {
    return ChecksumMismatchError(
        "chunk.crc32c", absl::StrFormat("is %08x", chunk.crc32c()),
        absl::StrFormat("that of the data at offset %d is %08x", committed,
                        computed));
  }
  return absl::OkStatus();
}

absl::Status EndedEarlyError(std::int64_t committed, std::int64_t total) {
  return WrongSizeError(
      "chunk",
      absl::StrCat("is missing: the stream ended after ", committed, " bytes"),
      absl::StrCat("the matrix has ", total,
                   "; send the same header again and go on"));
}

absl::Status CheckNumbers(const MatrixLayout& layout, const std::byte* bytes,
                          const ComputeContext& context) {
  return WithField(CheckTyped(layout, bytes, context), kData);
}

std::string DescriptionOf(const MatrixLayout& layout) {
  const char* const type = NameOf(layout.type);
  if (layout.sparse) {
    return absl::StrCat(layout.rows, "x", layout.cols, " CSR of ",
                        layout.nonzeros, " ", type);
  }
  return absl::StrCat(
      layout.extents == 3 ? absl::StrCat(layout.heads, "x") : "", layout.rows,
      "x", layout.cols, " ", type);
}

}  // namespace steelyard::server
