#include "server/storage/matrix_store.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/errors/errors.h"
#include "server/storage/catalog.h"
#include "server/storage/matrix_file.h"
#include "server/storage/matrix_memory.h"
#include "server/storage/store_directory.h"
#include "server/storage/upload_file.h"

namespace steelyard::server {
namespace {

using Time = std::chrono::system_clock::time_point;

// A Begin that finds its entry gone looks again; each time somebody else has
// dropped one in between.
constexpr int kBeginTries = 1000;

// How often the thread looks for expired uploads.
constexpr std::chrono::seconds kLookMin{1};
constexpr std::chrono::seconds kLookMax{60};

std::string NameOf(const std::string& id) {
  return absl::StrCat("matrices/", id);
}

// As the catalog keeps it.
Time ToMicros(Time time) {
  return std::chrono::time_point_cast<std::chrono::microseconds>(time);
}

}  // namespace

// Locks: an entry's mutex is held for as long as its files or its row change;
// State::mutex, taken after it, only to look at or change the map.
struct MatrixStore::State {
  enum class Stage { kNew, kUpload, kFinished, kGone };

  // What has a name. Guarded by `mutex`, but info, which stays as it is once
  // the entry is no longer kNew, apart from create_time.
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

  State(const Settings& given, StoreDirectory place,
        std::unique_ptr<Catalog> rows)
      : settings(given),
        files(given.files != nullptr ? given.files : FileSystem::System()),
        directory(std::move(place)),
        catalog(std::move(rows)),
        memory(std::make_shared<MatrixMemory>(given.matrix_memory)) {}

  Time Now() const {
    return ToMicros(settings.now ? settings.now()
                                 : std::chrono::system_clock::now());
  }
  UploadFile::Place PlaceOf(const Entry& entry) const;

  // At the start.
  absl::Status Reconcile();
  absl::Status Adopt(const CatalogRow& row, const std::set<std::string>& found);

  // All with the entry's mutex held.
  absl::Status Create(Entry& entry);
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

  const Settings settings;
  FileSystem* const files;
  const StoreDirectory directory;
  const std::unique_ptr<Catalog> catalog;
  const std::shared_ptr<MatrixMemory> memory;
  std::atomic<std::int64_t> next_number{1};
  std::atomic<std::uint64_t> next_serial{1};

