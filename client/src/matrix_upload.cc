#include "matrix_upload.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "matrix_codec.h"
#include "options_check.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kChunkMost = std::int64_t{1} << 20;
constexpr std::int64_t kChunkStep = 64;

absl::Status Validate(const UploadOptions& options) {
  if (options.chunk_bytes >= kChunkStep && options.chunk_bytes <= kChunkMost &&
      options.chunk_bytes % kChunkStep == 0) {
    return absl::OkStatus();
  }
  return InvalidOption("chunk_bytes",
                       absl::StrCat("chunk_bytes is ", options.chunk_bytes,
                                    "; it must be a multiple of 64 in "
                                    "[64, 1048576]"));
}

bool HasReason(const absl::Status& status, const char* reason) {
  const std::optional<ErrorDetail> detail = DetailOf(status);
  return detail.has_value() && detail->reason == reason;
}

// Of `count` bytes, read into `buffer` where they do not lie in one piece.
absl::StatusOr<std::uint32_t> ChunkChecksum(const MatrixBytes& bytes,
                                            std::int64_t offset,
                                            std::int64_t count,
                                            std::string* buffer) {
  const std::span<const char> view = bytes.View(offset, count);
  if (!view.empty()) return Crc32c({view.data(), view.size()});
  buffer->resize(static_cast<std::size_t>(count));
  absl::Status read = bytes.Read(offset, *buffer);
  if (!read.ok()) return read;
  return Crc32c(*buffer);
}

}  // namespace

MatrixUpload::MatrixUpload(const Connection& connection,
                           const std::string& matrix_id,
                           const MatrixBytes& bytes,
                           const UploadOptions& options)
    : connection_(connection),
      matrix_id_(MatrixId(matrix_id)),
      bytes_(bytes),
      options_(options),
      start_(std::chrono::steady_clock::now()) {}

absl::StatusOr<UploadedMatrix> MatrixUpload::Run(const CallOptions& call) {
  absl::Status good = Validate(options_);
  if (!good.ok()) return good;
  absl::StatusOr<CallOptions> checked =
      connection_.Checked(call, connection_.options().deadlines.upload_matrix);
  if (!checked.ok()) return checked.status();
  call_ = *std::move(checked);
  const Deadline deadline(*call_.deadline);
  deadline_ = &deadline;
  absl::Status outcome = TakeChecksums();
  if (outcome.ok()) outcome = RunAttempts();
  AttachRecord({call_.request_id, attempt_}, &outcome);
  if (!outcome.ok()) return outcome;
  absl::StatusOr<MatrixInfo> info = FromProto(answer_);
  if (!info.ok()) return info.status();
  uploaded_.info = *std::move(info);
  return std::move(uploaded_);
}

absl::Status MatrixUpload::TakeChecksums() {
  std::string chunk;
  for (std::int64_t offset = 0; offset < bytes_.size();) {
    absl::Status status = CheckTime();
    if (!status.ok()) return status;
    const std::int64_t count = Bytes(offset);
    const auto crc = ChunkChecksum(bytes_, offset, count, &chunk);
    if (!crc.ok()) return crc.status();
    checksums_.push_back(*crc);
    checksum_.Add(*crc, count);
    offset += count;
    Show("checksum", offset);
  }
  return absl::OkStatus();
}

// Attempts count from the last progress: the server has more than it had.
absl::Status MatrixUpload::RunAttempts() {
  const RetryPolicy& retry = connection_.options().retry;
  int mismatches = 0;
  absl::Status outcome;
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    outcome = RunWithRetries(retry, *deadline_, call_.stop, [&](int) {
      const std::int64_t before = committed_;
      absl::Status status = Attempt(++attempt_);
      if (status.ok() || call_.stop.stop_requested()) return status;
      const bool advanced = before >= 0 && committed_ > before;
      // A stream that broke may have brought more after the server was asked.
      const bool overtaken = HasReason(status, "OFFSET_MISMATCH") &&
                             ++mismatches < retry.attempts_max;
      goes_on = overtaken || HasReason(status, "STREAM_IDLE") ||
                (advanced && absl::IsUnavailable(status));
      return goes_on ? absl::OkStatus() : status;
    });
  }
  return outcome;
}

