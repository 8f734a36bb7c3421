#include "key_session.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "options_check.h"
#include "retry.h"
#include "set_parts.h"
#include "set_registry_codec.h"
#include "state_chunks.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kBufferLeast = std::int64_t{1} << 20;
constexpr std::int64_t kBufferMost = std::int64_t{1} << 40;
// The largest chunk of the contract.
constexpr std::int64_t kChunkBytesMost = std::int64_t{1} << 20;

absl::Status Validate(const KeyStreamFlow& flow) {
  if (flow.buffer_bytes_max < kBufferLeast ||
      flow.buffer_bytes_max > kBufferMost) {
    return InvalidOption(
        "flow.buffer_bytes_max",
        absl::StrCat("flow.buffer_bytes_max is ", flow.buffer_bytes_max,
                     "; it must be in [1 MiB, 2^40]"));
  }
  return ValidateDeadline("flow.silence_max", flow.silence_max);
}

bool HasReason(const absl::Status& status, const char* reason) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  return detail.has_value() && detail->reason == reason;
}

// 64 random bits: two streams have the same id with probability 2^-64.
std::string MadeUpId() {
  std::random_device device;
  const std::uint64_t high = device();
  return absl::StrCat("stream-",
                      absl::Hex(high << 32 | device(), absl::kZeroPad16));
}

absl::Status WrongKeys(const std::string& reason, const std::string& field,
                       const std::string& message) {
  return LocalError(absl::StatusCode::kInvalidArgument, message,
                    {.reason = reason, .field = field});
}

std::int64_t Sum(const std::vector<std::int64_t>& numbers) {
  return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
}

}  // namespace

KeySession::KeySession(std::shared_ptr<const Connection> connection,
                       CallOptions call, const KeyStreamFlow& flow)
    : connection_(std::move(connection)),
      call_(std::move(call)),
      deadline_(*call_.deadline),
      flow_(flow) {}

KeySession::Made KeySession::Make(std::shared_ptr<const Connection> connection,
                                  const KeyStreamFlow& flow,
                                  const CallOptions& call, v1::OpenKeys open,
                                  std::string_view state,
                                  std::optional<ScalarType> type) {
  absl::Status status = Validate(flow);
  if (!status.ok()) return status;
  absl::StatusOr<CallOptions> checked =
      connection->Checked(call, connection->options().deadlines.stream_keys);
  if (!checked.ok()) return checked.status();
  std::unique_ptr<KeySession> session(
      new KeySession(std::move(connection), *std::move(checked), flow));
  session->columns_ = open.columns();
  session->open_ = std::move(open);
  session->state_ = state;
  session->type_ = type;
  status = session->Run([] { return absl::OkStatus(); });
  if (!status.ok()) return status;
  return session;
}

KeySession::Made KeySession::Open(std::shared_ptr<const Connection> connection,
                                  const KeyStreamOptions& options,
                                  const CallOptions& call) {
  v1::OpenKeys open;
  ToProto(options, &open);
  if (open.set_id().empty()) open.set_set_id(MadeUpId());
  return Make(std::move(connection), options.flow, call, std::move(open), {},
              options.type);
}

KeySession::Made KeySession::Resume(
    std::shared_ptr<const Connection> connection, const std::string& name,
    const KeyStreamFlow& flow, const CallOptions& call) {
  v1::OpenKeys open;
  open.set_set_id(SetId(name));
  open.set_resume(true);
  return Make(std::move(connection), flow, call, std::move(open), {},
              std::nullopt);
}

KeySession::Made KeySession::Import(
    std::shared_ptr<const Connection> connection, std::string_view state,
    const KeyStreamOptions& options, const CallOptions& call) {
  v1::OpenKeys open;
  if (options.ttl.has_value()) {
    *open.mutable_ttl() = DurationToProto(*options.ttl);
  }
  open.set_set_id(options.set_id.empty() ? MadeUpId() : options.set_id);
  open.set_import_state(true);
  return Make(std::move(connection), options.flow, call, std::move(open), state,
              std::nullopt);
}

absl::Status KeySession::Run(const std::function<absl::Status()>& action) {
  if (over_.has_value()) return *over_;
  absl::Status outcome;
  bool progressed = true;
  while (progressed) {
    progressed = false;
    outcome = RunWithRetries(
        connection_->options().retry, deadline_, call_.stop, [&](int) {
          const std::int64_t before = Sum(buffer_.acknowledged());
          absl::Status status = Attempt(action);
          if (status.ok()) return status;
          if (link_ != nullptr) {
            buffer_.Acknowledge(link_->last_ack().next_offset);
            link_.reset();
          }
          // Attempts count from the last progress; an idle stream that the
          // server closed has lost nothing.
          const bool advanced = Sum(buffer_.acknowledged()) > before &&
                                absl::IsUnavailable(status);
          progressed = (advanced || HasReason(status, "STREAM_IDLE")) &&
                       !call_.stop.stop_requested();
          return progressed ? absl::OkStatus() : status;
        });
  }
  if (outcome.ok()) return outcome;
  AttachRecord({call_.request_id, attempts_}, &outcome);
  over_ = outcome;
  return outcome;
}

