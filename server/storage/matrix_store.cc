#include "server/storage/matrix_store.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/errors/errors.h"
#include "server/storage/matrix_file.h"
#include "server/storage/store_state.h"

namespace steelyard::server {
namespace {

// A Begin that finds its entry gone looks again; each time somebody else has
// dropped one in between.
constexpr int kBeginTries = 1000;

}  // namespace

// A seat of an upload.
class MatrixStore::Seat final : public MatrixUpload {
 public:
  Seat(std::shared_ptr<StoreState> state,
       std::shared_ptr<StoreState::Entry> entry)
      : state_(std::move(state)),
        entry_(std::move(entry)),
        seat_(entry_->seat) {}

  ~Seat() override {
    const std::lock_guard lock(entry_->mutex);
    if (entry_->seat != seat_) return;
    // What cannot be written is sent again.
    if (entry_->file.has_value()) entry_->file->Rest().IgnoreError();
    entry_->taken = false;
    entry_->last_use = state_->Now();
  }

  std::int64_t next() const override {
    const std::lock_guard lock(entry_->mutex);
    return entry_->file.has_value() ? entry_->file->next() : AfterTheFile();
  }

  std::int64_t committed() const override {
    const std::lock_guard lock(entry_->mutex);
    return entry_->file.has_value() ? entry_->file->committed()
                                    : AfterTheFile();
  }

  absl::Status seated() const override {
    const std::lock_guard lock(entry_->mutex);
    return state_->CheckSeat(*entry_, seat_);
  }

  absl::Status Append(const UploadFile::Part& part) override {
    const std::lock_guard lock(entry_->mutex);
    absl::Status seated = state_->CheckSeat(*entry_, seat_);
    if (!seated.ok()) return seated;
    const auto size = static_cast<std::int64_t>(part.data.size());
    const std::int64_t total = entry_->info.layout.size();
    const std::int64_t next = entry_->file->next();
    if (size > total - next) {
      return WrongSizeError("chunk.data", absl::StrCat("has ", size, " bytes"),
                            absl::StrCat("after ", next, " the matrix lacks ",
                                         total - next, " of its ", total));
    }
    return entry_->file->Append(part, state_->Now());
  }

  void Drop() override {
    const std::lock_guard lock(entry_->mutex);
    if (state_->CheckSeat(*entry_, seat_).ok()) state_->DropUpload(*entry_);
  }

  absl::StatusOr<MatrixInfo> Finish(
      const std::function<absl::Status(const UploadedBytes&)>& check) override;

 private:
  // Bytes of what was finished or deleted.
  std::int64_t AfterTheFile() const {
    const bool finished = entry_->stage == StoreState::Stage::kFinished;
    return finished ? entry_->info.layout.size() : 0;
  }
  absl::StatusOr<std::shared_ptr<MatrixBytes>> MapWhenComplete();

