// The bytes of an upload that is not finished, and proof of how many there are.
//
// Beside the bytes lie marks: how far they came and the CRC32C of all bytes up
// to there. Resume reads the bytes and goes on behind the last
// mark that holds. So what it says it has is there: after a kill all of it, and
// when the power went what had reached the disk; a stretch that did not (zeros,
// an earlier length) does not have its checksum. Marks need no fsync for that.
// They also carry the time of the last Append.
//
// Bytes of a small upload are written, and marked, when Append returns. Those
// of a large one go to the disk while the next ones come (write_behind.h), and
// are committed later: Flush waits for that.
//
// ROOM  on the disk is taken as bytes come, as many ahead as there are, 1 MiB
// at
//   least and 64 MiB at most: an upload that is begun and left holds no more
//   than that. Create asks whether there is room for all.
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
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/checksum/crc32c.h"
#include "server/storage/file_system.h"
#include "server/storage/write_behind.h"

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
    // Bytes of a large upload.
    std::int64_t behind_from = kBehindFrom;
  };
  // Below it Finish has little to wait for, and what was just uploaded is
  // found in the page cache.
  static constexpr std::int64_t kBehindFrom = std::int64_t{64} << 20;

  // Bytes, and the CRC32C that they were compared with.
  struct Part {
    absl::Span<const std::byte> data;
    std::uint32_t crc32c = 0;
  };

  // Empty files; leaves none behind an error.
  // ERRORS of all  ResourceExhausted DISK_FULL; Internal.
  static absl::StatusOr<UploadFile> Create(const Place& place);
  // What an earlier process left. Reads all of it.
  static absl::StatusOr<UploadFile> Resume(const Place& place);
  // When the last bytes came, without reading them; `otherwise`: none came.
  static Time LastTime(FileSystem& files, const std::string& marks,
                       Time otherwise);

  // Bytes that are written and marked.
  std::int64_t committed() const { return committed_; }
  // Of the committed bytes.
  std::uint32_t crc32c() const { return crc32c_; }
  // Where the next bytes go: behind the committed ones or, between Append and
  // Flush, further.
  std::int64_t next() const { return behind_ ? next_ : committed_; }
  int file() const { return part_.get(); }

  // At most total - next bytes. After an error the committed ones are those
  // that count: of a small upload nothing of `part`, of a large one perhaps not
  // all of earlier ones either.
  absl::Status Append(const Part& part, Time now);

  // Commits all bytes. ERRORS  those of Append.
  absl::Status Flush();

  // Flush, and no thread and no memory is held until the next Append.
  absl::Status Rest();

  // Begins to write what is not yet on the disk.
  void StartWriting();

  // All committed bytes are on the disk, and no more are on their way. After an
  // error none counts any more: what the kernel says of such pages later cannot
  // be trusted.
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

  struct Files {
    OwnedFile part;
    OwnedFile direct;  // the same past the page cache, if that can be
    OwnedFile marks;
  };
  UploadFile(const Place& place, Files files);
  static absl::StatusOr<UploadFile> OpenFiles(const Place& place, int flags);
  struct Slot {
    std::int64_t index = 0;
    Mark mark;
  };
  // Whole ones, by their end.
  static std::vector<Slot> ReadMarks(FileSystem& files, int file);
  absl::Status TakeRoom(std::int64_t end);
  absl::Status CompareWithMarks();
  // Bytes up to an end, when they came.
  struct End {
    std::int64_t end = 0;
    std::uint32_t crc32c = 0;
    Time time;
  };
  absl::Status PutMark(const End& end);
  absl::Status AppendBehind(const Part& part, Time now);
  absl::Status CommitWritten();
  void LeaveBehind();

  Place place_;
  OwnedFile part_;
  OwnedFile direct_;
  OwnedFile marks_;
  std::int64_t room_ = 0;  // taken on the disk
  std::int64_t committed_ = 0;
  std::uint32_t crc32c_ = 0;
  // Of a large upload between Append and Rest; uses the files.
  std::unique_ptr<WriteBehind> behind_;
  std::int64_t next_ = 0;
  JoinedCrc32c joined_;          // up to next()
  std::deque<End> ends_;         // of parts that are not committed
  std::int64_t last_slot_ = -1;  // of the newest mark
  std::int64_t kept_slot_ = -1;  // of the last one that stays
  std::int64_t kept_end_ = 0;
  std::int64_t written_ = 0;  // StartWriting came so far
};

}  // namespace steelyard::server
