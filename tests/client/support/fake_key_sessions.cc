#include "tests/client/support/fake_key_sessions.h"

#include <algorithm>
#include <limits>

#include "client/src/crc32c.h"
#include "steelyard/v1/error_details.pb.h"

namespace steelyard::client::test {
namespace {

constexpr int kInvalidArgument = 3;
constexpr int kNotFound = 5;
constexpr int kAlreadyExists = 6;
constexpr int kFailedPrecondition = 9;

FakeReply WithReason(int code, const std::string& reason) {
  FakeReply reply{.code = code, .message = reason};
  v1::RpcStatus status;
  v1::ErrorInfo info;
  info.set_reason(reason);
  google::protobuf::Any* any = status.add_details();
  any->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any->set_value(info.SerializeAsString());
  reply.details = status.SerializeAsString();
  return reply;
}

void Ack(const FakeKeySessions::Stream& stream,
         const std::vector<std::int64_t>& next) {
  v1::StreamKeysResponse response;
  for (const std::int64_t offset : next) {
    response.mutable_ack()->add_next_offset(offset);
  }
  stream.write(response);
}

}  // namespace

FakeReply FakeKeySessions::operator()(const FakeCall&, const Stream& stream) {
  v1::StreamKeysRequest request;
  if (!stream.read(&request) || !request.has_open()) {
    return {.code = kInvalidArgument, .message = "no opening"};
  }
  const std::lock_guard lock(shared_->mutex);  // One attachment at a time.
  Break end{.chunks = std::numeric_limits<int>::max()};
  if (shared_->attachments < shared_->breaks.size())
    end = shared_->breaks[shared_->attachments];
  ++shared_->attachments;
  if (end.chunks == 0 && !end.after_open && !end.at_finish) return end.reply;
  const std::string id = request.open().set_id();
  const auto found = shared_->sessions.find(id);
  if (request.open().resume()) {
    if (found == shared_->sessions.end()) {
      return {.code = kNotFound, .message = "no such set"};
    }
    if (found->second.finished) {
      return WithReason(kFailedPrecondition, "SET_FINISHED");
    }
  } else if (found != shared_->sessions.end()) {
    return {.code = kAlreadyExists, .message = "taken"};
  }
  Session& session = shared_->sessions[id];
  if (!request.open().resume()) {
    session.open = request.open();
    const auto heads = static_cast<std::size_t>(
        std::max<std::int64_t>(request.open().heads(), 1));
    session.keys.resize(heads);
    session.next.resize(heads);
    if (request.open().import_state()) {
      std::string state;
      while (stream.read(&request)) {
        state += request.state().data();
        if (request.state().last()) break;
      }
      // A state of this fake: the bytes of one head, keys of 8 bytes.
      session.keys[0] = state;
      session.next[0] = static_cast<std::int64_t>(state.size() / 8);
    }
  }
  if (end.after_open) return end.reply;
  v1::StreamKeysResponse response;
  response.mutable_opened()->set_name("universalSets/" + id);
  response.mutable_opened()->set_chunk_bytes_max(chunk_bytes_max_);
  for (const std::int64_t next : session.next) {
    response.mutable_opened()->add_next_offset(next);
  }
  stream.write(response);
  return Serve(stream, &session, end);
}

FakeReply FakeKeySessions::Serve(const Stream& stream, Session* session,
                                 const Break& end) {
  Session kept = *session;
  int chunks = 0;
  v1::StreamKeysRequest request;
  while (stream.read(&request)) {
    switch (request.message_case()) {
      case v1::StreamKeysRequest::kChunk:
        if (!Take(request.chunk(), &kept, &kept.next)) {
          return WithReason(kInvalidArgument, "OFFSET_MISMATCH");
        }
        if (end.keeps) *session = kept;
        if (end.ack) Ack(stream, kept.next);
        if (++chunks == end.chunks) return end.reply;
        break;
      case v1::StreamKeysRequest::kSnapshot:
        Answer(stream, kept);
        break;
      case v1::StreamKeysRequest::kCheckpoint: {
        v1::StreamKeysResponse response;
        response.mutable_state()->set_data(kept.keys[0]);
        response.mutable_state()->set_crc32c(Crc32c(kept.keys[0]));
        response.mutable_state()->set_last(true);
        stream.write(response);
        break;
      }
      case v1::StreamKeysRequest::kFinish:
        kept.finished = true;
        *session = kept;
        if (end.at_finish) return end.reply;
        Answer(stream, kept);
        return {};
      default:
        return {.code = kInvalidArgument, .message = "MESSAGE_OUT_OF_ORDER"};
    }
  }
  *session = kept;
  return {};
}

bool FakeKeySessions::Take(const v1::KeyChunk& chunk, Session* session,
                           std::vector<std::int64_t>* next) const {
  const v1::Tensor& keys = chunk.keys();
  const int rank = keys.shape_size();
  const bool whole = !chunk.has_head();
  const auto heads = session->keys.size();
  const std::int64_t count = keys.shape(rank - 2);
  if (chunk.crc32c() != Crc32c(keys.data()) ||
      keys.data().size() > static_cast<std::size_t>(chunk_bytes_max_)) {
    return false;
  }
  for (std::size_t h = 0; h < heads; ++h) {
    if (!whole && static_cast<std::size_t>(chunk.head()) != h) continue;
    if ((*next)[h] != chunk.offset()) return false;
    const std::size_t part = keys.data().size() / (whole ? heads : 1);
    session->keys[h] += keys.data().substr(whole ? h * part : 0, part);
    (*next)[h] += count;
  }
  return true;
}

void FakeKeySessions::Answer(const Stream& stream, const Session& session) {
  for (std::size_t h = 0; h < session.keys.size(); ++h) {
    v1::StreamKeysResponse response;
    v1::UniversalSet* set = response.mutable_set();
    set->set_head(static_cast<std::int64_t>(h));
    set->set_keys(session.next[h]);
    // In two parts.
    set->add_indices(0);
    set->add_sensitivities(1.0);
    set->set_more_follows(true);
    stream.write(response);
    set->clear_keys();
    set->set_indices(0, 1);
    set->set_more_follows(false);
    stream.write(response);
  }
}

FakeKeySessions::Session FakeKeySessions::session(const std::string& id) const {
  const std::lock_guard lock(shared_->mutex);
  const auto found = shared_->sessions.find(id);
  return found == shared_->sessions.end() ? Session() : found->second;
}

int FakeKeySessions::attachments() const {
  const std::lock_guard lock(shared_->mutex);
  return static_cast<int>(shared_->attachments);
}

}  // namespace steelyard::client::test