  const std::shared_ptr<StoreState> state_;
  const std::shared_ptr<StoreState::Entry> entry_;
  const std::uint64_t seat_;
};

absl::StatusOr<std::shared_ptr<MatrixBytes>>
MatrixStore::Seat::MapWhenComplete() {
  const std::lock_guard lock(entry_->mutex);
  absl::Status seated = state_->CheckSeat(*entry_, seat_);
  if (!seated.ok()) return seated;
  UploadFile& file = *entry_->file;
  absl::Status written = file.Flush();
  if (!written.ok()) return written;
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
    const std::function<absl::Status(const UploadedBytes&)>& check) {
  auto bytes = MapWhenComplete();
  if (!bytes.ok()) return bytes.status();
  // Takes a while: a newer seat may come, or a deletion.
  const absl::Status checked = check(UploadedBytes(*bytes, (*bytes)->data()));
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

MatrixStore::MatrixStore(std::shared_ptr<StoreState> state)
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
  auto state = std::make_shared<StoreState>(settings, *std::move(directory),
                                            *std::move(catalog));
  absl::Status ready = state->Reconcile();
  if (!ready.ok()) return ready;
  state->RemoveExpired();
  return std::unique_ptr<MatrixStore>(new MatrixStore(std::move(state)));
}

absl::StatusOr<MatrixStore::Begun> MatrixStore::Begin(
    const std::string& id, const MatrixLayout& layout, std::uint32_t crc32c) {
  for (int tries = 0; tries < kBeginTries; ++tries) {
    const std::shared_ptr<StoreState::Entry> entry = state_->FindOrAdd(id);
    const std::lock_guard lock(entry->mutex);
    if (entry->stage == StoreState::Stage::kGone) continue;
    if (state_->Expired(*entry)) {
      state_->DropUpload(*entry);
      continue;
    }
    if (entry->stage == StoreState::Stage::kNew) {
      entry->info.layout = layout;
      entry->info.crc32c = crc32c;
      absl::Status created = state_->Create(*entry);
      if (!created.ok()) return created;
    }
    if (entry->info.layout != layout) {
      return MatrixExistsError(MatrixName(id), "layout");
    }
    if (entry->info.crc32c != crc32c) {
      return MatrixExistsError(MatrixName(id), "checksum");
    }
    if (entry->stage == StoreState::Stage::kFinished) {
      return Begun{.upload = nullptr, .finished = entry->info};
    }
    absl::Status revived = state_->Revive(*entry);
    if (!revived.ok()) return revived;
    // What the one before brought. If it cannot be written, that is told when
    // it is sent again.
    entry->file->Flush().IgnoreError();
    ++entry->seat;
    entry->taken = true;
    return Begun{.upload = std::make_unique<Seat>(state_, entry),
                 .finished = {}};
  }
  return absl::InternalError(
      absl::StrCat(MatrixName(id), " was dropped as often as it was begun"));
}

absl::StatusOr<UploadState> MatrixStore::StateOf(const std::string& id) {
  const std::shared_ptr<StoreState::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(MatrixName(id));
  const std::lock_guard lock(entry->mutex);
  const std::int64_t total = entry->info.layout.size();
  switch (entry->stage) {
    case StoreState::Stage::kFinished:
      return UploadState{.committed = total, .total = total, .complete = true};
    case StoreState::Stage::kUpload:
      break;
    case StoreState::Stage::kNew:
    case StoreState::Stage::kGone:
      return MatrixNotFoundError(MatrixName(id));
  }
  if (state_->Expired(*entry)) {
    state_->DropUpload(*entry);
    return MatrixNotFoundError(MatrixName(id));
  }
  absl::Status revived = state_->Revive(*entry);
  if (!revived.ok()) return revived;
  // A failure is told to whoever sends; what is there is there.
  entry->file->Flush().IgnoreError();
  return UploadState{.committed = entry->file->committed(), .total = total};
}

absl::StatusOr<MatrixInfo> MatrixStore::Get(const std::string& id) const {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->slots.find(id);
  if (found == state_->slots.end() || !found->second.finished.has_value()) {
    return MatrixNotFoundError(MatrixName(id));
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
  const std::shared_ptr<StoreState::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(MatrixName(id));
  const std::lock_guard lock(entry->mutex);
  if (entry->stage != StoreState::Stage::kFinished) {
    return MatrixNotFoundError(MatrixName(id));
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
  const std::shared_ptr<StoreState::Entry> entry = state_->Find(id);
  if (entry == nullptr) return MatrixNotFoundError(MatrixName(id));
  const std::lock_guard lock(entry->mutex);
  switch (entry->stage) {
    case StoreState::Stage::kUpload:
      state_->DropUpload(*entry);
      return absl::OkStatus();
    case StoreState::Stage::kFinished:
      return state_->DropMatrix(*entry);
    case StoreState::Stage::kNew:
    case StoreState::Stage::kGone:
      break;
  }
  return MatrixNotFoundError(MatrixName(id));
}

void MatrixStore::RemoveExpired() { state_->RemoveExpired(); }

}  // namespace steelyard::server
