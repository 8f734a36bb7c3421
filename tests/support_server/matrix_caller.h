// The RPCs of MatrixService, called with plain messages, and uploads to send.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "steelyard/v1/matrix_service.pb.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::test {

// A header and all bytes that belong to it.
struct MatrixUpload {
  v1::UploadHeader header;
  std::string bytes;
};

// Of a matrix that a request could bring itself.
MatrixUpload UploadOf(const std::string& id, const v1::Tensor& dense);
MatrixUpload UploadOf(const std::string& id, const v1::CsrMatrix& csr);

v1::UploadMatrixRequest HeaderMessage(const MatrixUpload& upload);
// Bytes [offset, offset + size), fewer at the end.
v1::UploadMatrixRequest ChunkMessage(const MatrixUpload& upload,
                                     std::int64_t offset, std::int64_t size);
// The header and what comes from `offset` on, in chunks of `chunk` bytes.
std::vector<v1::UploadMatrixRequest> MessagesOf(const MatrixUpload& upload,
                                                std::int64_t offset = 0,
                                                std::int64_t chunk = 1 << 20);

using UploadWriter = grpc::ClientWriterInterface<v1::UploadMatrixRequest>;

class MatrixCaller {
 public:
  // Each caller has a connection of its own.
  explicit MatrixCaller(const std::string& address);
  ~MatrixCaller();
  MatrixCaller(const MatrixCaller&) = delete;
  MatrixCaller& operator=(const MatrixCaller&) = delete;

  std::unique_ptr<UploadWriter> Upload(grpc::ClientContext* context,
                                       v1::Matrix* response) const;
  // All messages, then the answer.
  grpc::Status Send(const std::vector<v1::UploadMatrixRequest>& messages,
                    v1::Matrix* response) const;
  grpc::Status Send(const MatrixUpload& upload, v1::Matrix* response) const {
    return Send(MessagesOf(upload), response);
  }
  // Goes on where GetUploadStatus says.
  grpc::Status Resume(const MatrixUpload& upload, v1::Matrix* response) const;

  grpc::Status Status(const std::string& name, v1::UploadStatus* status) const;
  grpc::Status Get(const std::string& name, v1::Matrix* matrix) const;
  grpc::Status List(const v1::ListMatricesRequest& request,
                    v1::ListMatricesResponse* response) const;
  grpc::Status Delete(const std::string& name) const;

  // committed_size; -1: the call failed.
  std::int64_t Committed(const std::string& name) const;

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace steelyard::test
