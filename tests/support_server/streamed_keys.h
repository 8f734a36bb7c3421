// A client of StreamKeys for tests: one stream, message by message.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "steelyard/v1/universal_set_service.pb.h"
#include "tests/support_server/set_caller.h"

namespace steelyard::test {

// n x d FLOAT64 keys, normal, every 30th ten times as long: some of them reach
// epsilon 0.1 and most do not.
v1::Tensor WideKeys(std::int64_t n, std::int64_t d, std::uint64_t seed);

// epsilon 0.1, FLOAT64.
v1::StreamKeysRequest OpenMessage(const std::string& id, std::int64_t columns,
                                  std::int64_t heads = 1);
v1::StreamKeysRequest ResumeMessage(const std::string& id);

// Rows [offset, offset + rows) of n x d FLOAT64 keys, for head 0.
v1::StreamKeysRequest ChunkMessage(const v1::Tensor& keys, std::int64_t offset,
                                   std::int64_t rows);
v1::StreamKeysRequest SnapshotMessage();
v1::StreamKeysRequest CheckpointMessage();
v1::StreamKeysRequest FinishMessage();
v1::StreamKeysRequest StateMessage(const v1::StateChunk& chunk);

class StreamedKeys {
 public:
  explicit StreamedKeys(const SetCaller& caller);
  ~StreamedKeys();

  // False: the stream is over.
  bool Send(const v1::StreamKeysRequest& message);
  // All chunks of the keys from `first` to `last`, `rows` at a time.
  void SendKeys(const v1::Tensor& keys, std::int64_t first, std::int64_t last,
                std::int64_t rows);

  // Reads until `opened`; null: the stream ended before.
  const v1::OpenedKeys* Opened();
  // Reads until an ack says so or the stream ends; then false.
  bool WaitForAck(std::int64_t offset, int head = 0);
  // Reads a snapshot of one head.
  v1::UniversalSet ReadSet();
  // Reads the chunks of a checkpoint.
  std::vector<v1::StateChunk> ReadState();

  // Reads to the end; the sets of a finish are in sets(), the last ack in
  // acked().
  grpc::Status Finish();
  const std::vector<v1::UniversalSet>& sets() const { return sets_; }
  const std::vector<std::int64_t>& acked() const { return acked_; }

  // As if the connection had broken.
  void Break() { context_.TryCancel(); }
  void HalfClose() { stream_->WritesDone(); }

 private:
  bool Read(v1::StreamKeysResponse* response);

  grpc::ClientContext context_;
  std::unique_ptr<KeyStream> stream_;
  bool finished_ = false;
  v1::OpenedKeys opened_;
  std::vector<v1::UniversalSet> sets_;
  std::vector<std::int64_t> acked_;
};

// One session from open to finish. ADD_FAILURE when it does not end well.
std::vector<v1::UniversalSet> StreamAll(const SetCaller& caller,
                                        const v1::StreamKeysRequest& open,
                                        const v1::Tensor& keys,
                                        std::int64_t rows);

}  // namespace steelyard::test
