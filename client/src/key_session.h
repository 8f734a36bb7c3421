// A stream of keys over as many attachments as it takes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connection.h"
#include "key_chunks.h"
#include "key_link.h"
#include "steelyard/client/key_stream.h"
#include "steelyard/client/options.h"

namespace steelyard::client {

class KeySession {
 public:
  using Made = absl::StatusOr<std::unique_ptr<KeySession>>;

  static Made Open(std::shared_ptr<const Connection> connection,
                   const KeyStreamOptions& options, const CallOptions& call);
  static Made Resume(std::shared_ptr<const Connection> connection,
                     const std::string& name, const KeyStreamFlow& flow,
                     const CallOptions& call);
  static Made Import(std::shared_ptr<const Connection> connection,
                     std::string_view state, const KeyStreamOptions& options,
                     const CallOptions& call);

  // As KeyStream. `head`: of c x d; unset: of every head.
  absl::Status Add(std::optional<std::int64_t> head, const TensorView& keys);
  absl::Status Flush();
  absl::StatusOr<UniversalSets> Snapshot();
  absl::StatusOr<std::string> Checkpoint();
  absl::StatusOr<UniversalSets> Finish();

  const std::string& name() const { return name_; }
  const std::vector<std::int64_t>& next_offset() const {
    return buffer_.next_offset();
  }
  std::vector<std::int64_t> acknowledged();
  int reconnects() const { return attachments_ > 0 ? attachments_ - 1 : 0; }

 private:
  KeySession(std::shared_ptr<const Connection> connection, CallOptions call,
             const KeyStreamFlow& flow);

  static Made Make(std::shared_ptr<const Connection> connection,
                   const KeyStreamFlow& flow, const CallOptions& call,
                   v1::OpenKeys open, std::string_view state,
                   std::optional<ScalarType> type);

  // Attaches where that is needed and runs `action`, again and again until it
  // succeeds or must not be tried again; then the stream is over.
  absl::Status Run(const std::function<absl::Status()>& action);
  // One attempt at it.
  absl::Status Attempt(const std::function<absl::Status()>& action);
  absl::Status Attach();
  absl::Status TakeOpened(const v1::OpenedKeys& opened);
  // After a new set_id was refused as taken: an earlier attempt of ours, whose
  // answer was lost, made it.
  bool MadeByLostAttempt() const;
  absl::Status WaitForRoom(std::int64_t bytes);
  absl::Status CheckKeys(std::optional<std::int64_t> head,
                         const TensorView& keys) const;
  absl::Status CollectSets(const v1::StreamKeysRequest& request,
                           UniversalSets* sets);

  const std::shared_ptr<const Connection> connection_;
  const CallOptions call_;
  const Deadline deadline_;
  const KeyStreamFlow flow_;

  v1::OpenKeys open_;       // `resume` once the server knows the session.
  std::string_view state_;  // Of import_state, until then.
  std::optional<ScalarType> type_;  // Unset: of the first keys.
  std::int64_t columns_ = 0;        // 0: unknown.
  std::string name_;
  std::int64_t chunk_bytes_max_ = 0;
  ChunkBuffer buffer_;
  std::unique_ptr<KeyLink> link_;
  int attempts_ = 0;     // At attaching.
  int attachments_ = 0;  // Those that were opened.
  std::optional<absl::Status> over_;
};

}  // namespace steelyard::client
