#include "tests/support_server/streamed_keys.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tests/support_server/requests.h"

namespace steelyard::test {
namespace {

// No test waits longer.
constexpr std::chrono::seconds kPatience{60};

}  // namespace

v1::Tensor WideKeys(std::int64_t n, std::int64_t d, std::uint64_t seed) {
  constexpr std::int64_t kEvery = 30;
  constexpr double kLonger = 10.0;
  v1::Tensor keys = NormalTensor(n, d, seed);
  std::vector<double> row(static_cast<std::size_t>(d));
  const std::size_t row_bytes = row.size() * sizeof(double);
  for (std::int64_t i = kEvery / 2; i < n; i += kEvery) {
    char* const place =
        keys.mutable_data()->data() + static_cast<std::size_t>(i) * row_bytes;
    std::memcpy(row.data(), place, row_bytes);
    for (double& number : row) number *= kLonger;
    std::memcpy(place, row.data(), row_bytes);
  }
  return keys;
}

v1::StreamKeysRequest OpenMessage(const std::string& id, std::int64_t columns,
                                  std::int64_t heads) {
  v1::StreamKeysRequest message;
  v1::OpenKeys* const open = message.mutable_open();
  open->set_set_id(id);
  open->set_columns(columns);
  open->set_heads(heads);
  open->set_dtype(v1::DTYPE_FLOAT64);
  open->set_epsilon(0.1);
  return message;
}

v1::StreamKeysRequest ResumeMessage(const std::string& id) {
  v1::StreamKeysRequest message;
  message.mutable_open()->set_set_id(id);
  message.mutable_open()->set_resume(true);
  return message;
}

v1::StreamKeysRequest ChunkMessage(const v1::Tensor& keys, std::int64_t offset,
                                   std::int64_t rows) {
  v1::StreamKeysRequest message;
  v1::KeyChunk* const chunk = message.mutable_chunk();
  const std::int64_t columns = keys.shape(1);
  const std::int64_t row = columns * static_cast<std::int64_t>(sizeof(double));
  chunk->set_head(0);
  chunk->set_offset(offset);
  chunk->mutable_keys()->set_dtype(v1::DTYPE_FLOAT64);
  chunk->mutable_keys()->add_shape(rows);
  chunk->mutable_keys()->add_shape(columns);
  chunk->mutable_keys()->set_data(
      keys.data().substr(static_cast<std::size_t>(offset * row),
                         static_cast<std::size_t>(rows * row)));
  return message;
}

v1::StreamKeysRequest SnapshotMessage() {
  v1::StreamKeysRequest message;
  message.mutable_snapshot();
  return message;
}

v1::StreamKeysRequest CheckpointMessage() {
  v1::StreamKeysRequest message;
  message.mutable_checkpoint();
  return message;
}

v1::StreamKeysRequest FinishMessage() {
  v1::StreamKeysRequest message;
  message.mutable_finish();
  return message;
}

v1::StreamKeysRequest StateMessage(const v1::StateChunk& chunk) {
  v1::StreamKeysRequest message;
  *message.mutable_state() = chunk;
  return message;
}

StreamedKeys::StreamedKeys(const SetCaller& caller) {
  context_.set_deadline(std::chrono::system_clock::now() + kPatience);
  stream_ = caller.StreamKeys(&context_);
}

StreamedKeys::~StreamedKeys() {
  if (finished_) return;
  context_.TryCancel();
  (void)Finish();
}

bool StreamedKeys::Send(const v1::StreamKeysRequest& message) {
  return stream_->Write(message);
}

void StreamedKeys::SendKeys(const v1::Tensor& keys, std::int64_t first,
                            std::int64_t last, std::int64_t rows) {
  for (std::int64_t offset = first; offset < last; offset += rows) {
    if (!Send(ChunkMessage(keys, offset, std::min(rows, last - offset)))) {
      return;
    }
  }
}

bool StreamedKeys::Read(v1::StreamKeysResponse* response) {
  if (finished_ || !stream_->Read(response)) return false;
  if (response->has_opened()) opened_ = response->opened();
  if (response->has_set()) sets_.push_back(response->set());
  if (response->has_ack()) {
    acked_.assign(response->ack().next_offset().begin(),
                  response->ack().next_offset().end());
  }
  return true;
}

const v1::OpenedKeys* StreamedKeys::Opened() {
  v1::StreamKeysResponse response;
  while (Read(&response)) {
    if (response.has_opened()) return &opened_;
  }
  return nullptr;
}

bool StreamedKeys::WaitForAck(std::int64_t offset, int head) {
  v1::StreamKeysResponse response;
  while (acked_.size() <= static_cast<std::size_t>(head) ||
         acked_[static_cast<std::size_t>(head)] < offset) {
    if (!Read(&response)) return false;
  }
  return true;
}

v1::UniversalSet StreamedKeys::ReadSet() {
  sets_.clear();
  v1::StreamKeysResponse response;
  while (sets_.empty() || sets_.back().more_follows()) {
    if (!Read(&response)) return {};
  }
  return Joined(sets_).front();
}

std::vector<v1::StateChunk> StreamedKeys::ReadState() {
  std::vector<v1::StateChunk> chunks;
  v1::StreamKeysResponse response;
  while (chunks.empty() || !chunks.back().last()) {
    if (!Read(&response)) break;
    if (response.has_state()) chunks.push_back(response.state());
  }
  return chunks;
}

grpc::Status StreamedKeys::Finish() {
  v1::StreamKeysResponse response;
  sets_.clear();
  while (Read(&response)) {
  }
  finished_ = true;
  sets_ = Joined(sets_);
  return stream_->Finish();
}

std::vector<v1::UniversalSet> StreamAll(const SetCaller& caller,
                                        const v1::StreamKeysRequest& open,
                                        const v1::Tensor& keys,
                                        std::int64_t rows) {
  StreamedKeys stream(caller);
  stream.Send(open);
  stream.SendKeys(keys, 0, keys.shape(0), rows);
  stream.Send(FinishMessage());
  const grpc::Status status = stream.Finish();
  return status.ok() ? stream.sets() : std::vector<v1::UniversalSet>();
}

}  // namespace steelyard::test
