// Named, immutable matrices on disk, and uploads that are not finished.
//
// A directory holds `catalog.sqlite` (names, layouts, checksums, states) and a
// file of bytes a matrix. Nothing is visible as a matrix before its bytes are
// on disk (fsync), equal its checksum and were found finite; then one
// transaction makes it so. What an upload has survives a kill of the process;
// what a finished matrix has survives the machine.
//
// One process a directory: Open takes a lock that ends with the process.
//
// Safe from several threads. Nobody else may write in the directory: a mapped
// file that is cut short under its reader ends the process (SIGBUS).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/storage/file_system.h"
#include "server/storage/matrix_layout.h"
#include "server/storage/upload_file.h"
#include "steelyard/stop_token.h"

namespace steelyard::server {

struct MatrixInfo {
  std::string id;
  MatrixLayout layout;
  std::uint32_t crc32c = 0;
  std::chrono::system_clock::time_point create_time;
};

struct UploadState {
  std::int64_t committed = 0;
  std::int64_t total = 0;
  bool complete = false;
};

// A finished matrix that somebody uses: its bytes stay, whatever happens to its
// name, until the last owner lets go.
class StoredMatrix {
 public:
  virtual ~StoredMatrix() = default;
  virtual const MatrixInfo& info() const = 0;
  // Brings the bytes: read into memory, or mapped from the file when larger
  // than Settings::matrix_memory leaves room for, and checked against the
  // checksum when they are first read. Takes as long as that takes, so it is
  // part of the admitted work; later calls return at once. Safe from several
  // threads. ERRORS  DataLoss: the bytes on disk are not those that were
  // stored.
  //         Cancelled, DeadlineExceeded: `stop`; the next call tries again.
  virtual absl::Status Load(const StopToken& stop) const = 0;
  // info().layout.size() bytes, aligned to 64. After a Load that was OK.
  virtual const std::byte* data() const = 0;
  // A number that no other matrix of this process has: the same name later has
  // another one. Key of caches.
  virtual std::uint64_t serial() const = 0;
};

using UploadedBytes = std::shared_ptr<const std::byte[]>;

// The writing end of an upload. One at a time for an id: a newer one takes the
// seat, and the older gets Aborted TAKEN_OVER. Destroyed before Finish, it
// writes what came, and the bytes stay for the next one until
// Settings::upload_ttl has passed. May outlive the store. For one thread.
class MatrixUpload {
 public:
  virtual ~MatrixUpload() = default;
  // Bytes that came: the next ones go behind them. Those of a large matrix are
  // still on their way to the disk.
  virtual std::int64_t next() const = 0;
  // Bytes that are there: they survive a kill of the process.
  virtual std::int64_t committed() const = 0;
  // Whether the seat is still this one's. ERRORS  Aborted TAKEN_OVER. NotFound:
  // deleted.
  virtual absl::Status seated() const = 0;
  // Writes bytes behind next(). After an error the committed ones count: of a
  // small matrix, all that came before.
  // ERRORS  ResourceExhausted DISK_FULL. Aborted TAKEN_OVER. NotFound: deleted.
  //         InvalidArgument WRONG_SIZE: more than the layout has.
  virtual absl::Status Append(const UploadFile::Part& part) = 0;
  // What came is wrong: drops the upload, unless it is no longer this one's.
  virtual void Drop() = 0;
  // All bytes are there: checks them with `check` (the numbers; called with the
  // mapped bytes, without a lock; they stay as long as somebody has them) and
  // against the checksum, makes them durable and the matrix visible.
  // ERRORS  those of Append and of `check`; InvalidArgument CHECKSUM_MISMATCH,
  //         or WRONG_SIZE when bytes are missing. CHECKSUM_MISMATCH and an
  //         InvalidArgument of `check` drop the upload; after every other error
  //         it is as it was and can go on.
  virtual absl::StatusOr<MatrixInfo> Finish(
      const std::function<absl::Status(const UploadedBytes& bytes)>& check) = 0;
};

struct StoreState;

class MatrixStore {
 public:
  struct Settings {
    std::string directory;
    // Bytes of matrices that are kept in memory, least recently used ones
    // leave; larger ones are mapped.
    std::int64_t matrix_memory = 0;
    // After the last byte of an upload that nobody sends. 0: it stays.
    std::chrono::seconds upload_ttl{};
    // Uploads that are not finished. 0: any number.
    std::int64_t uploads_max = 0;

    // For tests.
    std::int64_t behind_from = UploadFile::kBehindFrom;
    // Null: the system's.
    FileSystem* files = nullptr;
    std::function<std::chrono::system_clock::time_point()> now = nullptr;
  };

  // Makes the directory if it is not there, drops what half-finished work of an
  // earlier process left, keeps its uploads.
  // ERRORS  FailedPrecondition: another process has it, it is of a newer
  //         version, or its catalog is gone. Unavailable: it cannot be written
  //         or read. ResourceExhausted DISK_FULL.
  static absl::StatusOr<std::unique_ptr<MatrixStore>> Open(
      const Settings& settings);

  ~MatrixStore();
  MatrixStore(const MatrixStore&) = delete;
  MatrixStore& operator=(const MatrixStore&) = delete;

  // Either a finished matrix of the same id, layout and checksum, or the seat
  // of an upload (new, or as far as an earlier one came).
  struct Begun {
    std::unique_ptr<MatrixUpload> upload;  // null: `finished` is the answer
    MatrixInfo finished;
  };
  // The first one of an upload that another process began reads what is there.
  // ERRORS  AlreadyExists: other layout or checksum. ResourceExhausted
  //         DISK_FULL: there is no room for all of its bytes; QUEUE_FULL with a
  //         retry delay: there are uploads_max.
  absl::StatusOr<Begun> Begin(const std::string& id, const MatrixLayout& layout,
                              std::uint32_t crc32c);
  // ERRORS  NotFound.
  absl::StatusOr<UploadState> StateOf(const std::string& id);
  absl::StatusOr<MatrixInfo> Get(const std::string& id) const;
  // Finished ones after `after` ("": from the first), by id, at most `count`.
  absl::StatusOr<std::vector<MatrixInfo>> List(const std::string& after,
                                               int count) const;
  // Holds a finished matrix; reads no byte of it. May outlive the store.
  // ERRORS  NotFound. DataLoss: its file is gone.
  absl::StatusOr<std::shared_ptr<const StoredMatrix>> Open(
      const std::string& id);
  // A finished matrix or an upload. Also works on a full disk. ERRORS NotFound.
  absl::Status Delete(const std::string& id);

  // Drops the uploads whose time has passed. A thread of the store calls it.
  void RemoveExpired();

 private:
  class Seat;
  explicit MatrixStore(std::shared_ptr<StoreState> state);
  std::shared_ptr<StoreState> state_;
};

}  // namespace steelyard::server
