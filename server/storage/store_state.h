// What a store is made of, and the steps that change it. Part of
// matrix_store.cc, which has the calls from outside.
//
// CRASHES  Every change is ordered so that its row in the catalog comes last
//   where something appears and first where something goes. What lies between
//   is put right by Reconcile.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "server/request/resource_name.h"
#include "server/storage/catalog.h"
#include "server/storage/file_system.h"
#include "server/storage/matrix_memory.h"
#include "server/storage/matrix_store.h"
#include "server/storage/store_directory.h"
#include "server/storage/upload_file.h"

namespace steelyard::server {

// Locks: an entry's mutex is held for as long as its files or its row change;
// StoreState::mutex, taken after it, only to look at or change the map.
struct StoreState {
  using Time = std::chrono::system_clock::time_point;

  enum class Stage { kNew, kUpload, kFinished, kGone };

  // What has a name. All guarded by its mutex.
  struct Entry {
    std::mutex mutex;
    Stage stage = Stage::kNew;
    MatrixInfo info;
    std::int64_t number = 0;

    // Of an upload. `file` is null until this process has read what an earlier
    // one left.
    std::optional<UploadFile> file;
    bool in_matrices = false;  // Finish came as far as the rename
    std::uint64_t seat = 0;    // of the newest MatrixUpload
    bool taken = false;        // somebody sits there
    Time last_use;

    // Of a matrix.
    std::uint64_t serial = 0;
    std::shared_ptr<std::atomic<bool>> verified;
    std::weak_ptr<const StoredMatrix> open;
  };

  struct Slot {
    std::shared_ptr<Entry> entry;
    std::optional<MatrixInfo> finished;
  };

  StoreState(const MatrixStore::Settings& given, StoreDirectory place,
             std::unique_ptr<Catalog> rows)
      : settings(given),
        files(given.files != nullptr ? given.files : FileSystem::System()),
        directory(std::move(place)),
        catalog(std::move(rows)),
        memory(std::make_shared<MatrixMemory>(given.matrix_memory)) {}

  // To the microsecond, as the catalog keeps it.
  Time Now() const;
  UploadFile::Place PlaceOf(const Entry& entry) const;

  // At the start.
  absl::Status Reconcile();
  absl::Status Adopt(const CatalogRow& row, const std::set<std::string>& found);

  // All with the entry's mutex held.
  absl::Status Create(Entry& entry);
  std::int64_t OtherUploads(const Entry& entry) const;
  absl::Status Revive(Entry& entry);
  absl::Status CheckSeat(const Entry& entry, std::uint64_t seat) const;
  bool Expired(const Entry& entry) const;
  absl::Status MoveToMatrices(Entry& entry);
  absl::Status Publish(const std::shared_ptr<Entry>& entry);
  void DropUpload(Entry& entry);
  absl::Status DropMatrix(Entry& entry);
  void Forget(Entry& entry);

  std::shared_ptr<Entry> Find(const std::string& id) const;
  std::shared_ptr<Entry> FindOrAdd(const std::string& id);
  void RemoveExpired();
  void ExpireUntilClosed();

  const MatrixStore::Settings settings;
  FileSystem* const files;
  const StoreDirectory directory;
  const std::unique_ptr<Catalog> catalog;
  const std::shared_ptr<MatrixMemory> memory;
  std::atomic<std::int64_t> next_number{1};

  mutable std::mutex mutex;
  std::map<std::string, Slot> slots;
  std::thread expiry;
  std::condition_variable changed;
  bool closed = false;
};

}  // namespace steelyard::server
