#include "server/storage/store_state.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/errors/errors.h"

namespace steelyard::server {
namespace {

// How often the thread looks for expired uploads.
constexpr std::chrono::seconds kLookMin{1};
constexpr std::chrono::seconds kLookMax{60};

// After it another upload may be finished or have expired.
constexpr std::chrono::milliseconds kRetry{1000};

// Unique in the process, however many stores it opens.
std::uint64_t NextSerial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

StoreState::Time StoreState::Now() const {
  return std::chrono::time_point_cast<std::chrono::microseconds>(
      settings.now ? settings.now() : std::chrono::system_clock::now());
}

UploadFile::Place StoreState::PlaceOf(const Entry& entry) const {
  const FileNames names = FileNamesOf(entry.info.id, entry.number);
  const std::string& bytes = entry.in_matrices ? names.matrix : names.part;
  return {.files = files,
          .part = directory.PathOf(bytes),
          .marks = directory.PathOf(names.marks),
          .name = bytes,
          .total = entry.info.layout.size(),
          .behind_from = settings.behind_from};
}

// The row says what a name is; files follow. A crash can leave
//   files without a row       Begin before its row, Delete after it: removed
//   an upload's file renamed  Finish before its row: renamed back; its marks
//   are
//                             still there, so it goes on at its end
//   marks of a matrix         Finish after its row: removed
//   an upload without file    the power went before the name was on the disk
// A matrix whose file is missing was damaged by somebody else: it stays, and
// Open tells.
absl::Status StoreState::Reconcile() {
  const auto rows = catalog->Rows();
  if (!rows.ok()) return rows.status();
  const auto found = directory.Files();
  if (!found.ok()) return found.status();
  std::set<std::string> paths;
  std::int64_t last = 0;
  for (const FoundFile& file : *found) {
    paths.insert(file.path);
    last = std::max(last, file.number);
  }
  if (rows->empty() && !paths.empty() && catalog->made()) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory.path(), " has files of matrices, such as ", *paths.begin(),
        ", but its catalog.sqlite is gone; bring it back or empty the "
        "folders"));
  }
  std::set<std::string> wanted;
  for (const CatalogRow& row : *rows) {
    last = std::max(last, row.number);
    const FileNames names = FileNamesOf(row.id, row.number);
    if (row.finished) {
      wanted.insert(names.matrix);
    } else {
      wanted.insert({names.part, names.marks, names.matrix});
    }
  }
  for (const std::string& path : paths) {
    if (wanted.count(path) == 0) files->Remove(directory.PathOf(path));
  }
  next_number = last + 1;
  for (const CatalogRow& row : *rows) {
    absl::Status adopted = Adopt(row, paths);
    if (!adopted.ok()) return adopted;
  }
  directory.MakeReserve(*files);
  // The catalog and the folders themselves.
  const int synced = files->SyncDirectory(directory.path());
  return synced < 0 ? FileError(-synced, "syncing", directory.path())
                    : absl::OkStatus();
}

absl::Status StoreState::Adopt(const CatalogRow& row,
                               const std::set<std::string>& found) {
  auto entry = std::make_shared<Entry>();
  entry->number = row.number;
  entry->info = {.id = row.id,
                 .layout = row.layout,
                 .crc32c = row.crc32c,
                 .create_time = row.time};
  Slot slot{.entry = entry, .finished = {}};
  if (row.finished) {
    entry->stage = Stage::kFinished;
    entry->serial = NextSerial();
    entry->verified = std::make_shared<std::atomic<bool>>(false);
    slot.finished = entry->info;
  } else {
    const FileNames names = FileNamesOf(row.id, row.number);
    if (found.count(names.part) == 0) {
      if (found.count(names.matrix) == 0) {
        files->Remove(directory.PathOf(names.marks));
        // On a full disk the row stays, for the next start or the next upload
        // of the id.
        catalog->Remove(row.number).IgnoreError();
        return absl::OkStatus();
      }
      const int renamed = files->Rename(directory.PathOf(names.matrix),
                                        directory.PathOf(names.part));
      if (renamed < 0) return FileError(-renamed, "renaming", names.matrix);
    }
    entry->stage = Stage::kUpload;
    entry->last_use =
        UploadFile::LastTime(*files, directory.PathOf(names.marks), row.time);
  }
  slots.emplace(row.id, std::move(slot));
  return absl::OkStatus();
}

std::shared_ptr<StoreState::Entry> StoreState::Find(
    const std::string& id) const {
  const std::lock_guard lock(mutex);
  const auto found = slots.find(id);
  return found == slots.end() ? nullptr : found->second.entry;
}

std::shared_ptr<StoreState::Entry> StoreState::FindOrAdd(
    const std::string& id) {
  const std::lock_guard lock(mutex);
  Slot& slot = slots[id];
  if (slot.entry == nullptr) {
    slot.entry = std::make_shared<Entry>();
    slot.entry->info.id = id;
  }
  return slot.entry;
}

// The name is free.
void StoreState::Forget(Entry& entry) {
  entry.stage = Stage::kGone;
  entry.file.reset();
  const std::lock_guard lock(mutex);
  const auto found = slots.find(entry.info.id);
  if (found != slots.end() && found->second.entry.get() == &entry) {
    slots.erase(found);
  }
}

std::int64_t StoreState::OtherUploads(const Entry& entry) const {
  const std::lock_guard lock(mutex);
  return std::count_if(slots.begin(), slots.end(), [&](const auto& slot) {
    return !slot.second.finished.has_value() &&
           slot.second.entry.get() != &entry;
  });
}

