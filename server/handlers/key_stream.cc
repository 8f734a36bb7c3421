#include "server/handlers/key_stream.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/convert/set_message.h"
#include "server/errors/errors.h"
#include "server/handlers/session_work.h"
#include "server/sets/set_name.h"

namespace steelyard::server {
namespace {

// Bytes of chunks that one job adds: half of the queue, so that the other half
// comes in meanwhile.
constexpr std::int64_t kBatchBytes = std::int64_t{4} << 20;

// How often a silent stream is looked at.
constexpr std::chrono::milliseconds kLook{200};

// A silent stream does not hold up a drain for longer.
constexpr std::chrono::seconds kSilentWhileDraining{1};

// A set's frame in a response: tags and lengths.
constexpr std::int64_t kFrameBytesMax = 32;

// Memory for an import is reserved in steps that double, from this.
constexpr std::int64_t kFirstStateBytes = std::int64_t{8} << 20;
// Of the bytes of a state: they, their message and what is restored from it.
constexpr double kStateMemory = 3.0;

void Advance(const KeyChunkInput& chunk, std::vector<Index>* offsets) {
  for (std::size_t head = 0; head < offsets->size(); ++head) {
    if (!chunk.head.has_value() || *chunk.head == static_cast<Index>(head)) {
      (*offsets)[head] += chunk.rows;
    }
  }
}

const char* FieldOf(const v1::StreamKeysRequest& request) {
  switch (request.message_case()) {
    case v1::StreamKeysRequest::kOpen:
      return "open";
    case v1::StreamKeysRequest::kChunk:
      return "chunk";
    case v1::StreamKeysRequest::kSnapshot:
      return "snapshot";
    case v1::StreamKeysRequest::kCheckpoint:
      return "checkpoint";
    case v1::StreamKeysRequest::kState:
      return "state";
    case v1::StreamKeysRequest::kFinish:
      return "finish";
    case v1::StreamKeysRequest::MESSAGE_NOT_SET:
      break;
  }
  return "message";
}

}  // namespace

struct KeyStream::Batch {
  struct Step {
    Requests::Taken taken;
    KeyChunkInput chunk;
  };

  absl::Status Add(const ComputeContext& compute) const {
    for (const Step& step : steps) {
      absl::Status added =
          CheckChecksum(step.taken.message->chunk(), step.chunk);
      if (added.ok()) {
        const TensorMatrices keys(step.chunk.keys);
        added = session->Add(
            *seat, {.head = step.chunk.head, .keys = keys.heads()}, compute);
      }
      if (!added.ok()) {
        return AtChunk(added, step.chunk,
                       session->index_base(step.chunk.head.value_or(0)));
      }
    }
    return absl::OkStatus();
  }

