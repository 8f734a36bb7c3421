#include "server/handlers/upload_stream.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "server/convert/matrix_resource.h"
#include "server/convert/stored_input.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// How often a silent stream is looked at.
constexpr std::chrono::milliseconds kLook{200};

// A silent stream does not hold up a drain for longer.
constexpr std::chrono::seconds kSilentWhileDraining{1};

UploadFile::Part PartOf(const v1::UploadChunk& chunk) {
  return {.data = {reinterpret_cast<const std::byte*>(chunk.data().data()),
                   chunk.data().size()},
          .crc32c = chunk.crc32c()};
}

}  // namespace

absl::Status UploadStream::Run(v1::Matrix* response) {
  absl::Status status = Open();
  if (status.ok() && !finished_.has_value()) status = ReceiveChunks();
  if (status.ok() && !finished_.has_value()) status = Finish();
  if (status.ok()) ToProto(*finished_, response);
  return status;
}

absl::Status UploadStream::MayGoOn() const {
  if (upload_ != nullptr) {
    absl::Status seated = upload_->seated();
    if (!seated.ok()) return seated;
  }
  absl::Status stopped = StopStatus(context_.stop().token());
  if (!stopped.ok()) return stopped;
  return context_.cancelled() ? absl::CancelledError("the caller is gone")
                              : absl::OkStatus();
}

// What has come is kept, also of a caller that is gone: it is not sent again.
absl::StatusOr<UploadStream::Requests::Taken> UploadStream::Next() {
  const Clock::time_point silent_since = Clock::now();
  const auto idle = absl::ToChronoMilliseconds(parts_.stream_idle);
  while (!parts_.gate.interrupted()) {
    Requests::Taken taken = inbox_.Take(Clock::now() + kLook);
    if (taken.message != nullptr) return taken;
    absl::Status may = MayGoOn();
    if (!may.ok()) return may;
    // Half closed.
    if (taken.ended) return taken;
    const auto silent = Clock::now() - silent_since;
    if (idle.count() > 0 && silent >= idle) return StreamIdleError(name_, idle);
    if (parts_.gate.draining() && silent >= kSilentWhileDraining) break;
  }
  return DrainingError();
}

absl::Status UploadStream::Open() {
  absl::StatusOr<Requests::Taken> first = Next();
  if (!first.ok()) return first.status();
  if (first->ended || !first->message->has_header()) {
    return OutOfOrderError("header", "has not come first",
                           "it is the first message of a stream");
  }
  absl::StatusOr<UploadOrder> order =
      UploadOrderFromProto(first->message->header(), parts_.limits);
  if (!order.ok()) return order.status();
  order_ = *std::move(order);
  name_ = MatrixName(order_.id);
  context_.set_shape(absl::StrCat(name_, " ", DescriptionOf(order_.layout)));
  const bool large = order_.layout.size() >= UploadFile::kBehindFrom;
  absl::StatusOr<MemoryReservation> memory =
      parts_.gate.Reserve(static_cast<double>(
          parts_.limits.stream_queue_bytes + parts_.limits.chunk_bytes_max +
          (large ? WriteBehind::kBytes : 0)));
  if (!memory.ok()) return memory.status();
  memory_ = *std::move(memory);
  absl::StatusOr<MatrixStore::Begun> begun =
      parts_.store->Begin(order_.id, order_.layout, order_.crc32c);
  if (!begun.ok()) return begun.status();
  if (begun->upload == nullptr) {
    finished_ = std::move(begun->finished);
  } else {
    upload_ = std::move(begun->upload);
    numbers_.emplace(order_.layout);
  }
  inbox_.Release(*std::move(first));
  return absl::OkStatus();
}

absl::Status UploadStream::ReceiveChunks() {
  const std::int64_t total = order_.layout.size();
  while (true) {
    absl::StatusOr<Requests::Taken> taken = Next();
    if (!taken.ok()) return taken.status();
    if (taken->ended) {
      const std::int64_t next = upload_->next();
      return next == total ? absl::OkStatus() : EndedEarlyError(next, total);
    }
    absl::Status kept = TakeChunk(*taken->message);
    if (!kept.ok()) return kept;
    inbox_.Release(*std::move(taken));
  }
}

absl::Status UploadStream::TakeChunk(const v1::UploadMatrixRequest& request) {
  if (!request.has_chunk()) {
    return OutOfOrderError(request.has_header() ? "header" : "message",
                           "came after the header", "chunks follow");
  }
  const v1::UploadChunk& chunk = request.chunk();
  const std::int64_t next = upload_->next();
  absl::Status whole =
      CheckChunk(chunk, next, order_.layout.size(), parts_.limits);
  if (!whole.ok()) return whole;
  const UploadFile::Part part = PartOf(chunk);
  absl::Status finite = numbers_->Check(next, part.data);
  if (!finite.ok()) {
    upload_->Drop();
    return finite;
  }
  return upload_->Append(part);
}

absl::Status UploadStream::Finish() {
  absl::StatusOr<MatrixInfo> info =
      upload_->Finish([this](const UploadedBytes& bytes) {
        return numbers_->complete() ? absl::OkStatus() : CheckOnLane(bytes);
      });
  if (!info.ok()) return info.status();
  finished_ = *std::move(info);
  return absl::OkStatus();
}

// What came in an earlier stream, or is sparse: read from the file. A step of
// this stream: it waits, but is not refused.
absl::Status UploadStream::CheckOnLane(const UploadedBytes& bytes) {
  const auto size = static_cast<double>(order_.layout.size());
  auto ticket =
      parts_.gate.Enter({.cost = {.flops = size}, .of_stream = true}, context_);
  if (!ticket.ok()) return ticket.status();
  return ticket
      ->Compute(context_,
                [bytes, layout = order_.layout](
                    const ComputeContext& compute) -> absl::StatusOr<bool> {
                  absl::Status checked =
                      CheckNumbers(layout, bytes.get(), compute);
                  if (!checked.ok()) return checked;
                  return true;
                })
      .status();
}

}  // namespace steelyard::server
