#include "tests/client/support/fake_matrices.h"

#include <numeric>
#include <utility>

#include "client/src/crc32c.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::client::test {
namespace {

constexpr int kInvalidArgument = 3;
constexpr int kNotFound = 5;
constexpr int kAlreadyExists = 6;

std::int64_t Padded(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

std::int64_t WidthOf(v1::DType dtype) {
  return dtype == v1::DTYPE_FLOAT64 ? 8 : dtype == v1::DTYPE_FLOAT32 ? 4 : 2;
}

std::int64_t TotalOf(const v1::UploadHeader& header) {
  if (header.has_dense()) {
    return std::accumulate(
        header.dense().shape().begin(), header.dense().shape().end(),
        WidthOf(header.dense().dtype()),
        [](std::int64_t a, std::int64_t b) { return a * b; });
  }
  const v1::CsrLayout& csr = header.csr();
  return Padded(8 * (csr.rows() + 1)) + Padded(4 * csr.nonzeros()) +
         Padded(WidthOf(csr.dtype()) * csr.nonzeros());
}

std::string IdOf(const std::string& name) {
  return name.substr(name.find('/') + 1);
}

}  // namespace

FakeReply RefusalFor(int code, const std::string& reason) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("steelyard");
  v1::RpcStatus status;
  status.set_code(code);
  status.set_message(reason);
  google::protobuf::Any* any = status.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  return {
      .code = code, .message = reason, .details = status.SerializeAsString()};
}

v1::Matrix MatrixOf(const std::string& id, const FakeMatrices::Upload& upload) {
  v1::Matrix matrix;
  matrix.set_name("matrices/" + id);
  if (upload.header.has_dense())
    *matrix.mutable_dense() = upload.header.dense();
  if (upload.header.has_csr()) *matrix.mutable_csr() = upload.header.csr();
  matrix.set_size_bytes(upload.total);
  matrix.set_crc32c(upload.header.crc32c());
  matrix.mutable_create_time()->set_seconds(1'000'000'000);
  return matrix;
}

FakeMatrices::FakeMatrices(std::vector<Break> breaks) {
  shared_->breaks = std::move(breaks);
}

FakeReply FakeMatrices::Open(const v1::UploadHeader& header, Shared* shared) {
  const auto [found, is_new] = shared->uploads.try_emplace(header.matrix_id());
  if (is_new) {
    found->second.header = header;
    found->second.total = TotalOf(header);
    return {};
  }
  return found->second.header.SerializeAsString() == header.SerializeAsString()
             ? FakeReply{}
             : RefusalFor(kAlreadyExists, "");
}

FakeReply FakeMatrices::Take(const v1::UploadChunk& chunk, Upload* upload) {
  if (chunk.offset() != static_cast<std::int64_t>(upload->bytes.size())) {
    return RefusalFor(kInvalidArgument, "OFFSET_MISMATCH");
  }
  if (chunk.crc32c() != Crc32c(chunk.data())) {
    return RefusalFor(kInvalidArgument, "CHECKSUM_MISMATCH");
  }
  upload->bytes += chunk.data();
  return {};
}

FakeReply FakeMatrices::Receive(const Read& read, Shared* shared,
                                v1::Matrix* answer) {
  v1::UploadMatrixRequest request;
  if (!read(&request) || !request.has_header()) {
    return RefusalFor(kInvalidArgument, "MESSAGE_OUT_OF_ORDER");
  }
  const std::string id = request.header().matrix_id();
  std::unique_lock lock(shared->mutex);
  FakeReply reply = Open(request.header(), shared);
  if (reply.code != 0) return reply;
  Upload& upload = shared->uploads[id];
  const bool breaks = !shared->breaks.empty();
  Break end;
  if (breaks) {
    end = shared->breaks.front();
    shared->breaks.erase(shared->breaks.begin());
  }
  upload.bytes += std::string(static_cast<std::size_t>(end.late_bytes), '\0');
  for (int chunks = 0; !breaks || chunks < end.chunks; ++chunks) {
    lock.unlock();
    const bool more = read(&request);
    lock.lock();
    if (!more) break;
    if (chunks == 0) shared->first_offsets.push_back(request.chunk().offset());
    shared->bytes_received +=
        static_cast<std::int64_t>(request.chunk().data().size());
    reply = Take(request.chunk(), &upload);
    if (reply.code != 0) return reply;
  }
  if (breaks) return end.reply;
  if (Crc32c(upload.bytes) != upload.header.crc32c()) {
    return RefusalFor(kInvalidArgument, "CHECKSUM_MISMATCH");
  }
  upload.complete = true;
  *answer = MatrixOf(id, upload);
  return {};
}

FakeHandlers FakeMatrices::Handlers() const {
  FakeHandlers handlers;
  handlers.upload_matrix = [shared = shared_](const FakeCall&, const Read& read,
                                              v1::Matrix* answer) {
    return Receive(read, shared.get(), answer);
  };
  handlers.get_upload_status = [shared = shared_](const FakeCall&,
                                                  const auto& request,
                                                  v1::UploadStatus* status) {
    const std::lock_guard lock(shared->mutex);
    const auto found = shared->uploads.find(IdOf(request.name()));
    if (found == shared->uploads.end()) return Refusal(kNotFound, "none");
    status->set_committed_size(
        static_cast<std::int64_t>(found->second.bytes.size()));
    status->set_total_size(found->second.total);
    status->set_complete(found->second.complete);
    return FakeReply{};
  };
  handlers.get_matrix = [shared = shared_](const FakeCall&, const auto& request,
                                           v1::Matrix* matrix) {
    const std::lock_guard lock(shared->mutex);
    const auto found = shared->uploads.find(IdOf(request.name()));
    if (found == shared->uploads.end() || !found->second.complete) {
      return Refusal(kNotFound, "none");
    }
    *matrix = MatrixOf(found->first, found->second);
    return FakeReply{};
  };
  handlers.list_matrices = [shared = shared_](
                               const FakeCall&, const auto& request,
                               v1::ListMatricesResponse* response) {
    const std::lock_guard lock(shared->mutex);
    // Two a page, whatever was asked for.
    for (auto at = shared->uploads.upper_bound(request.page_token());
         at != shared->uploads.end(); ++at) {
      if (response->matrices_size() == 2) {
        response->set_next_page_token(IdOf(response->matrices(1).name()));
        break;
      }
      *response->add_matrices() = MatrixOf(at->first, at->second);
    }
    return FakeReply{};
  };
  handlers.delete_matrix = [shared = shared_](const FakeCall&,
                                              const auto& request, auto*) {
    const std::lock_guard lock(shared->mutex);
    return shared->uploads.erase(IdOf(request.name())) == 1
               ? FakeReply{}
               : Refusal(kNotFound, "none");
  };
  return handlers;
}

FakeMatrices::Upload FakeMatrices::upload(const std::string& id) const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->uploads[id];
}

void FakeMatrices::Put(const std::string& id, Upload upload) const {
  const std::lock_guard lock(shared_->mutex);
  shared_->uploads[id] = std::move(upload);
}

std::vector<std::int64_t> FakeMatrices::first_offsets() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->first_offsets;
}

std::int64_t FakeMatrices::bytes_received() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->bytes_received;
}

}  // namespace steelyard::client::test
