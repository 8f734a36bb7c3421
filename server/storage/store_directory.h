// Where the files of a store lie, and the lock of its directory.
//
//   lock                         held as long as a process has the store
//   catalog.sqlite               names, layouts, checksums, states
//   reserve                      room for the catalog on a full disk
//   uploads/<id>-<number>.part   bytes of an upload
//   uploads/<id>-<number>.marks  how far it has come (upload_file.h)
//   matrices/<id>-<number>.bin   bytes of a matrix
//
// A number is never used twice, so a name that is taken again shares no file
// with what had it before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/file_system.h"

namespace steelyard::server {

// Of one upload or matrix, relative to the directory.
struct FileNames {
  std::string part;
  std::string marks;
  std::string matrix;
};

FileNames FileNamesOf(const std::string& id, std::int64_t number);

// A file of a store that was found, by its path relative to the directory.
struct FoundFile {
  std::string path;
  std::int64_t number = 0;
};

class StoreDirectory {
 public:
  // Makes what is not there and takes the lock.
  // ERRORS  FailedPrecondition: another process has it. Unavailable.
  //         ResourceExhausted DISK_FULL.
  static absl::StatusOr<StoreDirectory> Open(FileSystem& files,
                                             const std::string& path);

  std::string PathOf(const std::string& relative) const;
  const std::string& path() const { return path_; }

  // Files named as above, in both folders; others are not ours to touch.
  // ERRORS  Unavailable.
  absl::StatusOr<std::vector<FoundFile>> Files() const;

  // Room that a deletion may use when the disk is full. Neither fails.
  void MakeReserve(FileSystem& files) const;
  void DropReserve(FileSystem& files) const;

 private:
  StoreDirectory(std::string path, OwnedFile lock);
  std::string path_;
  OwnedFile lock_;
};

}  // namespace steelyard::server
