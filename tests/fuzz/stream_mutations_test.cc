// Streams of keys and states under random damage: no message brings the server
// down, states that are damaged are refused or restored into something that
// still computes, and the memory returns to where it was.
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
#include "server/handlers/session_work.h"
#include "steelyard/workers.h"
#include "tests/fuzz/request_mutations.h"
#include "tests/support_server/caller.h"
#include "tests/support_server/requests.h"
#include "tests/support_server/running_server.h"
#include "tests/support_server/streamed_keys.h"

namespace steelyard::test {
namespace {

// Sanitizers are ten times slower; they look for other things.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kStreams = 100;
constexpr int kStates = 300;
#else
constexpr int kStreams = 1000;
constexpr int kStates = 3000;
#endif

constexpr std::chrono::seconds kDeadline{30};

grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

// A session of 40 keys: everything a stream can say but an import.
std::vector<v1::StreamKeysRequest> ValidStream(const v1::Tensor& keys) {
  return {OpenMessage("", 3),  ChunkMessage(keys, 0, 10),
          SnapshotMessage(),   ChunkMessage(keys, 10, 20),
          CheckpointMessage(), ChunkMessage(keys, 30, 10),
          FinishMessage()};
}

class StreamMutationsTest : public testing::Test {
 protected:
  StreamMutationsTest()
      : channel_(grpc::CreateChannel(running_.address(),
                                     grpc::InsecureChannelCredentials())) {
    (void)channel_->WaitForConnected(std::chrono::system_clock::now() +
                                     kDeadline);
  }

  grpc::Status Stream(const std::vector<std::string>& messages) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    using RawStream =
        grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
    const std::unique_ptr<RawStream> stream(
        grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer,
                                                  grpc::ByteBuffer>::
            Create(channel_.get(),
                   grpc::internal::RpcMethod(
                       "/steelyard.v1.UniversalSetService/"
                       "StreamKeys",
                       grpc::internal::RpcMethod::BIDI_STREAMING),
                   &context));
    for (const std::string& message : messages) {
      if (!stream->Write(BufferOf(message))) break;
    }
    stream->WritesDone();
    grpc::ByteBuffer answer;
    while (stream->Read(&answer)) {
    }
    return stream->Finish();
  }

  RunningServer running_;
  const Caller caller_{running_.address()};
  const std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(StreamMutationsTest, DamagedStreamsEndInAStatusOfTheContract) {
  const v1::Tensor keys = WideKeys(40, 3, 1);
  RequestMutator mutator(20261122);
  std::map<grpc::StatusCode, int> codes;
  for (int i = 0; i < kStreams; ++i) {
    std::vector<v1::StreamKeysRequest> messages = ValidStream(keys);
    const std::size_t damaged = mutator.Below(messages.size());
    if (i % 3 == 0) std::swap(messages[damaged], messages[mutator.Below(7)]);
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

TEST_F(StreamMutationsTest, DamagedStatesAreRefusedOrStillCompute) {
  const SetCaller caller(running_.address());
  StreamAll(caller, OpenMessage("keys", 3), WideKeys(40, 3, 1), 7);
  std::vector<v1::StateChunk> chunks;
  ASSERT_TRUE(caller.Export("universalSets/keys", &chunks).ok());
  ASSERT_EQ(chunks.size(), 1u);
  const std::string good = chunks.front().data();
  const server::Limits limits;
  const Workers workers(1);
  RequestMutator mutator(20261122);
  int refused = 0;
  int restored = 0;
  for (int i = 0; i < kStates; ++i) {
    std::string bytes = good;
    if (i % 2 == 0) {
      v1::UniversalSetState state;
      ASSERT_TRUE(state.ParseFromString(good));
      mutator.MutateFields(&state);
      bytes = state.SerializeAsString();
    } else {
      mutator.MutateBytes(&bytes);
    }
    auto state = server::ParsedState(bytes, limits);
    if (!state.ok()) {
      ++refused;
      continue;
    }
    // Memory is reserved before anything is restored.
    if (server::BytesOfSession(state->description, state->storage, limits) >
        1e9) {
      continue;
    }
    const auto passes =
        server::RestoredPasses(*std::move(state), {.workers = workers});
    if (!passes.ok()) {
      ++refused;
      EXPECT_EQ(passes.status().code(), absl::StatusCode::kInvalidArgument)
          << passes.status();
      continue;
    }
    ++restored;
    for (const OnePassUniversalSet& pass : *passes) {
      (void)pass.Snapshot({.workers = workers}).ok();
    }
  }
  EXPECT_GT(refused, kStates / 10);
  EXPECT_GT(restored, kStates / 100);
}

}  // namespace
}  // namespace steelyard::test
