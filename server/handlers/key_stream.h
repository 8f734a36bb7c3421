// One StreamKeys call: the state machine of DESIGN.md, one message at a time.
//
//   open            new, resume or import_state; then `opened`
//   chunk...        all that have come are added in one job, while more come
//   snapshot, checkpoint, finish
//
// Between two messages it looks whether the stream may go on: its seat at the
// session, its caller, its deadline, the drain, the time since the last
// message. Before it ends with a status it acknowledges what the session holds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admission/gate.h"
#include "server/convert/key_stream.h"
#include "server/convert/state_chunks.h"
#include "server/handlers/ack_pacer.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/inbox.h"
#include "server/request/request_context.h"
#include "server/sets/key_session.h"
#include "steelyard/v1/universal_set_stream.pb.h"

namespace steelyard::server {

class KeyStream {
 public:
  using Requests = Inbox<v1::StreamKeysRequest>;
  // False: the stream is broken.
  using Write = std::function<bool(const v1::StreamKeysResponse&)>;

  KeyStream(const UniversalSetParts& parts, RequestContext& context,
            Requests& inbox, const Write& write)
      : parts_(parts),
        context_(context),
        inbox_(inbox),
        write_(write),
        pacer_(AckPacer::Clock::now()) {}
  ~KeyStream();
  KeyStream(const KeyStream&) = delete;
  KeyStream& operator=(const KeyStream&) = delete;

  absl::Status Run();

 private:
  using Clock = AckPacer::Clock;

  // Chunks that are added in one job, and who adds them. Work owns it.
  struct Batch;

  // The next message, or how the stream ends. `ended`: the client is done.
  absl::StatusOr<Requests::Taken> Next();
  absl::Status MayGoOn() const;
  absl::Status Broken() const;

  absl::Status Open();
  absl::Status OpenNew(const StreamOpening& opening);
  absl::Status OpenResumed(const StreamOpening& opening);
  absl::Status OpenImported(const StreamOpening& opening,
                            const v1::OpenKeys& open);
  absl::StatusOr<std::string> ReceiveState();
  absl::Status ReserveStreamMemory(double bytes);
  absl::Status KeepSession(SetClaim claim, KeySession::Origin origin,
                           std::vector<OnePassUniversalSet> passes);
  absl::Status Attach();

  absl::Status Serve();
  absl::Status TakeChunks(Requests::Taken first);
  // Not OK: the chunk is bad, and is not in the batch.
  absl::Status AddToBatch(Requests::Taken taken, Batch& batch);
  absl::Status RunBatch(std::shared_ptr<Batch> batch);
  absl::Status WriteSets(bool final);
  absl::Status WriteCheckpoint();

  bool SendAckIfDue();
  bool SendAck();

  // Work of this stream; it waits, but is not refused.
  template <typename Work>
  auto Compute(const Cost& cost, Work work)
      -> std::invoke_result_t<Work, const ComputeContext&> {
    auto ticket =
        parts_.gate.Enter({.cost = cost, .of_stream = true}, context_);
    if (!ticket.ok()) return ticket.status();
    return ticket->Compute(context_, std::move(work),
                           {.look = [this] { return SendAckIfDue(); }});
  }

  const UniversalSetParts& parts_;
  RequestContext& context_;
  Requests& inbox_;
  const Write& write_;

  std::vector<MemoryReservation> memory_;  // of queue and calls
  std::shared_ptr<KeySession> session_;
  std::shared_ptr<SessionSeat> seat_;
  std::string id_;
  // As the next chunk must say, one a head.
  std::vector<Index> expected_;
  std::vector<Index> acked_;
  AckPacer pacer_;
  // A message that was taken and waits for the batch before it.
  std::optional<Requests::Taken> next_;
};

}  // namespace steelyard::server