  std::shared_ptr<KeySession> session;
  std::shared_ptr<SessionSeat> seat;
  std::vector<Step> steps;
  std::int64_t bytes = 0;
  double flops = 0.0;
};

KeyStream::~KeyStream() {
  // Abandoned work may keep the seat for a while; the inbox goes now.
  if (seat_ != nullptr) seat_->Leave();
}

absl::Status KeyStream::Run() {
  absl::Status status = Open();
  if (status.ok()) status = Serve();
  // Not of a session that another stream now fills: that one acknowledges.
  if (seat_ != nullptr && seat_->status().ok() && session_->keys() != acked_) {
    SendAck();
  }
  if (session_ != nullptr && session_->broken()) {
    (void)parts_.registry.Delete(id_);
  }
  return status;
}

absl::Status KeyStream::Broken() const {
  absl::Status stopped = StopStatus(context_.stop().token());
  if (!stopped.ok()) return stopped;
  return absl::CancelledError("the caller no longer reads the stream");
}

absl::Status KeyStream::MayGoOn() const {
  if (seat_ != nullptr) {
    absl::Status seated = seat_->status();
    if (!seated.ok()) return seated;
  }
  absl::Status stopped = StopStatus(context_.stop().token());
  if (!stopped.ok()) return stopped;
  if (context_.cancelled()) return Broken();
  return parts_.gate.interrupted() ? DrainingError() : absl::OkStatus();
}

absl::StatusOr<KeyStream::Requests::Taken> KeyStream::Next() {
  if (next_.has_value()) {
    Requests::Taken taken = *std::move(next_);
    next_.reset();
    return taken;
  }
  const Clock::time_point silent_since = Clock::now();
  const auto idle = absl::ToChronoMilliseconds(parts_.stream_idle);
  while (true) {
    absl::Status may = MayGoOn();
    if (!may.ok()) return may;
    const Clock::time_point now = Clock::now();
    Requests::Taken taken =
        inbox_.Take(std::min(pacer_.Due().value_or(now + kLook), now + kLook));
    if (taken.message != nullptr) return taken;
    if (taken.ended) {
      // Half closed, or gone: only the latter is cancelled.
      if (context_.cancelled()) return Broken();
      return taken;
    }
    if (!SendAckIfDue()) return Broken();
    const auto silent = Clock::now() - silent_since;
    if (idle.count() > 0 && silent >= idle) {
      return StreamIdleError(
          session_ == nullptr ? "the stream" : session_->name(), idle);
    }
    if (parts_.gate.draining() && silent >= kSilentWhileDraining) {
      return DrainingError();
    }
  }
}

absl::Status KeyStream::ReserveStreamMemory(double bytes) {
  absl::StatusOr<MemoryReservation> memory = parts_.gate.Reserve(bytes);
  if (!memory.ok()) return memory.status();
  memory_.push_back(*std::move(memory));
  return absl::OkStatus();
}

absl::Status KeyStream::Open() {
  absl::StatusOr<Requests::Taken> first = Next();
  if (!first.ok()) return first.status();
  if (first->ended) {
    return OutOfOrderError("open", "has not come",
                           "it is the first message of a stream");
  }
  const v1::StreamKeysRequest& request = *first->message;
  if (!request.has_open()) {
    return OutOfOrderError(FieldOf(request), "came first",
                           "open is the first message of a stream");
  }
  const absl::StatusOr<StreamOpening> opening =
      OpeningFromProto(request.open(), parts_.limits);
  if (!opening.ok()) return opening.status();
  absl::Status opened = ReserveStreamMemory(static_cast<double>(
      parts_.limits.stream_queue_bytes + parts_.limits.chunk_bytes_max));
  if (!opened.ok()) return opened;
  switch (opening->kind) {
    case StreamOpening::Kind::kNew:
      opened = OpenNew(*opening);
      break;
    case StreamOpening::Kind::kResume:
      opened = OpenResumed(*opening);
      break;
    case StreamOpening::Kind::kImport:
      opened = OpenImported(*opening, request.open());
      break;
  }
  if (!opened.ok()) return opened;
  inbox_.Release(*std::move(first));
  const SetDescription& set = session_->description();
  context_.set_shape(absl::StrCat(session_->name(), " ", set.heads, "x*x",
                                  set.columns, " ",
                                  NameOf(session_->storage())));
  expected_ = session_->keys();
  acked_ = expected_;
  v1::StreamKeysResponse response;
  OpenedToProto(session_->name(), expected_, parts_.limits, &response);
  return write_(response) ? absl::OkStatus() : Broken();
}

absl::Status KeyStream::KeepSession(SetClaim claim, KeySession::Origin origin,
                                    std::vector<OnePassUniversalSet> passes) {
  id_ = claim.id();
  origin.name = SetName(id_);
  origin.workers = parts_.workers;
  absl::Status memory = ReserveStreamMemory(BytesOfAdding(
      origin.description, origin.storage, parts_.limits, parts_.workers));
  if (!memory.ok()) return memory;
  auto session =
      std::make_unique<KeySession>(std::move(origin), std::move(passes));
  session_ = std::static_pointer_cast<KeySession>(
      std::move(claim).Keep(std::move(session)));
  return Attach();
}

absl::Status KeyStream::Attach() {
  auto seat = session_->Attach([this] { inbox_.Wake(); });
  if (!seat.ok()) return seat.status();
  seat_ = *std::move(seat);
  return absl::OkStatus();
}

absl::Status KeyStream::OpenNew(const StreamOpening& opening) {
  SetRequest request = opening.request;
  request.bytes =
      BytesOfSession(opening.description, opening.storage, parts_.limits);
  absl::StatusOr<SetClaim> claim = parts_.registry.Claim(request);
  if (!claim.ok()) return claim.status();
  auto passes = Compute({}, [opening](const ComputeContext&) {
    return NewPasses(opening.description, opening.storage, opening.first_index);
  });
  if (!passes.ok()) return passes.status();
  return KeepSession(*std::move(claim),
                     {.name = {},
                      .description = opening.description,
                      .storage = opening.storage,
                      .bytes_reserved = request.bytes},
                     *std::move(passes));
}

absl::Status KeyStream::OpenResumed(const StreamOpening& opening) {
  id_ = *opening.request.id;
  absl::StatusOr<std::shared_ptr<StoredSet>> set = parts_.registry.Find(id_);
  if (!set.ok()) return set.status();
  auto session = std::dynamic_pointer_cast<KeySession>(*set);
  if (session == nullptr) return SetFinishedError(SetName(id_));
  absl::Status memory = ReserveStreamMemory(
      BytesOfAdding(session->description(), session->storage(), parts_.limits,
                    parts_.workers));
  if (!memory.ok()) return memory;
  session_ = std::move(session);
  absl::Status attached = Attach();
  if (!attached.ok()) return attached;
  // A chunk of the stream before may still be on its way in.
  return Compute({},
                 [session = session_](
                     const ComputeContext& compute) -> absl::StatusOr<bool> {
                   absl::Status settled = session->Settle(compute);
                   if (!settled.ok()) return settled;
                   return true;
                 })
      .status();
}

absl::StatusOr<std::string> KeyStream::ReceiveState() {
  StateBytes bytes("state", parts_.limits);
  std::int64_t reserved = 0;
  while (!bytes.complete()) {
    absl::StatusOr<Requests::Taken> taken = Next();
    if (!taken.ok()) return taken.status();
    if (taken->ended) return bytes.EndedEarly();
    const v1::StreamKeysRequest& request = *taken->message;
    if (!request.has_state()) {
      return OutOfOrderError(FieldOf(request), "came before the state's end",
                             "after import_state come its chunks");
    }
    const auto more = static_cast<std::int64_t>(request.state().data().size());
    if (bytes.size() + more > reserved) {
      const std::int64_t step = std::max({kFirstStateBytes, reserved, more});
      absl::Status memory = ReserveStreamMemory(static_cast<double>(step));
      if (!memory.ok()) return memory;
      reserved += step;
    }
    absl::Status appended = bytes.Append(request.state());
    if (!appended.ok()) return appended;
    inbox_.Release(*std::move(taken));
  }
  return bytes.Take();
}

absl::Status KeyStream::OpenImported(const StreamOpening& opening,
                                     const v1::OpenKeys& open) {
  absl::StatusOr<SetClaim> claim = parts_.registry.Claim(opening.request);
  if (!claim.ok()) return claim.status();
  absl::StatusOr<std::string> received = ReceiveState();
  if (!received.ok()) return received.status();
  const double work = kStateMemory * static_cast<double>(received->size());
  const auto bytes = std::make_shared<std::string>(*std::move(received));
  struct Restored {
    KeySession::Origin origin;
    std::vector<OnePassUniversalSet> passes;
  };
  auto restored = Compute(
      {.bytes = work},
      [bytes, open, limits = parts_.limits](
          const ComputeContext& compute) -> absl::StatusOr<Restored> {
        absl::StatusOr<SessionState> state = ParsedState(*bytes, limits);
        bytes->clear();
        bytes->shrink_to_fit();
        if (!state.ok()) return state.status();
        absl::Status agrees =
            CheckAgreement(open, state->description, state->storage,
                           state->first_index.front());
        if (!agrees.ok()) return agrees;
        Restored result{.origin = {.name = {},
                                   .description = state->description,
                                   .storage = state->storage},
                        .passes = {}};
        auto passes = RestoredPasses(*std::move(state), compute);
        if (!passes.ok()) return passes.status();
        result.passes = *std::move(passes);
        return result;
      });
  if (!restored.ok()) return restored.status();
  double held = 0.0;
  for (const OnePassUniversalSet& pass : restored->passes) {
    held += pass.bytes();
  }
  KeySession::Origin& origin = restored->origin;
  origin.bytes_reserved = std::max(
      held, BytesOfSession(origin.description, origin.storage, parts_.limits));
  absl::Status resized = claim->Resize(origin.bytes_reserved);
  if (!resized.ok()) return resized;
  return KeepSession(*std::move(claim), std::move(origin),
                     std::move(restored->passes));
}

absl::Status KeyStream::Serve() {
  while (true) {
    absl::StatusOr<Requests::Taken> taken = Next();
    if (!taken.ok()) return taken.status();
    if (taken->ended) return absl::OkStatus();
    const v1::StreamKeysRequest& request = *taken->message;
    absl::Status served;
    switch (request.message_case()) {
      case v1::StreamKeysRequest::kChunk:
        served = TakeChunks(*std::move(taken));
        if (!served.ok()) return served;
        continue;
      case v1::StreamKeysRequest::kSnapshot:
        served = WriteSets(/*final=*/false);
        break;
      case v1::StreamKeysRequest::kCheckpoint:
        served = WriteCheckpoint();
        break;
      case v1::StreamKeysRequest::kFinish:
        return WriteSets(/*final=*/true);
      case v1::StreamKeysRequest::kOpen:
      case v1::StreamKeysRequest::kState:
        return OutOfOrderError(FieldOf(request), "came after opened",
                               "chunk, snapshot, checkpoint or finish follows");
      case v1::StreamKeysRequest::MESSAGE_NOT_SET:
        return FieldRequiredError(
            "message", "chunk, snapshot, checkpoint or finish follows");
    }
    if (!served.ok()) return served;
    inbox_.Release(*std::move(taken));
  }
}

absl::Status KeyStream::AddToBatch(Requests::Taken taken, Batch& batch) {
  absl::StatusOr<KeyChunkInput> chunk =
      ChunkFromProto(taken.message->chunk(), session_->description(),
                     session_->storage(), expected_, parts_.limits);
  if (!chunk.ok()) return chunk.status();
  Advance(*chunk, &expected_);
  const double heads =
      chunk->head.has_value() ? 1.0 : static_cast<double>(expected_.size());
  const auto d = static_cast<double>(session_->description().columns);
  batch.bytes += KeyBytes(*taken.message);
  batch.flops += 4.0 * heads * static_cast<double>(chunk->rows) * d * d;
  batch.steps.push_back({std::move(taken), *std::move(chunk)});
  return absl::OkStatus();
}

absl::Status KeyStream::TakeChunks(Requests::Taken first) {
  const auto batch = std::make_shared<Batch>();
  batch->session = session_;
  batch->seat = seat_;
  absl::Status bad = AddToBatch(std::move(first), *batch);
  while (bad.ok() && batch->bytes < kBatchBytes && !next_.has_value()) {
    Requests::Taken more = inbox_.Take(Clock::now());
    if (more.message == nullptr) break;
    if (more.message->has_chunk()) {
      bad = AddToBatch(std::move(more), *batch);
    } else {
      next_ = std::move(more);
    }
  }
  // What came before a bad chunk counts.
  if (!batch->steps.empty()) {
    absl::Status added = RunBatch(batch);
    if (!added.ok()) return added;
  }
  return bad;
}

absl::Status KeyStream::RunBatch(std::shared_ptr<Batch> batch) {
  const auto added =
      Compute({.flops = batch->flops},
              [batch](const ComputeContext& compute) -> absl::StatusOr<bool> {
                absl::Status status = batch->Add(compute);
                if (!status.ok()) return status;
                return true;
              });
  if (!added.ok()) return added.status();
  pacer_.Taken(batch->bytes, Clock::now());
  for (Batch::Step& step : batch->steps) {
    inbox_.Release(std::move(step.taken));
  }
  if (!SendAckIfDue()) return Broken();
  // Keys of low rank can take more than was foreseen.
  return parts_.registry.Grow(id_, session_->bytes());
}

absl::Status KeyStream::WriteSets(bool final) {
  auto sets = Compute(session_->cost(), [session = session_, seat = seat_,
                                         final](const ComputeContext& compute) {
    return final ? session->Finish(*seat, compute) : session->Sets(compute);
  });
  if (!sets.ok()) return sets.status();
  if (final && session_->keys() != acked_ && !SendAck()) return Broken();
  SetFrame frame{.head = 0, .epsilon = session_->description().epsilon};
  v1::StreamKeysResponse response;
  for (const UniversalSet& set : *sets) {
    absl::Status written =
        WriteInParts(set, frame, parts_.limits.chunk_bytes_max - kFrameBytesMax,
                     [&](const v1::UniversalSet& part) {
                       *response.mutable_set() = part;
                       return write_(response);
                     });
    if (!written.ok()) return written;
    ++frame.head;
  }
  return absl::OkStatus();
}

absl::Status KeyStream::WriteCheckpoint() {
  Cost cost = session_->cost();
  cost.bytes += BytesOfExport(*session_);
  const auto state =
      Compute(cost, [session = session_](const ComputeContext& compute) {
        return ExportedState(*session, compute);
      });
  if (!state.ok()) return state.status();
  v1::StreamKeysResponse response;
  return WriteStateChunks(*state, parts_.limits, [&](v1::StateChunk&& chunk) {
    *response.mutable_state() = std::move(chunk);
    return write_(response);
  });
}

bool KeyStream::SendAckIfDue() {
  const std::optional<Clock::time_point> due = pacer_.Due();
  if (!due.has_value() || Clock::now() < *due) return true;
  return SendAck();
}

bool KeyStream::SendAck() {
  if (session_ == nullptr) return true;
  acked_ = session_->keys();
  pacer_.Acked(Clock::now());
  v1::StreamKeysResponse response;
  AckToProto(acked_, &response);
  return write_(response);
}

}  // namespace steelyard::server
