#include "server/storage/upload_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/checksum/crc32c.h"

namespace steelyard::server {
namespace {

// A mark stays when it ends so many bytes behind the last one that does.
constexpr std::int64_t kMarkBytes = std::int64_t{1} << 20;

// Dirty pages that wait before the disk is set to work on them: large enough
// for long writes, small enough to leave little for the last fsync.
constexpr std::int64_t kWriteBytes = std::int64_t{8} << 20;

// Room that is taken ahead of the bytes.
constexpr std::int64_t kAheadLeast = std::int64_t{1} << 20;
constexpr std::int64_t kAheadMost = std::int64_t{64} << 20;

// Read at a time when bytes are compared with their marks.
constexpr std::int64_t kReadBytes = std::int64_t{1} << 20;

std::string_view Bytes(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

}  // namespace

UploadFile::UploadFile(const Place& place, Files files)
    : place_(place),
      part_(std::move(files.part)),
      direct_(std::move(files.direct)),
      marks_(std::move(files.marks)) {}

absl::StatusOr<UploadFile> UploadFile::OpenFiles(const Place& place,
                                                 int flags) {
  Files opened;
  const int part = place.files->Open(place.part, O_RDWR | O_CREAT | flags);
  if (part < 0) return FileError(-part, "opening", place.name);
  opened.part = OwnedFile(part);
  const int marks = place.files->Open(place.marks, O_RDWR | O_CREAT | flags);
  if (marks < 0) return FileError(-marks, "opening the marks of", place.name);
  opened.marks = OwnedFile(marks);
  if (place.total >= place.behind_from) {
    opened.direct =
        OwnedFile(place.files->Open(place.part, O_WRONLY | O_DIRECT));
  }
  return UploadFile(place, std::move(opened));
}

absl::StatusOr<UploadFile> UploadFile::Create(const Place& place) {
  absl::StatusOr<UploadFile> file = OpenFiles(place, O_TRUNC);
  absl::Status status = file.status();
  if (status.ok()) {
    const std::int64_t room = place.files->Room(file->file());
    if (room >= 0 && room < place.total) {
      status = FileError(ENOSPC, "making room for", place.name);
    }
  }
  if (status.ok()) status = file->TakeRoom(0);
  if (status.ok()) return file;
  place.files->Remove(place.part);
  place.files->Remove(place.marks);
  return status;
}

absl::StatusOr<UploadFile> UploadFile::Resume(const Place& place) {
  absl::StatusOr<UploadFile> file = OpenFiles(place, 0);
  if (!file.ok()) return file;
  absl::Status status = file->CompareWithMarks();
  if (!status.ok()) return status;
  return file;
}

absl::Status UploadFile::TakeRoom(std::int64_t end) {
  if (end <= room_ && room_ > 0) return absl::OkStatus();
  const std::int64_t ahead = std::clamp(end, kAheadLeast, kAheadMost);
  const std::int64_t room = std::min(place_.total, end + ahead);
  int result = place_.files->Allocate(part_.get(), room);
  if (result == 0) {
    const std::int64_t marks = 2 * (room / kMarkBytes + 2);
    result = place_.files->Allocate(
        marks_.get(), marks * static_cast<std::int64_t>(sizeof(Mark)));
  }
  if (result != 0) return FileError(-result, "making room for", place_.name);
  room_ = room;
  return absl::OkStatus();
}

std::vector<UploadFile::Slot> UploadFile::ReadMarks(FileSystem& files,
                                                    int file) {
  constexpr std::int64_t kSize = sizeof(Mark);
  std::vector<Slot> slots;
  for (std::int64_t index = 0;; ++index) {
    Mark mark;
    if (ReadAll(files, file, &mark, kSize, index * kSize) != kSize) break;
    if (mark.own_crc32c == Crc32c(Bytes(&mark, offsetof(Mark, own_crc32c)))) {
      slots.push_back({index, mark});
    }
  }
  std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) {
    return a.mark.end < b.mark.end;
  });
  return slots;
}

UploadFile::Time UploadFile::LastTime(FileSystem& files,
                                      const std::string& marks,
                                      Time otherwise) {
  const OwnedFile file(files.Open(marks, O_RDONLY));
  if (!file) return otherwise;
  Time last = otherwise;
  for (const Slot& slot : ReadMarks(files, file.get())) {
    last = std::max(last, Time(std::chrono::microseconds(slot.mark.time_us)));
  }
  return last;
}

