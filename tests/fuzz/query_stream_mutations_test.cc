// Streams of query blocks under random damage: each ends in a status of the
// contract, and the memory returns to where it was.
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
#include "tests/server/convert/valid_requests.h"
#include "tests/support_server/caller.h"
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

// An open and three blocks.
template <typename Request, typename Open>
std::vector<Request> ValidStream(Open open) {
  std::vector<Request> messages(4);
  for (std::size_t b = 1; b < messages.size(); ++b) {
    v1::QueryBlock* const block = messages[b].mutable_block();
    block->set_id(static_cast<std::int64_t>(b));
    *block->mutable_queries() = open.queries();
    *block->mutable_positions() = open.positions();
  }
  open.clear_queries();
  open.clear_positions();
  *messages[0].mutable_open() = std::move(open);
  return messages;
}

class QueryStreamMutationsTest : public testing::Test {
 protected:
  QueryStreamMutationsTest()
      : channel_(grpc::CreateChannel(running_.address(),
                                     grpc::InsecureChannelCredentials())) {
    (void)channel_->WaitForConnected(std::chrono::system_clock::now() +
                                     kDeadline);
  }

  grpc::Status Stream(const char* method,
                      const std::vector<std::string>& messages) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    using RawStream =
        grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
    const std::unique_ptr<RawStream> stream(
        grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer,
                                                  grpc::ByteBuffer>::
            Create(channel_.get(),
                   grpc::internal::RpcMethod(
                       method, grpc::internal::RpcMethod::BIDI_STREAMING),
                   &context));
    for (const std::string& message : messages) {
      if (!stream->Write(BufferOf(message))) break;
    }
    stream->WritesDone();
    grpc::ByteBuffer answer;
    while (stream->Read(&answer)) continue;
    return stream->Finish();
  }

  template <typename Request>
  void SendMutated(const char* method,
                   const std::vector<std::vector<Request>>& valid) {
    RequestMutator mutator(20261122);
    std::map<grpc::StatusCode, int> codes;
    for (int i = 0; i < kStreams; ++i) {
      std::vector<Request> messages = valid[mutator.Below(valid.size())];
      const std::size_t damaged = mutator.Below(messages.size());
      if (i % 3 == 0) std::swap(messages[damaged], messages[mutator.Below(4)]);
      if (i % 3 == 1) mutator.MutateFields(&messages[damaged]);
      std::vector<std::string> bytes;
      for (const Request& message : messages) {
        bytes.push_back(message.SerializeAsString());
      }
      if (i % 3 == 2) mutator.MutateBytes(&bytes[damaged]);
      const grpc::Status status = Stream(method, bytes);
      ++codes[status.error_code()];
      for (const grpc::StatusCode never :
           {grpc::StatusCode::UNKNOWN, grpc::StatusCode::UNAVAILABLE,
            grpc::StatusCode::UNIMPLEMENTED,
            grpc::StatusCode::DEADLINE_EXCEEDED}) {
        EXPECT_NE(status.error_code(), never) << status.error_message();
      }
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

  RunningServer running_;
  const Caller caller_{running_.address()};
  const std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(QueryStreamMutationsTest, StreamQueryHeavy) {
  v1::QueryHeavyRequest causal = ValidQueryHeavyRequest();
  causal.set_causal(true);
  for (int i = 0; i < 5; ++i) causal.add_positions(2 * i);
  v1::QueryHeavyRequest softmax = ValidQueryHeavyRequest();
  softmax.set_packed(true);
  softmax.mutable_function()->mutable_softmax()->set_mode(
      v1::SOFTMAX_MODE_CERTIFIED);
  using Request = v1::StreamQueryHeavyRequest;
  SendMutated<Request>(
      "/steelyard.v1.UniversalSetService/StreamQueryHeavy",
      {ValidStream<Request>(ValidQueryHeavyRequest()),
       ValidStream<Request>(causal), ValidStream<Request>(softmax)});
}

TEST_F(QueryStreamMutationsTest, StreamAttend) {
  v1::AttendRequest causal = ValidAttendRequest();
  causal.set_causal(true);
  causal.set_normalization(v1::NORMALIZATION_ALL);
  for (int i = 0; i < 5; ++i) causal.add_positions(2 * i);
  v1::AttendRequest members = ValidAttendRequest();
  members.clear_local();
  members.set_output_dtype(v1::DTYPE_FLOAT16);
  using Request = v1::StreamAttendRequest;
  SendMutated<Request>(
      "/steelyard.v1.UniversalSetService/StreamAttend",
      {ValidStream<Request>(ValidAttendRequest()), ValidStream<Request>(causal),
       ValidStream<Request>(members)});
}

}  // namespace
}  // namespace steelyard::test
