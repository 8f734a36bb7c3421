// One UploadMatrix call: header, chunks, the end.
//
// A thread of the call receives while this one writes (request/inbox.h).
// Between two messages it looks whether the stream may go on: its seat at the
// upload, its caller, its deadline, the drain, the time since the last message.
// However it ends before the matrix is complete, what was committed stays for
// the next stream of the same header.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/admission/gate.h"
#include "server/admission/stream_slots.h"
#include "server/convert/arriving_numbers.h"
#include "server/convert/matrix_upload.h"
#include "server/limits/limits.h"
#include "server/request/inbox.h"
#include "server/request/request_context.h"
#include "server/storage/matrix_store.h"
#include "steelyard/v1/matrix_service.pb.h"

namespace steelyard::server {

// What an upload shares with everything else.
struct UploadParts {
  Limits limits;
  Gate& gate;
  StreamSlots& slots;
  MatrixStore* store = nullptr;  // null: the server keeps none
  // A stream without messages ends after so long; 0: never.
  absl::Duration stream_idle;
};

class UploadStream {
 public:
  using Requests = Inbox<v1::UploadMatrixRequest>;

  // parts.store is there.
  UploadStream(const UploadParts& parts, RequestContext& context,
               Requests& inbox)
      : parts_(parts), context_(context), inbox_(inbox) {}

  absl::Status Run(v1::Matrix* response);

 private:
  using Clock = Requests::Clock;

  // The next message, or how the stream ends. `ended`: the client is done.
  absl::StatusOr<Requests::Taken> Next();
  absl::Status MayGoOn() const;
  // Fills finished_ or upload_.
  absl::Status Open();
  absl::Status ReceiveChunks();
  absl::Status TakeChunk(const v1::UploadMatrixRequest& request);
  absl::Status Finish();
  absl::Status CheckOnLane(const UploadedBytes& bytes);

  const UploadParts& parts_;
  RequestContext& context_;
  Requests& inbox_;
  std::optional<MemoryReservation> memory_;  // of the queue
  UploadOrder order_;
  std::string name_ = "the stream";
  std::unique_ptr<MatrixUpload> upload_;
  std::optional<ArrivingNumbers> numbers_;  // beside upload_
  std::optional<MatrixInfo> finished_;
};

}  // namespace steelyard::server