// A mark that does not hold says nothing about later ones: it may be left of a
// time when other bytes were there.
absl::Status UploadFile::CompareWithMarks() {
  std::vector<char> buffer(static_cast<std::size_t>(kReadBytes));
  std::uint32_t crc = 0;
  std::int64_t at = 0;
  for (const Slot& slot : ReadMarks(*place_.files, marks_.get())) {
    if (slot.mark.end > place_.total) break;
    while (at < slot.mark.end) {
      const std::int64_t wanted = std::min(kReadBytes, slot.mark.end - at);
      const std::int64_t count =
          ReadAll(*place_.files, part_.get(), buffer.data(), wanted, at);
      if (count < 0) {
        return FileError(static_cast<int>(-count), "reading", place_.name);
      }
      if (count < wanted) return absl::OkStatus();
      crc = ExtendCrc32c(crc,
                         Bytes(buffer.data(), static_cast<std::size_t>(count)));
      at += count;
    }
    if (crc != slot.mark.crc32c) continue;
    committed_ = at;
    crc32c_ = crc;
    last_slot_ = kept_slot_ = slot.index;
    kept_end_ = at;
  }
  return absl::OkStatus();
}

absl::Status UploadFile::PutMark(const End& end) {
  constexpr std::int64_t kSize = sizeof(Mark);
  if (committed_ - kept_end_ >= kMarkBytes) {
    kept_slot_ = last_slot_;
    kept_end_ = committed_;
  }
  const std::int64_t slot = kept_slot_ + (last_slot_ == kept_slot_ + 1 ? 2 : 1);
  Mark mark;
  mark.end = end.end;
  mark.time_us = std::chrono::duration_cast<std::chrono::microseconds>(
                     end.time.time_since_epoch())
                     .count();
  mark.crc32c = end.crc32c;
  mark.own_crc32c = Crc32c(Bytes(&mark, offsetof(Mark, own_crc32c)));
  const int error =
      WriteAll(*place_.files, marks_.get(), &mark, kSize, slot * kSize);
  if (error != 0) return FileError(error, "marking", place_.name);
  last_slot_ = slot;
  committed_ = end.end;
  crc32c_ = end.crc32c;
  return absl::OkStatus();
}

absl::Status UploadFile::Append(const Part& part, Time now) {
  const auto size = static_cast<std::int64_t>(part.data.size());
  if (size == 0) return absl::OkStatus();
  absl::Status status = TakeRoom(next() + size);
  if (!status.ok()) return status;
  if (place_.total >= place_.behind_from) return AppendBehind(part, now);
  const int error =
      WriteAll(*place_.files, part_.get(), part.data.data(), size, committed_);
  if (error != 0) return FileError(error, "writing", place_.name);
  joined_.Reset(crc32c_);
  joined_.Add(part.crc32c, size);
  status = PutMark({committed_ + size, joined_.value(), now});
  if (status.ok() && committed_ - written_ >= kWriteBytes) StartWriting();
  return status;
}

absl::Status UploadFile::AppendBehind(const Part& part, Time now) {
  if (behind_ == nullptr) {
    behind_ = std::make_unique<WriteBehind>(
        WriteBehind::Target{.files = place_.files,
                            .file = part_.get(),
                            .direct = direct_.get()},
        committed_);
    next_ = committed_;
    joined_.Reset(crc32c_);
  }
  behind_->Append(part.data);
  const auto size = static_cast<std::int64_t>(part.data.size());
  next_ += size;
  joined_.Add(part.crc32c, size);
  ends_.push_back({next_, joined_.value(), now});
  return CommitWritten();
}

absl::Status UploadFile::CommitWritten() {
  // In this order: what was written before an error counts.
  const int error = behind_->error();
  const std::int64_t written = behind_->written();
  std::optional<End> last;
  absl::Status status;
  for (; !ends_.empty() && ends_.front().end <= written; ends_.pop_front()) {
    const End& end = ends_.front();
    if (last.has_value() && end.end - committed_ > kMarkBytes) {
      status = PutMark(*last);
      if (!status.ok()) break;
    }
    last = end;
  }
  if (status.ok() && last.has_value()) status = PutMark(*last);
  if (status.ok() && error != 0) {
    status = FileError(error, "writing", place_.name);
  }
  if (!status.ok()) LeaveBehind();
  return status;
}

void UploadFile::LeaveBehind() {
  behind_ = nullptr;
  ends_.clear();
}

absl::Status UploadFile::Flush() {
  if (behind_ == nullptr) return absl::OkStatus();
  behind_->Flush();
  return CommitWritten();
}

absl::Status UploadFile::Rest() {
  absl::Status status = Flush();
  LeaveBehind();
  return status;
}

void UploadFile::StartWriting() {
  if (committed_ <= written_) return;
  place_.files->StartWriting(part_.get(), written_, committed_ - written_);
  written_ = committed_;
}

absl::Status UploadFile::Sync() {
  absl::Status rest = Rest();
  if (!rest.ok()) return rest;
  const int result = place_.files->Sync(part_.get());
  if (result == 0) return absl::OkStatus();
  Restart();
  return FileError(-result, "syncing", place_.name);
}

void UploadFile::Restart() {
  LeaveBehind();
  place_.files->Truncate(marks_.get(), 0);
  room_ = 0;
  committed_ = 0;
  crc32c_ = 0;
  last_slot_ = -1;
  kept_slot_ = -1;
  kept_end_ = 0;
  written_ = 0;
}

}  // namespace steelyard::server
