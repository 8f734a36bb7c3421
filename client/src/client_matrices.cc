// The calls of Client that store matrices.
#include <string>
#include <utility>
#include <vector>

#include "connection.h"
#include "matrix_bytes.h"
#include "matrix_codec.h"
#include "matrix_upload.h"
#include "steelyard/client/client.h"

namespace steelyard::client {
namespace {

template <typename Matrix>
absl::StatusOr<UploadedMatrix> Upload(const Connection& connection,
                                      const std::string& matrix_id,
                                      const Matrix& matrix,
                                      const UploadOptions& options,
                                      const CallOptions& call) {
  const absl::StatusOr<MatrixBytes> bytes = MatrixBytes::Of(matrix);
  if (!bytes.ok()) return bytes.status();
  return MatrixUpload(connection, matrix_id, *bytes, options).Run(call);
}

template <typename Matrix>
absl::StatusOr<std::uint32_t> Checksum(const Matrix& matrix) {
  const absl::StatusOr<MatrixBytes> bytes = MatrixBytes::Of(matrix);
  if (!bytes.ok()) return bytes.status();
  return ChecksumOf(*bytes);
}

}  // namespace

absl::StatusOr<std::uint32_t> ChecksumOf(const TensorView& matrix) {
  return Checksum(matrix);
}

absl::StatusOr<std::uint32_t> ChecksumOf(const CsrView& matrix) {
  return Checksum(matrix);
}

absl::StatusOr<UploadedMatrix> Client::UploadMatrix(
    const std::string& matrix_id, const TensorView& matrix,
    const UploadOptions& options, const CallOptions& call) const {
  return Upload(*connection_, matrix_id, matrix, options, call);
}

absl::StatusOr<UploadedMatrix> Client::UploadMatrix(
    const std::string& matrix_id, const CsrView& matrix,
    const UploadOptions& options, const CallOptions& call) const {
  return Upload(*connection_, matrix_id, matrix, options, call);
}

absl::StatusOr<UploadedMatrix> Client::UploadMatrix(
    const std::string& matrix_id, const MatrixFeed& feed,
    const UploadOptions& options, const CallOptions& call) const {
  return Upload(*connection_, matrix_id, feed, options, call);
}

absl::StatusOr<UploadStatus> Client::GetUploadStatus(
    const std::string& name, const CallOptions& call) const {
  v1::GetUploadStatusRequest request;
  request.set_name(MatrixName(name));
  v1::UploadStatus upload;
  absl::Status status = connection_->GetUploadStatus(request, call, &upload);
  if (!status.ok()) return status;
  return FromProto(upload);
}

absl::StatusOr<MatrixInfo> Client::GetMatrix(const std::string& name,
                                             const CallOptions& call) const {
  v1::GetMatrixRequest request;
  request.set_name(MatrixName(name));
  v1::Matrix matrix;
  absl::Status status = connection_->GetMatrix(request, call, &matrix);
  if (!status.ok()) return status;
  return FromProto(matrix);
}

absl::StatusOr<MatrixPage> Client::ListMatricesPage(
    std::int32_t page_size, const std::string& page_token,
    const CallOptions& call) const {
  v1::ListMatricesRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  v1::ListMatricesResponse response;
  absl::Status status = connection_->ListMatrices(request, call, &response);
  if (!status.ok()) return status;
  MatrixPage page;
  page.next_page_token = response.next_page_token();
  for (const v1::Matrix& matrix : response.matrices()) {
    absl::StatusOr<MatrixInfo> info = FromProto(matrix);
    if (!info.ok()) return info.status();
    page.matrices.push_back(*std::move(info));
  }
  return page;
}

absl::StatusOr<std::vector<MatrixInfo>> Client::ListMatrices(
    const CallOptions& call) const {
  constexpr int kPageSize = 1000;
  std::vector<MatrixInfo> all;
  std::string page_token;
  do {
    absl::StatusOr<MatrixPage> page =
        ListMatricesPage(kPageSize, page_token, call);
    if (!page.ok()) return page.status();
    for (MatrixInfo& info : page->matrices) all.push_back(std::move(info));
    page_token = page->next_page_token;
  } while (!page_token.empty());
  return all;
}

absl::Status Client::DeleteMatrix(const std::string& name,
                                  const CallOptions& call) const {
  v1::DeleteMatrixRequest request;
  request.set_name(MatrixName(name));
  return connection_->DeleteMatrix(request, call);
}

}  // namespace steelyard::client