absl::Status KeySession::Attempt(const std::function<absl::Status()>& action) {
  if (link_ == nullptr) {
    absl::Status attached = Attach();
    if (!attached.ok()) return attached;
  }
  return action();
}

absl::Status KeySession::Attach() {
  ++attempts_;
  link_ = std::make_unique<KeyLink>(connection_->StreamKeys(call_, deadline_),
                                    flow_.silence_max);
  auto opening = std::make_shared<v1::StreamKeysRequest>();
  *opening->mutable_open() = open_;
  link_->Send(std::move(opening));
  if (open_.import_state()) {
    StateCutter cutter(state_);
    for (bool more = true; more;) {
      auto request = std::make_shared<v1::StreamKeysRequest>();
      more = cutter.Next(request->mutable_state());
      if (more) link_->Send(std::move(request));
    }
  }
  absl::StatusOr<v1::StreamKeysResponse> first = link_->Next();
  if (!first.ok()) {
    if (absl::IsAlreadyExists(first.status()) && attempts_ > 1 &&
        attachments_ == 0 && MadeByLostAttempt()) {
      const std::string set_id = open_.set_id();
      open_.Clear();
      open_.set_set_id(set_id);
      open_.set_resume(true);
      return Attach();
    }
    return first.status();
  }
  if (!first->has_opened()) return BrokenAnswer("`opened` is not the first");
  return TakeOpened(first->opened());
}

absl::Status KeySession::TakeOpened(const v1::OpenedKeys& opened) {
  std::vector<std::int64_t> next(opened.next_offset().begin(),
                                 opened.next_offset().end());
  if (next.empty() || opened.chunk_bytes_max() < 1) {
    return BrokenAnswer("`opened` names no heads or no size of chunks");
  }
  if (attachments_ == 0) {
    name_ = opened.name();
    buffer_.Start(std::move(next));
    open_.Clear();
    open_.set_set_id(SetId(name_));
    open_.set_resume(true);
    state_ = {};
  } else {
    absl::Status status = buffer_.Rewind(next);
    if (!status.ok()) return status;
  }
  ++attachments_;
  chunk_bytes_max_ = std::min(opened.chunk_bytes_max(), kChunkBytesMost);
  for (KeyRequest& request : buffer_.unacknowledged()) {
    link_->Send(std::move(request));
  }
  return absl::OkStatus();
}

bool KeySession::MadeByLostAttempt() const {
  v1::GetUniversalSetRequest request;
  request.set_name(absl::StrCat("universalSets/", open_.set_id()));
  v1::UniversalSetInfo info;
  CallOptions call;
  call.stop = call_.stop;
  if (!connection_->GetUniversalSet(request, call, &info).ok()) return false;
  // A name that somebody else has taken in between has keys, another shape, or
  // a stream attached.
  if (info.state() != v1::UniversalSetInfo::STATE_SUSPENDED) return false;
  if (open_.import_state()) return false;
  return Sum({info.next_offset().begin(), info.next_offset().end()}) == 0 &&
         info.heads() == open_.heads() && info.columns() == open_.columns() &&
         info.epsilon() == open_.epsilon() && info.causal() == open_.causal();
}

absl::Status KeySession::CheckKeys(std::optional<std::int64_t> head,
                                   const TensorView& keys) const {
  const auto heads = static_cast<std::int64_t>(next_offset().size());
  if (head.has_value() && (*head < 0 || *head >= heads)) {
    return WrongKeys(
        "FIELD_OUT_OF_RANGE", "head",
        absl::StrCat("head is ", *head, "; the stream has ", heads, " heads"));
  }
  const bool flat = head.has_value() || heads == 1;
  const bool shaped =
      keys.rank() == 2
          ? flat
          : keys.rank() == 3 && !head.has_value() && keys.extent(0) == heads;
  if (!shaped) {
    return WrongKeys("WRONG_SHAPE", "keys",
                     flat ? "keys must be c x d"
                          : absl::StrCat("keys must be ", heads, " x c x d"));
  }
  const std::int64_t columns = keys.extent(keys.rank() - 1);
  if (columns_ != 0 && columns != columns_) {
    return WrongKeys("WRONG_SHAPE", "keys.shape",
                     absl::StrCat("keys have ", columns,
                                  " columns; the stream has ", columns_));
  }
  if (type_.has_value() && keys.type() != *type_) {
    return WrongKeys("WRONG_DTYPE", "keys.dtype",
                     "keys are stored in another type than the stream's");
  }
  return absl::OkStatus();
}

