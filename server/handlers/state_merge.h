// One MergeStates call: sessions of this server by name, then states that the
// caller sends, merged as they come (N6: any order gives the same set).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/convert/state_chunks.h"
#include "server/convert/universal_set_state.h"
#include "server/handlers/universal_set_work.h"
#include "server/request/inbox.h"
#include "server/request/request_context.h"
#include "server/sets/key_session.h"
#include "steelyard/v1/universal_set_service.pb.h"

namespace steelyard::server {

class StateMerge {
 public:
  using Requests = Inbox<v1::MergeStatesRequest>;

  StateMerge(const UniversalSetParts& parts, RequestContext& context,
             Requests& inbox)
      : parts_(parts), context_(context), inbox_(inbox) {}

  absl::Status Run(v1::MergeStatesResponse* response);

 private:
  using Clock = Requests::Clock;

  // What was merged so far; work shares it.
  struct Merged {
    SetDescription description;
    StorageType storage = StorageType::kFloat32;
    std::vector<OnePassUniversalSet> passes;  // empty: nothing yet
    double bytes() const;
  };

  absl::StatusOr<Requests::Taken> Next();
  absl::Status Open();
  absl::Status MergeSession(const std::string& name, int position);
  absl::Status ReceiveShards();
  absl::Status TakeShard(const v1::ShardChunk& shard);
  absl::Status MergeBytes(std::string bytes);
  absl::Status Keep(v1::MergeStatesResponse* response);
  // After a step: what the claim must hold.
  absl::Status CountMemory();

  // A step of this stream: it waits, but is not refused.
  template <typename Work>
  absl::Status Compute(const Cost& cost, Work work) {
    auto ticket =
        parts_.gate.Enter({.cost = cost, .of_stream = true}, context_);
    if (!ticket.ok()) return ticket.status();
    return ticket
        ->Compute(context_,
                  [work = std::move(work)](
                      const ComputeContext& compute) -> absl::StatusOr<bool> {
                    absl::Status status = work(compute);
                    if (!status.ok()) return status;
                    return true;
                  })
        .status();
  }

  const UniversalSetParts& parts_;
  RequestContext& context_;
  Requests& inbox_;
  std::optional<SetClaim> claim_;
  std::vector<MemoryReservation> memory_;
  const std::shared_ptr<Merged> merged_ = std::make_shared<Merged>();
  // The shard that comes now.
  std::optional<StateBytes> shard_;
  std::int32_t shard_number_ = 0;
  std::int64_t shard_reserved_ = 0;
};

}  // namespace steelyard::server