  mutable std::mutex mutex;
  std::map<std::string, Slot> slots;
  std::thread expiry;
  std::condition_variable changed;
  bool closed = false;
};

UploadFile::Place MatrixStore::State::PlaceOf(const Entry& entry) const {
  const FileNames names = FileNamesOf(entry.info.id, entry.number);
  const std::string& bytes = entry.in_matrices ? names.matrix : names.part;
  return {.files = files,
          .part = directory.PathOf(bytes),
          .marks = directory.PathOf(names.marks),
          .name = bytes,
          .total = entry.info.layout.size()};
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
absl::Status MatrixStore::State::Reconcile() {
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

absl::Status MatrixStore::State::Adopt(const CatalogRow& row,
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
    entry->serial = next_serial++;
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

std::shared_ptr<MatrixStore::State::Entry> MatrixStore::State::Find(
    const std::string& id) const {
  const std::lock_guard lock(mutex);
  const auto found = slots.find(id);
  return found == slots.end() ? nullptr : found->second.entry;
}

std::shared_ptr<MatrixStore::State::Entry> MatrixStore::State::FindOrAdd(
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
void MatrixStore::State::Forget(Entry& entry) {
  entry.stage = Stage::kGone;
  entry.file.reset();
  const std::lock_guard lock(mutex);
  const auto found = slots.find(entry.info.id);
  if (found != slots.end() && found->second.entry.get() == &entry) {
    slots.erase(found);
  }
}

// The file comes before the row: when there is no room for it, nothing has
// happened.
absl::Status MatrixStore::State::Create(Entry& entry) {
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
absl::Status MatrixStore::State::Revive(Entry& entry) {
  if (entry.file.has_value()) return absl::OkStatus();
  absl::StatusOr<UploadFile> file = UploadFile::Resume(PlaceOf(entry));
  if (!file.ok()) return file.status();
  entry.file = *std::move(file);
  return absl::OkStatus();
}

absl::Status MatrixStore::State::CheckSeat(const Entry& entry,
                                           std::uint64_t seat) const {
  // A finished one was finished by whoever took the seat.
  if (entry.stage == Stage::kGone)
    return MatrixNotFoundError(NameOf(entry.info.id));
  if (entry.stage != Stage::kUpload || entry.seat != seat) {
    return TakenOverError(NameOf(entry.info.id));
  }
  return absl::OkStatus();
}

bool MatrixStore::State::Expired(const Entry& entry) const {
  return settings.upload_ttl.count() > 0 && entry.stage == Stage::kUpload &&
         !entry.taken && Now() - entry.last_use >= settings.upload_ttl;
}

// The bytes are on the disk, under the name of a matrix, before the row says
// that there is one.
absl::Status MatrixStore::State::MoveToMatrices(Entry& entry) {
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

absl::Status MatrixStore::State::Publish(const std::shared_ptr<Entry>& entry) {
  const Time time = Now();
  absl::Status done = catalog->SetFinished(entry->number, time);
  if (!done.ok()) return done;
  entry->info.create_time = time;
  entry->stage = Stage::kFinished;
  entry->serial = next_serial++;
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
void MatrixStore::State::DropUpload(Entry& entry) {
  const UploadFile::Place place = PlaceOf(entry);
  files->Remove(place.part);
  files->Remove(place.marks);
  catalog->Remove(entry.number).IgnoreError();
  Forget(entry);
}

// The row first: a name must not stay when its bytes are gone.
absl::Status MatrixStore::State::DropMatrix(Entry& entry) {
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

void MatrixStore::State::RemoveExpired() {
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

void MatrixStore::State::ExpireUntilClosed() {
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

// A seat of an upload.
class MatrixStore::Seat final : public MatrixUpload {
 public:
  Seat(std::shared_ptr<State> state, std::shared_ptr<State::Entry> entry)
      : state_(std::move(state)),
        entry_(std::move(entry)),
        seat_(entry_->seat) {}

  ~Seat() override {
    const std::lock_guard lock(entry_->mutex);
    if (entry_->seat != seat_) return;
    entry_->taken = false;
    entry_->last_use = state_->Now();
  }

  std::int64_t committed() const override {
    const std::lock_guard lock(entry_->mutex);
    // After Finish all, after a deletion none.
    if (entry_->file.has_value()) return entry_->file->committed();
    const bool finished = entry_->stage == State::Stage::kFinished;
    return finished ? entry_->info.layout.size() : 0;
  }

  absl::Status Append(absl::Span<const std::byte> data) override {
    const std::lock_guard lock(entry_->mutex);
    absl::Status seated = state_->CheckSeat(*entry_, seat_);
    if (!seated.ok()) return seated;
    const auto size = static_cast<std::int64_t>(data.size());
    const std::int64_t total = entry_->info.layout.size();
    const std::int64_t committed = entry_->file->committed();
    if (size > total - committed) {
      return WrongSizeError(
          "chunk.data", absl::StrCat("has ", size, " bytes"),
          absl::StrCat("after ", committed, " the matrix lacks ",
                       total - committed, " of its ", total));
    }
    return entry_->file->Append(data, state_->Now());
  }

  absl::StatusOr<MatrixInfo> Finish(
      const std::function<absl::Status(const std::byte*)>& check) override;

 private:
  absl::StatusOr<std::shared_ptr<MatrixBytes>> MapWhenComplete();

  const std::shared_ptr<State> state_;
  const std::shared_ptr<State::Entry> entry_;
  const std::uint64_t seat_;
};

absl::StatusOr<std::shared_ptr<MatrixBytes>>
MatrixStore::Seat::MapWhenComplete() {
  const std::lock_guard lock(entry_->mutex);
  absl::Status seated = state_->CheckSeat(*entry_, seat_);
  if (!seated.ok()) return seated;
  UploadFile& file = *entry_->file;
  const std::int64_t total = entry_->info.layout.size();
  if (file.committed() != total) {
    return WrongSizeError(
        "chunk", absl::StrCat("s ended after ", file.committed(), " bytes"),
        absl::StrCat("the matrix has ", total));
  }
  if (file.crc32c() != entry_->info.crc32c) {
    const std::uint32_t found = file.crc32c();
    state_->DropUpload(*entry_);
    return ChecksumMismatchError(
        "header.crc32c", absl::StrFormat("is %08x", entry_->info.crc32c),
        absl::StrFormat("the bytes that came have %08x", found));
  }
  // The disk works while the numbers are checked.
  file.StartWriting();
  if (SizeOfFile(file.file()) == total) {
    if (auto bytes = MatrixBytes::Mapped(file.file(), total)) return bytes;
  }
  return absl::InternalError(
      absl::StrCat("mapping ", state_->PlaceOf(*entry_).name, " failed"));
}

absl::StatusOr<MatrixInfo> MatrixStore::Seat::Finish(
    const std::function<absl::Status(const std::byte*)>& check) {
  auto bytes = MapWhenComplete();
  if (!bytes.ok()) return bytes.status();
  // Takes a while: a newer seat may come, or a deletion.
  const absl::Status checked = check((*bytes)->data());
  bytes->reset();

  const std::lock_guard lock(entry_->mutex);
  absl::Status status = state_->CheckSeat(*entry_, seat_);
  if (!status.ok()) return status;
  if (!checked.ok()) {
    if (checked.code() == absl::StatusCode::kInvalidArgument) {
      state_->DropUpload(*entry_);
    }
    return checked;
  }
  status = state_->MoveToMatrices(*entry_);
  if (status.ok()) status = state_->Publish(entry_);
  if (!status.ok()) return status;
  return entry_->info;
}

MatrixStore::MatrixStore(std::shared_ptr<State> state)
    : state_(std::move(state)) {
  if (state_->settings.upload_ttl.count() > 0) {
    state_->expiry =
        std::thread([state = state_.get()] { state->ExpireUntilClosed(); });
  }
}

MatrixStore::~MatrixStore() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    state_->changed.notify_all();
  }
  if (state_->expiry.joinable()) state_->expiry.join();
}

absl::StatusOr<std::unique_ptr<MatrixStore>> MatrixStore::Open(
    const Settings& settings) {
  FileSystem& files =
      settings.files != nullptr ? *settings.files : *FileSystem::System();
  absl::StatusOr<StoreDirectory> directory =
      StoreDirectory::Open(files, settings.directory);
  if (!directory.ok()) return directory.status();
  auto catalog = Catalog::Open(directory->PathOf("catalog.sqlite"));
  if (!catalog.ok()) return catalog.status();
  auto state = std::make_shared<State>(settings, *std::move(directory),
                                       *std::move(catalog));
  absl::Status ready = state->Reconcile();
  if (!ready.ok()) return ready;
  state->RemoveExpired();
  return std::unique_ptr<MatrixStore>(new MatrixStore(std::move(state)));
}

absl::StatusOr<MatrixStore::Begun> MatrixStore::Begin(
    const std::string& id, const MatrixLayout& layout, std::uint32_t crc32c) {
  for (int tries = 0; tries < kBeginTries; ++tries) {
    const std::shared_ptr<State::Entry> entry = state_->FindOrAdd(id);
    const std::lock_guard lock(entry->mutex);
    if (entry->stage == State::Stage::kGone) continue;
    if (state_->Expired(*entry)) {
      state_->DropUpload(*entry);
      continue;
    }
    if (entry->stage == State::Stage::kNew) {
      entry->info.layout = layout;
      entry->info.crc32c = crc32c;
      absl::Status created = state_->Create(*entry);
      if (!created.ok()) return created;
    }
    if (entry->info.layout != layout) {
      return MatrixExistsError(NameOf(id), "layout");
    }
    if (entry->info.crc32c != crc32c) {
      return MatrixExistsError(NameOf(id), "checksum");
    }
    if (entry->stage == State::Stage::kFinished) {
      return Begun{.upload = nullptr, .finished = entry->info};
    }
    absl::Status revived = state_->Revive(*entry);
    if (!revived.ok()) return revived;
    ++entry->seat;
    entry->taken = true;
    return Begun{.upload = std::make_unique<Seat>(state_, entry),
                 .finished = {}};
  }
  return absl::InternalError(
      absl::StrCat(NameOf(id), " was dropped as often as it was begun"));
}

absl::StatusOr<UploadState> MatrixStore::StateOf(const std::string& id) {
  const std::shared_ptr<State::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(NameOf(id));
  const std::lock_guard lock(entry->mutex);
  const std::int64_t total = entry->info.layout.size();
  switch (entry->stage) {
    case State::Stage::kFinished:
      return UploadState{.committed = total, .total = total, .complete = true};
    case State::Stage::kUpload:
      break;
    case State::Stage::kNew:
    case State::Stage::kGone:
      return MatrixNotFoundError(NameOf(id));
  }
  if (state_->Expired(*entry)) {
    state_->DropUpload(*entry);
    return MatrixNotFoundError(NameOf(id));
  }
  absl::Status revived = state_->Revive(*entry);
  if (!revived.ok()) return revived;
  return UploadState{.committed = entry->file->committed(), .total = total};
}

absl::StatusOr<MatrixInfo> MatrixStore::Get(const std::string& id) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->slots.find(id);
  if (found == state_->slots.end() || !found->second.finished.has_value()) {
    return MatrixNotFoundError(NameOf(id));
  }
  return *found->second.finished;
}

absl::StatusOr<std::vector<MatrixInfo>> MatrixStore::List(
    const std::string& after, int count) const {
  std::vector<MatrixInfo> infos;
  const std::lock_guard lock(state_->mutex);
  for (auto next = state_->slots.upper_bound(after);
       next != state_->slots.end() && std::ssize(infos) < count; ++next) {
    if (next->second.finished.has_value()) {
      infos.push_back(*next->second.finished);
    }
  }
  return infos;
}

absl::StatusOr<std::shared_ptr<const StoredMatrix>> MatrixStore::Open(
    const std::string& id) {
  const std::shared_ptr<State::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(NameOf(id));
  const std::lock_guard lock(entry->mutex);
  if (entry->stage != State::Stage::kFinished) {
    return MatrixNotFoundError(NameOf(id));
  }
  if (auto open = entry->open.lock()) return open;
  const std::string name = FileNamesOf(id, entry->number).matrix;
  const int file =
      state_->files->Open(state_->directory.PathOf(name), O_RDONLY);
  if (file == -ENOENT) {
    return absl::DataLossError(absl::StrCat(name, " is gone"));
  }
  if (file < 0) return FileError(-file, "opening", name);
  const auto open = std::make_shared<MatrixFile>(
      MatrixFile::Parts{.files = state_->files,
                        .memory = state_->memory,
                        .info = entry->info,
                        .serial = entry->serial,
                        .name = name,
                        .file = OwnedFile(file),
                        .verified = entry->verified});
  entry->open = open;
  return open;
}

absl::Status MatrixStore::Delete(const std::string& id) {
  const std::shared_ptr<State::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(NameOf(id));
  const std::lock_guard lock(entry->mutex);
  switch (entry->stage) {
    case State::Stage::kUpload:
      state_->DropUpload(*entry);
      return absl::OkStatus();
    case State::Stage::kFinished:
      return state_->DropMatrix(*entry);
    case State::Stage::kNew:
    case State::Stage::kGone:
      break;
  }
  return MatrixNotFoundError(NameOf(id));
}

void MatrixStore::RemoveExpired() { state_->RemoveExpired(); }

}  // namespace steelyard::server
