#include "server/storage/store_directory.h"

#include <fcntl.h>
#include <sys/file.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <regex>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace steelyard::server {
namespace {

constexpr char kLock[] = "lock";
constexpr char kReserve[] = "reserve";
constexpr std::array<const char*, 2> kFolders = {"uploads", "matrices"};

// A few transactions of the catalog: pages of 4 KiB and their frames.
constexpr std::int64_t kReserveBytes = std::int64_t{256} << 10;

absl::Status Unusable(const std::string& path, int error) {
  const absl::Status status = FileError(error, "using", path);
  if (absl::IsResourceExhausted(status)) return status;
  return absl::UnavailableError(absl::StrCat(
      "the matrix directory cannot be used: ", path, ": ", strerror(error)));
}

absl::Status MakeFolder(FileSystem& files, const std::string& path) {
  const int made = files.MakeDirectory(path);
  if (made == -EEXIST) return absl::OkStatus();
  if (made < 0) return Unusable(path, -made);
  // A parent that may not be read cannot be synced: that is its owner's choice.
  files.SyncDirectory(absl::StrCat(path, "/.."));
  return absl::OkStatus();
}

// -1: no file of a store.
std::int64_t NumberOf(const std::string& name) {
  static const std::regex kName(
      R"([a-z][a-z0-9-]*-([0-9]{1,18})\.(part|marks|bin))");
  std::smatch match;
  std::int64_t number = -1;
  if (!std::regex_match(name, match, kName) ||
      !absl::SimpleAtoi(match[1].str(), &number)) {
    return -1;
  }
  return number;
}

}  // namespace

FileNames FileNamesOf(const std::string& id, std::int64_t number) {
  const std::string stem = absl::StrCat(id, "-", number);
  return {.part = absl::StrCat("uploads/", stem, ".part"),
          .marks = absl::StrCat("uploads/", stem, ".marks"),
          .matrix = absl::StrCat("matrices/", stem, ".bin")};
}

StoreDirectory::StoreDirectory(std::string path, OwnedFile lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

absl::StatusOr<StoreDirectory> StoreDirectory::Open(FileSystem& files,
                                                    const std::string& path) {
  absl::Status made = MakeFolder(files, path);
  if (!made.ok()) return made;
  const std::string lock_path = absl::StrCat(path, "/", kLock);
  const int opened = files.Open(lock_path, O_RDWR | O_CREAT);
  if (opened < 0) return Unusable(lock_path, -opened);
  OwnedFile lock(opened);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Unusable(lock_path, errno);
    return absl::FailedPreconditionError(
        absl::StrCat("another process has the matrix directory ", path,
                     "; one server a directory"));
  }
  for (const char* folder : kFolders) {
    made = MakeFolder(files, absl::StrCat(path, "/", folder));
    if (!made.ok()) return made;
  }
  return StoreDirectory(path, std::move(lock));
}

std::string StoreDirectory::PathOf(const std::string& relative) const {
  return absl::StrCat(path_, "/", relative);
}

absl::StatusOr<std::vector<FoundFile>> StoreDirectory::Files() const {
  std::vector<FoundFile> found;
  for (const char* folder : kFolders) {
    std::error_code error;
    std::filesystem::directory_iterator each(PathOf(folder), error);
    for (; !error && each != std::filesystem::directory_iterator();
         each.increment(error)) {
      const std::string name = each->path().filename().string();
      const std::int64_t number = NumberOf(name);
      if (number >= 0) {
        found.push_back({absl::StrCat(folder, "/", name), number});
      }
    }
    if (error) return Unusable(PathOf(folder), error.value());
  }
  return found;
}

void StoreDirectory::MakeReserve(FileSystem& files) const {
  const OwnedFile file(files.Open(PathOf(kReserve), O_RDWR | O_CREAT));
  if (file) files.Allocate(file.get(), kReserveBytes);
}

void StoreDirectory::DropReserve(FileSystem& files) const {
  files.Remove(PathOf(kReserve));
}

}  // namespace steelyard::server
