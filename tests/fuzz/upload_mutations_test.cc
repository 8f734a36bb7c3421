// Uploads under random damage: no message brings the server down, every stream
// ends in a status of the contract, nothing that was damaged is stored, and the
// memory returns to where it was.
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/request_mutations.h"
#include "tests/server/convert/sparse_requests.h"
#include "tests/server/storage/store_fixture.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/matrix_caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"

namespace steelyard::test {
namespace {

// Sanitizers are ten times slower; they look for other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kStreams = 100;
#else
constexpr int kStreams = 1000;
#endif

constexpr std::chrono::seconds kDeadline{30};

grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

server::ServerConfig ConfigOn(const std::string& directory) {
  server::ServerConfig config = TestConfig();
  config.matrix_directory = directory;
  return config;
}

class UploadMutationsTest : public testing::Test {
 protected:
  grpc::Status Stream(const std::vector<std::string>& messages) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    grpc::ByteBuffer answer;
    const std::unique_ptr<grpc::ClientWriter<grpc::ByteBuffer>> stream(
        grpc::internal::ClientWriterFactory<grpc::ByteBuffer>::Create(
            channel_.get(),
            grpc::internal::RpcMethod(
                "/steelyard.v1.MatrixService/UploadMatrix",
                grpc::internal::RpcMethod::CLIENT_STREAMING),
            &context, &answer));
    for (const std::string& message : messages) {
      if (!stream->Write(BufferOf(message))) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }

  const server::TemporaryDirectory directory_{/*in_memory=*/true};
  RunningServer running_{ConfigOn(directory_.path())};
  const Caller caller_{running_.address()};
  const MatrixCaller matrices_{running_.address()};
  const std::shared_ptr<grpc::Channel> channel_ = grpc::CreateChannel(
      running_.address(), grpc::InsecureChannelCredentials());
};

TEST_F(UploadMutationsTest, DamagedUploadsEndInAStatusOfTheContract) {
  const std::vector<MatrixUpload> uploads = {
      UploadOf("dense", NormalTensor(8, 4)),
      UploadOf("sparse", ValidSparseRequest().a().csr())};
  RequestMutator mutator(20261122);
  std::map<grpc::StatusCode, int> codes;
  for (int i = 0; i < kStreams; ++i) {
    const MatrixUpload& upload = uploads[static_cast<std::size_t>(i / 3) % 2];
    std::vector<v1::UploadMatrixRequest> messages = MessagesOf(upload, 0, 64);
    const std::size_t damaged = mutator.Below(messages.size());
    if (i % 3 == 0) {
      std::swap(messages[damaged], messages[mutator.Below(messages.size())]);
    }
    if (i % 3 == 1) mutator.MutateFields(&messages[damaged]);
    std::vector<std::string> bytes;
    for (const auto& message : messages) {
      bytes.push_back(message.SerializeAsString());
    }
    if (i % 3 == 2) mutator.MutateBytes(&bytes[damaged]);
    const grpc::Status status = Stream(bytes);
    ++codes[status.error_code()];
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNKNOWN);
    EXPECT_NE(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    // What was left or stored goes, so that the next one starts anew.
    v1::Matrix matrix;
    const std::string name = "matrices/" + upload.header.matrix_id();
    if (status.ok() && matrices_.Get(name, &matrix).ok()) {
      // Its checksum is that of the bytes, whatever the header said.
      EXPECT_EQ(matrix.crc32c(), upload.header.crc32c());
    }
    (void)matrices_.Delete(name);
  }
  EXPECT_GT(codes[grpc::StatusCode::OK], kStreams / 50);
  EXPECT_GT(codes[grpc::StatusCode::INVALID_ARGUMENT], kStreams / 20);
  // Streams end a little after their client's part.
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (caller_.MemoryReserved() > 0 &&
         std::chrono::steady_clock::now() < end) {
  }
  EXPECT_EQ(caller_.MemoryReserved(), 0);
}

}  // namespace
}  // namespace steelyard::test
