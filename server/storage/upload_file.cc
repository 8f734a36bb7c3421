#include "server/storage/upload_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
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

// Read at a time when bytes are compared with their marks.
constexpr std::int64_t kReadBytes = std::int64_t{1} << 20;

std::string_view Bytes(const void* data, std::size_t size) {
  return {static_cast<const char*>(data), size};
}

}  // namespace

UploadFile::UploadFile(const Place& place, OwnedFile part, OwnedFile marks)
    : place_(place), part_(std::move(part)), marks_(std::move(marks)) {}

absl::StatusOr<UploadFile> UploadFile::OpenFiles(const Place& place,
                                                 int flags) {
  const int part = place.files->Open(place.part, O_RDWR | O_CREAT | flags);
  if (part < 0) return FileError(-part, "opening", place.name);
  OwnedFile owned(part);
  const int marks = place.files->Open(place.marks, O_RDWR | O_CREAT | flags);
  if (marks < 0) return FileError(-marks, "opening the marks of", place.name);
  return UploadFile(place, std::move(owned), OwnedFile(marks));
}

absl::StatusOr<UploadFile> UploadFile::Create(const Place& place) {
  absl::StatusOr<UploadFile> file = OpenFiles(place, O_TRUNC);
  const absl::Status status = file.ok() ? file->Allocate() : file.status();
  if (status.ok()) return file;
  place.files->Remove(place.part);
  place.files->Remove(place.marks);
  return status;
}

absl::StatusOr<UploadFile> UploadFile::Resume(const Place& place) {
  absl::StatusOr<UploadFile> file = OpenFiles(place, 0);
  if (!file.ok()) return file;
  absl::Status status = file->CompareWithMarks();
  if (status.ok()) status = file->Allocate();
  if (!status.ok()) return status;
  return file;
}

absl::Status UploadFile::Allocate() {
  int result = place_.files->Allocate(part_.get(), place_.total);
  if (result == 0) {
    const std::int64_t marks = 2 * (place_.total / kMarkBytes + 2);
    result = place_.files->Allocate(
        marks_.get(), marks * static_cast<std::int64_t>(sizeof(Mark)));
  }
  return result == 0 ? absl::OkStatus()
                     : FileError(-result, "making room for", place_.name);
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

absl::Status UploadFile::PutMark(Time now, std::int64_t end,
                                 std::uint32_t crc32c) {
  constexpr std::int64_t kSize = sizeof(Mark);
  if (committed_ - kept_end_ >= kMarkBytes) {
    kept_slot_ = last_slot_;
    kept_end_ = committed_;
  }
  const std::int64_t slot = kept_slot_ + (last_slot_ == kept_slot_ + 1 ? 2 : 1);
  Mark mark;
  mark.end = end;
  mark.time_us = std::chrono::duration_cast<std::chrono::microseconds>(
                     now.time_since_epoch())
                     .count();
  mark.crc32c = crc32c;
  mark.own_crc32c = Crc32c(Bytes(&mark, offsetof(Mark, own_crc32c)));
  const int error =
      WriteAll(*place_.files, marks_.get(), &mark, kSize, slot * kSize);
  if (error != 0) return FileError(error, "marking", place_.name);
  last_slot_ = slot;
  return absl::OkStatus();
}

absl::Status UploadFile::Append(absl::Span<const std::byte> data, Time now) {
  const auto size = static_cast<std::int64_t>(data.size());
  if (size == 0) return absl::OkStatus();
  const int error =
      WriteAll(*place_.files, part_.get(), data.data(), size, committed_);
  if (error != 0) return FileError(error, "writing", place_.name);
  const std::uint32_t crc =
      ExtendCrc32c(crc32c_, Bytes(data.data(), data.size()));
  absl::Status marked = PutMark(now, committed_ + size, crc);
  if (!marked.ok()) return marked;
  committed_ += size;
  crc32c_ = crc;
  if (committed_ - written_ >= kWriteBytes) StartWriting();
  return absl::OkStatus();
}

void UploadFile::StartWriting() {
  if (committed_ <= written_) return;
  place_.files->StartWriting(part_.get(), written_, committed_ - written_);
  written_ = committed_;
}

absl::Status UploadFile::Sync() {
  const int result = place_.files->Sync(part_.get());
  if (result == 0) return absl::OkStatus();
  Restart();
  return FileError(-result, "syncing", place_.name);
}

void UploadFile::Restart() {
  place_.files->Truncate(marks_.get(), 0);
  committed_ = 0;
  crc32c_ = 0;
  last_slot_ = -1;
  kept_slot_ = -1;
  kept_end_ = 0;
  written_ = 0;
}

}  // namespace steelyard::server
