#include "matrix_codec.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "matrix_bytes.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr char kPrefix[] = "matrices/";

absl::Status ToProto(const CsrView& matrix, const std::string& field,
                     std::int64_t bytes_max, v1::CsrMatrix* wire) {
  absl::Status good = CheckCsr(matrix, field);
  if (!good.ok()) return good;
  const std::int64_t offset_bytes = 8 * matrix.offset_count();
  const std::int64_t index_bytes = 4 * matrix.nonzeros();
  const std::int64_t value_bytes = BytesOf(matrix.type()) * matrix.nonzeros();
  good =
      CheckBytesMax(offset_bytes + index_bytes + value_bytes, field, bytes_max);
  if (!good.ok()) return good;
  wire->set_rows(matrix.rows());
  wire->set_columns(matrix.columns());
  wire->set_dtype(DTypeOf(matrix.type()));
  std::string* offsets = wire->mutable_row_offsets();
  offsets->reserve(static_cast<std::size_t>(offset_bytes));
  for (std::int64_t i = 0; i < matrix.offset_count(); ++i) {
    const std::int64_t offset = matrix.offset(i);
    offsets->append(reinterpret_cast<const char*>(&offset), sizeof(offset));
  }
  if (matrix.nonzeros() == 0) return absl::OkStatus();
  wire->set_column_indices(matrix.column_indices().data(),
                           static_cast<std::size_t>(index_bytes));
  wire->set_values(matrix.values(), static_cast<std::size_t>(value_bytes));
  return absl::OkStatus();
}

struct LayoutWriter {
  v1::UploadHeader* header;

  void operator()(const DenseLayout& layout) const {
    v1::DenseLayout* dense = header->mutable_dense();
    dense->set_dtype(DTypeOf(layout.type));
    dense->mutable_shape()->Assign(layout.shape.begin(), layout.shape.end());
  }
  void operator()(const CsrLayout& layout) const {
    v1::CsrLayout* csr = header->mutable_csr();
    csr->set_dtype(DTypeOf(layout.type));
    csr->set_rows(layout.rows);
    csr->set_columns(layout.columns);
    csr->set_nonzeros(layout.nonzeros);
  }
};

}  // namespace

std::string MatrixName(const std::string& name_or_id) {
  if (absl::StartsWith(name_or_id, kPrefix)) return name_or_id;
  return absl::StrCat(kPrefix, name_or_id);
}

std::string MatrixId(const std::string& name_or_id) {
  return MatrixName(name_or_id).substr(sizeof(kPrefix) - 1);
}

absl::Status ToProto(const DenseSource& source, const std::string& field,
                     std::int64_t bytes_max, v1::MatrixInput* input) {
  if (const StoredMatrix* stored = source.stored()) {
    input->set_matrix(MatrixName(stored->name));
    return absl::OkStatus();
  }
  return ToProto(*source.dense(), absl::StrCat(field, ".dense"), bytes_max,
                 input->mutable_dense());
}

absl::Status ToProto(const MatrixSource& source, const std::string& field,
                     std::int64_t bytes_max, v1::MatrixInput* input) {
  if (const StoredMatrix* stored = source.stored()) {
    input->set_matrix(MatrixName(stored->name));
    return absl::OkStatus();
  }
  if (const CsrView* csr = source.csr()) {
    return ToProto(*csr, absl::StrCat(field, ".csr"), bytes_max,
                   input->mutable_csr());
  }
  return ToProto(*source.dense(), absl::StrCat(field, ".dense"), bytes_max,
                 input->mutable_dense());
}

void ToProto(const std::string& matrix_id, const MatrixLayout& layout,
             std::uint32_t crc32c, v1::UploadHeader* header) {
  header->set_matrix_id(matrix_id);
  std::visit(LayoutWriter{header}, layout);
  header->set_crc32c(crc32c);
}

absl::StatusOr<MatrixInfo> FromProto(const v1::Matrix& wire) {
  MatrixInfo info;
  info.name = wire.name();
  info.size_bytes = wire.size_bytes();
  info.crc32c = wire.crc32c();
  info.create_time = TimeFromProto(wire.create_time());
  const std::optional<ScalarType> type =
      ScalarTypeOf(wire.has_csr() ? wire.csr().dtype() : wire.dense().dtype());
  if (!type.has_value()) {
    return BrokenAnswer(absl::StrCat(wire.name(), " has no layout or type"));
  }
  if (wire.has_csr()) {
    info.layout = CsrLayout{.type = *type,
                            .rows = wire.csr().rows(),
                            .columns = wire.csr().columns(),
                            .nonzeros = wire.csr().nonzeros()};
  } else {
    info.layout = DenseLayout{
        .type = *type,
        .shape = {wire.dense().shape().begin(), wire.dense().shape().end()}};
  }
  return info;
}

UploadStatus FromProto(const v1::UploadStatus& wire) {
  return {.committed_size = wire.committed_size(),
          .total_size = wire.total_size(),
          .complete = wire.complete()};
}

}  // namespace steelyard::client
