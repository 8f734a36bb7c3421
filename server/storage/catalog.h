// What a store knows about its matrices and uploads, in SQLite.
//
// Every change is one transaction and durable when the call returns.
//
// JOURNAL  Write-ahead log with synchronous=FULL: a commit is one fsync of the
//   log. The rollback journal needs three or four, and with synchronous=FULL a
//   transaction can come undone when the power goes after its commit, because
//   the removal of the journal is not synced (that takes EXTRA). The log is
//   copied into the database now and then; a crash before, in or after that
//   loses nothing. locking_mode=EXCLUSIVE keeps the index of the log on the
//   heap: no shared-memory file whose pages a full disk could refuse (SIGBUS).
//
// Safe from several threads. One process a file: see store_directory.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/matrix_layout.h"

struct sqlite3;

namespace steelyard::server {

struct CatalogRow {
  std::int64_t number = 0;  // of its files
  std::string id;
  bool finished = false;
  MatrixLayout layout;
  std::uint32_t crc32c = 0;
  // To the microsecond: when it was begun; of a finished one, finished.
  std::chrono::system_clock::time_point time;
};

class Catalog {
 public:
  // The version of the tables, PRAGMA user_version. A newer one is refused.
  static constexpr int kVersion = 1;

  // Makes the file if it is not there.
  // ERRORS  FailedPrecondition: made by a newer version, or by something else.
  //         Unavailable: it cannot be read or written, or is damaged.
  //         ResourceExhausted DISK_FULL.
  static absl::StatusOr<std::unique_ptr<Catalog>> Open(const std::string& path);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // There was none, or an empty one, before this Open.
  bool made() const { return made_; }

  absl::StatusOr<std::vector<CatalogRow>> Rows();

  // ERRORS of all below  ResourceExhausted DISK_FULL; Internal. The catalog is
  // as it was.

  // A row of the same id is replaced.
  absl::Status Put(const CatalogRow& row);
  absl::Status SetFinished(std::int64_t number,
                           std::chrono::system_clock::time_point time);
  absl::Status Remove(std::int64_t number);

 private:
  explicit Catalog(sqlite3* database) : database_(database) {}
  absl::Status Prepare();
  absl::Status Run(const char* sql);
  absl::StatusOr<std::int64_t> Number(const char* sql);
  absl::Status Error(const char* doing) const;

  std::mutex mutex_;
  sqlite3* const database_;
  bool made_ = false;
};

}  // namespace steelyard::server