// The file comes before the row: when there is no room for it, nothing has
// happened.
absl::Status StoreState::Create(Entry& entry) {
  if (const std::int64_t others = OtherUploads(entry);
      settings.uploads_max > 0 && others >= settings.uploads_max) {
    Forget(entry);
    return UploadsFullError(others, kRetry);
  }
  entry.number = next_number++;
  entry.last_use = Now();
  entry.info.create_time = entry.last_use;
  const UploadFile::Place place = PlaceOf(entry);
  absl::StatusOr<UploadFile> file = UploadFile::Create(place);
  absl::Status status = file.status();
  if (status.ok()) {
    status = catalog->Put({.number = entry.number,
                           .id = entry.info.id,
                           .finished = false,
                           .layout = entry.info.layout,
                           .crc32c = entry.info.crc32c,
                           .time = entry.last_use});
    if (!status.ok()) {
      files->Remove(place.part);
      files->Remove(place.marks);
    }
  }
  if (!status.ok()) {
    Forget(entry);
    return status;
  }
  entry.file = *std::move(file);
  entry.stage = Stage::kUpload;
  return absl::OkStatus();
}

// An upload of an earlier process: what is really there.
absl::Status StoreState::Revive(Entry& entry) {
  if (entry.file.has_value()) return absl::OkStatus();
  absl::StatusOr<UploadFile> file = UploadFile::Resume(PlaceOf(entry));
  if (!file.ok()) return file.status();
  entry.file = *std::move(file);
  return absl::OkStatus();
}

absl::Status StoreState::CheckSeat(const Entry& entry,
                                   std::uint64_t seat) const {
  // A finished one was finished by whoever took the seat.
  if (entry.stage == Stage::kGone)
    return MatrixNotFoundError(MatrixName(entry.info.id));
  if (entry.stage != Stage::kUpload || entry.seat != seat) {
    return TakenOverError(MatrixName(entry.info.id));
  }
  return absl::OkStatus();
}

bool StoreState::Expired(const Entry& entry) const {
  return settings.upload_ttl.count() > 0 && entry.stage == Stage::kUpload &&
         !entry.taken && Now() - entry.last_use >= settings.upload_ttl;
}

// The bytes are on the disk, under the name of a matrix, before the row says
// that there is one.
absl::Status StoreState::MoveToMatrices(Entry& entry) {
  absl::Status synced = entry.file->Sync();
  if (!synced.ok()) return synced;
  const FileNames names = FileNamesOf(entry.info.id, entry.number);
  if (!entry.in_matrices) {
    const int renamed = files->Rename(directory.PathOf(names.part),
                                      directory.PathOf(names.matrix));
    if (renamed < 0) return FileError(-renamed, "renaming", names.part);
    entry.in_matrices = true;
  }
  for (const char* folder : {"matrices", "uploads"}) {
    const int result = files->SyncDirectory(directory.PathOf(folder));
    if (result < 0) return FileError(-result, "syncing", folder);
  }
  return absl::OkStatus();
}

absl::Status StoreState::Publish(const std::shared_ptr<Entry>& entry) {
  const Time time = Now();
  absl::Status done = catalog->SetFinished(entry->number, time);
  if (!done.ok()) return done;
  entry->info.create_time = time;
  entry->stage = Stage::kFinished;
  entry->serial = NextSerial();
  entry->verified = std::make_shared<std::atomic<bool>>(false);
  entry->file.reset();
  files->Remove(PlaceOf(*entry).marks);
  const std::lock_guard lock(mutex);
  slots[entry->info.id].finished = entry->info;
  return absl::OkStatus();
}

// Its name is free even when the row cannot be removed on a full disk: without
// its files the row is dropped at the next start, and replaced by the next
// upload of the id.
void StoreState::DropUpload(Entry& entry) {
  const UploadFile::Place place = PlaceOf(entry);
  catalog->Remove(entry.number).IgnoreError();
  files->Remove(place.part);
  files->Remove(place.marks);
  Forget(entry);
}

// The row first: a name must not stay when its bytes are gone.
absl::Status StoreState::DropMatrix(Entry& entry) {
  absl::Status removed = catalog->Remove(entry.number);
  if (removed.code() == absl::StatusCode::kResourceExhausted) {
    directory.DropReserve(*files);
    removed = catalog->Remove(entry.number);
  }
  if (!removed.ok()) return removed;
  const FileNames names = FileNamesOf(entry.info.id, entry.number);
  files->Remove(directory.PathOf(names.matrix));
  directory.MakeReserve(*files);
  memory->Drop(entry.serial);
  Forget(entry);
  return absl::OkStatus();
}

void StoreState::RemoveExpired() {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [id, slot] : slots) {
      if (!slot.finished.has_value()) entries.push_back(slot.entry);
    }
  }
  for (const std::shared_ptr<Entry>& entry : entries) {
    const std::unique_lock lock(entry->mutex, std::try_to_lock);
    // Whoever has it uses it.
    if (lock.owns_lock() && Expired(*entry)) DropUpload(*entry);
  }
}

void StoreState::ExpireUntilClosed() {
  const auto look = std::clamp(settings.upload_ttl / 4, kLookMin, kLookMax);
  std::unique_lock lock(mutex);
  while (!closed) {
    changed.wait_for(lock, look);
    if (closed) break;
    lock.unlock();
    RemoveExpired();
    lock.lock();
  }
}

}  // namespace steelyard::server