absl::Status KeySession::Add(std::optional<std::int64_t> head,
                             const TensorView& keys) {
  if (over_.has_value()) return *over_;
  absl::Status status = CheckKeys(head, keys);
  if (!status.ok()) return status;
  if (keys.extent(keys.rank() - 2) < 1) {
    return WrongKeys("FIELD_OUT_OF_RANGE", "keys.shape",
                     "there are no keys in `keys`");
  }
  columns_ = keys.extent(keys.rank() - 1);
  type_ = keys.type();
  for (const KeyPiece& piece : CutKeys(keys, head, chunk_bytes_max_)) {
    const std::int64_t bytes = piece.keys.available() * BytesOf(*type_);
    status = Run([&] { return WaitForRoom(bytes); });
    if (!status.ok()) return status;
    absl::StatusOr<KeyRequest> request = buffer_.Append(piece);
    if (!request.ok()) return request.status();
    link_->Send(*std::move(request));
  }
  return absl::OkStatus();
}

absl::Status KeySession::WaitForRoom(std::int64_t bytes) {
  absl::StatusOr<KeyLink::Acknowledgement> ack = link_->LastAck();
  while (ack.ok()) {
    buffer_.Acknowledge(ack->next_offset);
    if (buffer_.empty() || buffer_.bytes() + bytes <= flow_.buffer_bytes_max) {
      return absl::OkStatus();
    }
    ack = link_->WaitForAck(ack->number);
  }
  return ack.status();
}

absl::Status KeySession::Flush() {
  return Run([this] {
    absl::StatusOr<KeyLink::Acknowledgement> ack = link_->LastAck();
    while (ack.ok()) {
      buffer_.Acknowledge(ack->next_offset);
      if (buffer_.empty()) return absl::OkStatus();
      ack = link_->WaitForAck(ack->number);
    }
    return ack.status();
  });
}

std::vector<std::int64_t> KeySession::acknowledged() {
  if (link_ != nullptr) buffer_.Acknowledge(link_->last_ack().next_offset);
  return buffer_.acknowledged();
}

absl::Status KeySession::CollectSets(const v1::StreamKeysRequest& request,
                                     UniversalSets* sets) {
  link_->Send(std::make_shared<v1::StreamKeysRequest>(request));
  SetParts parts;
  while (parts.complete() < next_offset().size()) {
    absl::StatusOr<v1::StreamKeysResponse> response = link_->Next();
    if (!response.ok()) return response.status();
    if (!response->has_set()) return BrokenAnswer("a set is owed");
    absl::Status status = parts.Add(response->set());
    if (!status.ok()) return status;
  }
  // They were answered as of all chunks before them.
  buffer_.Acknowledge(next_offset());
  absl::StatusOr<UniversalSets> whole = parts.Finish();
  if (!whole.ok()) return whole.status();
  *sets = *std::move(whole);
  return absl::OkStatus();
}

absl::StatusOr<UniversalSets> KeySession::Snapshot() {
  v1::StreamKeysRequest request;
  request.mutable_snapshot();
  UniversalSets sets;
  absl::Status status = Run([&] { return CollectSets(request, &sets); });
  if (!status.ok()) return status;
  return sets;
}

absl::StatusOr<std::string> KeySession::Checkpoint() {
  std::string state;
  absl::Status status = Run([&]() -> absl::Status {
    auto request = std::make_shared<v1::StreamKeysRequest>();
    request->mutable_checkpoint();
    link_->Send(std::move(request));
    StateJoiner joiner;
    while (!joiner.complete()) {
      absl::StatusOr<v1::StreamKeysResponse> response = link_->Next();
      if (!response.ok()) return response.status();
      if (!response->has_state()) return BrokenAnswer("a state is owed");
      absl::Status added = joiner.Add(response->state());
      if (!added.ok()) return added;
    }
    buffer_.Acknowledge(next_offset());
    absl::StatusOr<std::string> whole = joiner.Finish();
    if (!whole.ok()) return whole.status();
    state = *std::move(whole);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return state;
}

absl::StatusOr<UniversalSets> KeySession::Finish() {
  v1::StreamKeysRequest request;
  request.mutable_finish();
  UniversalSets sets;
  int finishes = 0;
  absl::Status status = Run([&] {
    ++finishes;
    absl::Status collected = CollectSets(request, &sets);
    if (!collected.ok()) return collected;
    link_->SendNoMore();
    return link_->WaitForEnd();
  });
  if (finishes > 0 && HasReason(status, "SET_FINISHED")) {
    // It was; the answer was lost on its way.
    CallOptions call;
    call.stop = call_.stop;
    absl::StatusOr<UniversalSets> whole =
        ReadSets(*connection_, name_, {}, call);
    if (!whole.ok()) return whole.status();
    sets = *std::move(whole);
    status = absl::OkStatus();
  }
  if (!status.ok()) return status;
  link_.reset();
  over_ = absl::FailedPreconditionError("the stream is finished");
  return sets;
}

}  // namespace steelyard::client
