// The bytes of an upload that is not finished, and proof of how many there are.
//
// Beside the bytes lie marks: after each Append, how far it came and the CRC32C
// of all bytes up to there. Resume reads the bytes and goes on behind the last
// mark that holds. So what it says it has is there: after a kill all of it, and
// when the power went what had reached the disk; a stretch that did not (zeros,
// an earlier length) does not have its checksum. Marks need no fsync for that.
// They also carry the time of the last Append.
//
// A mark stays when it ends a MiB. The others take turns in the two slots
// behind the last one that stays, so that the newest is never the one that is
// being overwritten: marks take at most 64 bytes a MiB.
//
// Not safe from several threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/storage/file_system.h"

namespace steelyard::server {

class UploadFile {
 public:
  using Time = std::chrono::system_clock::time_point;

  struct Place {
    FileSystem* files = nullptr;
    std::string part;  // paths
    std::string marks;
    std::string name;  // of the bytes in messages
    std::int64_t total = 0;
  };

  // Empty files with room for all bytes; leaves none behind an error.
  // ERRORS of all  ResourceExhausted DISK_FULL; Internal.
  static absl::StatusOr<UploadFile> Create(const Place& place);
  // What an earlier process left. Reads all of it.
  static absl::StatusOr<UploadFile> Resume(const Place& place);
  // When the last bytes came, without reading them; `otherwise`: none came.
  static Time LastTime(FileSystem& files, const std::string& marks,
                       Time otherwise);

  std::int64_t committed() const { return committed_; }
  // Of the committed bytes.
  std::uint32_t crc32c() const { return crc32c_; }
  int file() const { return part_.get(); }

  // At most total - committed bytes. After an error nothing of them counts.
  absl::Status Append(absl::Span<const std::byte> data, Time now);

  // Begins to write what is not yet on the disk.
  void StartWriting();

  // All bytes are on the disk. After an error none counts any more: what the
  // kernel says of such pages later cannot be trusted.
  absl::Status Sync();

  // As if no byte had come. Bytes that somebody has mapped stay mapped.
  void Restart();

 private:
  // As on disk; a sector never splits one.
  struct Mark {
    std::int64_t end = 0;
    std::int64_t time_us = 0;
    std::uint32_t crc32c = 0;  // of the bytes up to `end`
    std::uint32_t unused[2] = {};
    std::uint32_t own_crc32c = 0;  // of the fields above
  };
  static_assert(sizeof(Mark) == 32);

  UploadFile(const Place& place, OwnedFile part, OwnedFile marks);
  static absl::StatusOr<UploadFile> OpenFiles(const Place& place, int flags);
  struct Slot {
    std::int64_t index = 0;
    Mark mark;
  };
  // Whole ones, by their end.
  static std::vector<Slot> ReadMarks(FileSystem& files, int file);
  absl::Status Allocate();
  absl::Status CompareWithMarks();
  absl::Status PutMark(Time now, std::int64_t end, std::uint32_t crc32c);

  Place place_;
  OwnedFile part_;
  OwnedFile marks_;
  std::int64_t committed_ = 0;
  std::uint32_t crc32c_ = 0;
  std::int64_t last_slot_ = -1;  // of the newest mark
  std::int64_t kept_slot_ = -1;  // of the last one that stays
  std::int64_t kept_end_ = 0;
  std::int64_t written_ = 0;  // StartWriting came so far
};

}  // namespace steelyard::server