absl::Status MatrixUpload::Attempt(int number) {
  std::int64_t committed = 0;
  absl::Status asked = AskCommitted(&committed);
  if (!asked.ok()) return asked;
  if (committed < 0 || committed > bytes_.size()) committed = 0;
  if (committed_ < 0) uploaded_.resumed_at = committed;
  committed_ = std::max(committed_, committed);
  uploaded_.reconnects = number - 1;
  header_sent_ = false;
  position_ = committed;
  return connection_.TryUploadMatrix(
      [this](v1::UploadMatrixRequest* request) { return NextRequest(request); },
      call_, *deadline_, &answer_);
}

absl::Status MatrixUpload::AskCommitted(std::int64_t* committed) {
  v1::GetUploadStatusRequest request;
  request.set_name(MatrixName(matrix_id_));
  v1::UploadStatus status;
  absl::Status asked =
      connection_.TryGetUploadStatus(request, call_, *deadline_, &status);
  // Nothing yet; whether the id is good, the header is told.
  if (absl::IsNotFound(asked)) asked = absl::OkStatus();
  // Of another matrix: the header is refused.
  *committed =
      status.total_size() == bytes_.size() ? status.committed_size() : 0;
  return asked;
}

absl::StatusOr<bool> MatrixUpload::NextRequest(
    v1::UploadMatrixRequest* request) {
  if (!header_sent_) {
    header_sent_ = true;
    ToProto(matrix_id_, bytes_.layout(), checksum_.value(),
            request->mutable_header());
    return true;
  }
  Show("upload", position_);
  if (position_ == bytes_.size()) return false;
  v1::UploadChunk* chunk = request->mutable_chunk();
  chunk->set_offset(position_);
  std::string* data = chunk->mutable_data();
  const std::int64_t count = Bytes(position_);
  if (const auto view = bytes_.View(position_, count); !view.empty()) {
    data->assign(view.data(), view.size());
  } else {
    data->resize(static_cast<std::size_t>(count));
    absl::Status read = bytes_.Read(position_, *data);
    if (!read.ok()) return read;
  }
  // The one of the first pass: numbers that have changed since are found out.
  const bool whole = position_ % options_.chunk_bytes == 0;
  chunk->set_crc32c(whole ? checksums_[static_cast<std::size_t>(
                                position_ / options_.chunk_bytes)]
                          : Crc32c(*data));
  position_ += count;
  uploaded_.bytes_sent += count;
  return true;
}

absl::Status MatrixUpload::CheckTime() const {
  if (call_.stop.stop_requested()) {
    return absl::CancelledError("stopped by the caller");
  }
  if (deadline_->left() > Seconds(0.0)) return absl::OkStatus();
  return absl::DeadlineExceededError("the deadline passed before the upload");
}

void MatrixUpload::Show(const char* phase, std::int64_t done) const {
  if (!options_.on_progress) return;
  UploadProgress progress;
  progress.phase = phase;
  progress.bytes_done = done;
  progress.bytes_total = bytes_.size();
  progress.elapsed = std::chrono::steady_clock::now() - start_;
  progress.attempt = std::max(attempt_, 1);
  options_.on_progress(progress);
}

// Up to the next multiple of the chunk, or to the end.
std::int64_t MatrixUpload::Bytes(std::int64_t offset) const {
  const std::int64_t chunk = options_.chunk_bytes;
  return std::min(chunk - offset % chunk, bytes_.size() - offset);
}

absl::StatusOr<std::uint32_t> ChecksumOf(const MatrixBytes& bytes) {
  JoinedCrc32c checksum;
  std::string chunk;
  for (std::int64_t offset = 0; offset < bytes.size();) {
    const std::int64_t count = std::min(kChunkMost, bytes.size() - offset);
    const auto crc = ChunkChecksum(bytes, offset, count, &chunk);
    if (!crc.ok()) return crc.status();
    checksum.Add(*crc, count);
    offset += count;
  }
  return checksum.value();
}

}  // namespace steelyard::client
