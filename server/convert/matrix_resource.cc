#include "server/convert/matrix_resource.h"

#include <chrono>
#include <cstddef>

#include "absl/time/time.h"
#include "server/convert/stored_input.h"

namespace steelyard::server {
namespace {

v1::DType DTypeOf(StorageType type) {
  switch (type) {
    case StorageType::kFloat64:
      return v1::DTYPE_FLOAT64;
    case StorageType::kFloat32:
      return v1::DTYPE_FLOAT32;
    case StorageType::kFloat16:
      return v1::DTYPE_FLOAT16;
    case StorageType::kBFloat16:
      return v1::DTYPE_BFLOAT16;
  }
  return v1::DTYPE_UNSPECIFIED;
}

}  // namespace

void ToProto(const MatrixInfo& info, v1::Matrix* proto) {
  proto->set_name(MatrixName(info.id));
  const MatrixLayout& layout = info.layout;
  if (layout.sparse) {
    v1::CsrLayout* const csr = proto->mutable_csr();
    csr->set_dtype(DTypeOf(layout.type));
    csr->set_rows(layout.rows);
    csr->set_columns(layout.cols);
    csr->set_nonzeros(layout.nonzeros);
  } else {
    v1::DenseLayout* const dense = proto->mutable_dense();
    dense->set_dtype(DTypeOf(layout.type));
    if (layout.extents == 3) dense->add_shape(layout.heads);
    dense->add_shape(layout.rows);
    dense->add_shape(layout.cols);
  }
  proto->set_size_bytes(layout.size());
  proto->set_crc32c(info.crc32c);
  const std::int64_t micros =
      std::chrono::duration_cast<std::chrono::microseconds>(
          info.create_time.time_since_epoch())
          .count();
  proto->mutable_create_time()->set_seconds(micros / 1'000'000);
  proto->mutable_create_time()->set_nanos(
      static_cast<std::int32_t>(micros % 1'000'000 * 1000));
}

void ToProto(const UploadState& state, v1::UploadStatus* proto) {
  proto->set_committed_size(state.committed);
  proto->set_total_size(state.total);
  proto->set_complete(state.complete);
}

void ToProto(const std::vector<MatrixInfo>& infos, const PageRequest& page,
             v1::ListMatricesResponse* response) {
  for (const MatrixInfo& info : infos) {
    if (static_cast<std::size_t>(response->matrices_size()) == page.size) {
      response->set_next_page_token(PageTokenOf(infos[page.size - 1].id));
      return;
    }
    ToProto(info, response->add_matrices());
  }
}

}  // namespace steelyard::server
