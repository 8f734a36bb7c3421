#include "tests/support_server/matrix_caller.h"

#include <google/protobuf/empty.pb.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

#include "server/checksum/crc32c.h"
#include "steelyard/v1/matrix_service.grpc.pb.h"

namespace steelyard::test {
namespace {

std::shared_ptr<grpc::Channel> OwnConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A connection that a test has cut is there again soon.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), arguments);
  (void)channel->WaitForConnected(std::chrono::system_clock::now() +
                                  std::chrono::seconds(10));
  return channel;
}

void AppendPadded(const std::string& part, std::string* all) {
  *all += part;
  all->resize((all->size() + 63) / 64 * 64, '\0');
}

}  // namespace

MatrixUpload UploadOf(const std::string& id, const v1::Tensor& dense) {
  MatrixUpload upload{.header = {}, .bytes = dense.data()};
  upload.header.set_matrix_id(id);
  v1::DenseLayout* const layout = upload.header.mutable_dense();
  layout->set_dtype(dense.dtype());
  *layout->mutable_shape() = dense.shape();
  upload.header.set_crc32c(server::Crc32c(upload.bytes));
  return upload;
}

MatrixUpload UploadOf(const std::string& id, const v1::CsrMatrix& csr) {
  MatrixUpload upload;
  upload.header.set_matrix_id(id);
  v1::CsrLayout* const layout = upload.header.mutable_csr();
  layout->set_dtype(csr.dtype());
  layout->set_rows(csr.rows());
  layout->set_columns(csr.columns());
  layout->set_nonzeros(
      static_cast<std::int64_t>(csr.column_indices().size() / 4));
  AppendPadded(csr.row_offsets(), &upload.bytes);
  AppendPadded(csr.column_indices(), &upload.bytes);
  AppendPadded(csr.values(), &upload.bytes);
  upload.header.set_crc32c(server::Crc32c(upload.bytes));
  return upload;
}

v1::UploadMatrixRequest HeaderMessage(const MatrixUpload& upload) {
  v1::UploadMatrixRequest message;
  *message.mutable_header() = upload.header;
  return message;
}

v1::UploadMatrixRequest ChunkMessage(const MatrixUpload& upload,
                                     std::int64_t offset, std::int64_t size) {
  v1::UploadMatrixRequest message;
  v1::UploadChunk* const chunk = message.mutable_chunk();
  chunk->set_offset(offset);
  chunk->set_data(upload.bytes.substr(static_cast<std::size_t>(offset),
                                      static_cast<std::size_t>(size)));
  chunk->set_crc32c(server::Crc32c(chunk->data()));
  return message;
}

std::vector<v1::UploadMatrixRequest> MessagesOf(const MatrixUpload& upload,
                                                std::int64_t offset,
                                                std::int64_t chunk) {
  std::vector<v1::UploadMatrixRequest> messages = {HeaderMessage(upload)};
  const auto total = static_cast<std::int64_t>(upload.bytes.size());
  for (; offset < total; offset += chunk) {
    messages.push_back(ChunkMessage(upload, offset, chunk));
  }
  return messages;
}

struct MatrixCaller::Stub {
  explicit Stub(const std::string& address) : stub(OwnConnection(address)) {}
  v1::MatrixService::Stub stub;
};

MatrixCaller::MatrixCaller(const std::string& address)
    : stub_(std::make_unique<Stub>(address)) {}

MatrixCaller::~MatrixCaller() = default;

std::unique_ptr<UploadWriter> MatrixCaller::Upload(grpc::ClientContext* context,
                                                   v1::Matrix* response) const {
  return stub_->stub.UploadMatrix(context, response);
}

grpc::Status MatrixCaller::Send(
    const std::vector<v1::UploadMatrixRequest>& messages,
    v1::Matrix* response) const {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(60));
  const auto writer = Upload(&context, response);
  for (const v1::UploadMatrixRequest& message : messages) {
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  return writer->Finish();
}

grpc::Status MatrixCaller::Resume(const MatrixUpload& upload,
                                  v1::Matrix* response) const {
  v1::UploadStatus there;
  const grpc::Status known =
      Status("matrices/" + upload.header.matrix_id(), &there);
  if (!known.ok()) return known;
  return Send(MessagesOf(upload, there.committed_size()), response);
}

grpc::Status MatrixCaller::Status(const std::string& name,
                                  v1::UploadStatus* status) const {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(30));
  v1::GetUploadStatusRequest request;
  request.set_name(name);
  return stub_->stub.GetUploadStatus(&context, request, status);
}

grpc::Status MatrixCaller::Get(const std::string& name,
                               v1::Matrix* matrix) const {
  grpc::ClientContext context;
  v1::GetMatrixRequest request;
  request.set_name(name);
  return stub_->stub.GetMatrix(&context, request, matrix);
}

grpc::Status MatrixCaller::List(const v1::ListMatricesRequest& request,
                                v1::ListMatricesResponse* response) const {
  grpc::ClientContext context;
  return stub_->stub.ListMatrices(&context, request, response);
}

grpc::Status MatrixCaller::Delete(const std::string& name) const {
  grpc::ClientContext context;
  v1::DeleteMatrixRequest request;
  request.set_name(name);
  google::protobuf::Empty response;
  return stub_->stub.DeleteMatrix(&context, request, &response);
}

std::int64_t MatrixCaller::Committed(const std::string& name) const {
  v1::UploadStatus status;
  return Status(name, &status).ok() ? status.committed_size() : -1;
}

}  // namespace steelyard::test
