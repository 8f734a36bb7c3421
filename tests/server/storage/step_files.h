// Counts every call that changes a file, those of SQLite too, and fails or ends
// the process at any of them.
#pragma once

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "server/storage/file_system.h"

namespace steelyard::server {

// One at a time in a process.
class StepFiles final : public FileSystem {
 public:
  // Before each step: 0 to go on, or the errno to fail with. Names of steps:
  // "create", "write", "half" (a write half done), "allocate", "sync",
  // "truncate", "rename", "remove", "mkdir", "sync-directory"; SQLite's have
  // "sql-" before them. Called by one thread at a time.
  using Hook = std::function<int(std::string_view step)>;

  explicit StepFiles(Hook hook) : hook_(std::move(hook)) {
    current = this;
    Intercept(true);
  }
  ~StepFiles() override {
    Intercept(false);
    current = nullptr;
  }
  StepFiles(const StepFiles&) = delete;
  StepFiles& operator=(const StepFiles&) = delete;

  int Open(const std::string& path, int flags) override {
    if ((flags & O_CREAT) != 0) {
      if (const int error = Step("create"); error != 0) return -error;
    }
    return FileSystem::Open(path, flags);
  }
  std::int64_t Write(int file, const void* data, std::int64_t size,
                     std::int64_t at) override {
    if (const int error = Step("write"); error != 0) return -error;
    const std::int64_t half = size / 2;
    const std::int64_t first = FileSystem::Write(file, data, half, at);
    if (first < half || Step("half") != 0) return first;
    const std::int64_t second = FileSystem::Write(
        file, static_cast<const char*>(data) + half, size - half, at + half);
    return second < 0 ? second : first + second;
  }
  int Allocate(int file, std::int64_t size) override {
    const int error = Step("allocate");
    return error != 0 ? -error : FileSystem::Allocate(file, size);
  }
  int Sync(int file) override {
    const int error = Step("sync");
    return error != 0 ? -error : FileSystem::Sync(file);
  }
  int SyncDirectory(const std::string& path) override {
    const int error = Step("sync-directory");
    return error != 0 ? -error : FileSystem::SyncDirectory(path);
  }
  int Truncate(int file, std::int64_t size) override {
    const int error = Step("truncate");
    return error != 0 ? -error : FileSystem::Truncate(file, size);
  }
  int Rename(const std::string& from, const std::string& to) override {
    const int error = Step("rename");
    return error != 0 ? -error : FileSystem::Rename(from, to);
  }
  int Remove(const std::string& path) override {
    const int error = Step("remove");
    return error != 0 ? -error : FileSystem::Remove(path);
  }
  int MakeDirectory(const std::string& path) override {
    const int error = Step("mkdir");
    return error != 0 ? -error : FileSystem::MakeDirectory(path);
  }

 private:
  using Call = sqlite3_syscall_ptr;

  // Large uploads are written by a thread.
  int Step(std::string_view step) {
    const std::lock_guard lock(mutex_);
    return hook_(step);
  }

  static bool Fails(std::string_view step) {
    const int error = current == nullptr ? 0 : current->Step(step);
    if (error != 0) errno = error;
    return error != 0;
  }
  static ssize_t SqlWrite(int file, const void* data, size_t size) {
    return Fails("sql-write") ? -1 : write(file, data, size);
  }
  static ssize_t SqlPwrite(int file, const void* data, size_t size, off_t at) {
    return Fails("sql-write") ? -1 : pwrite(file, data, size, at);
  }
  static int SqlTruncate(int file, off_t size) {
    return Fails("sql-truncate") ? -1 : ftruncate(file, size);
  }
  static int SqlUnlink(const char* path) {
    return Fails("sql-remove") ? -1 : unlink(path);
  }

  // SQLite lets its system calls be replaced, for tests like these. Null
  // brings the own one back.
  static void Intercept(bool on) {
    sqlite3_initialize();
    sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
    const auto set = [&](const char* name, Call call) {
      vfs->xSetSystemCall(vfs, name, on ? call : nullptr);
    };
    set("write", reinterpret_cast<Call>(&SqlWrite));
    set("pwrite", reinterpret_cast<Call>(&SqlPwrite));
    set("pwrite64", reinterpret_cast<Call>(&SqlPwrite));
    set("ftruncate", reinterpret_cast<Call>(&SqlTruncate));
    set("unlink", reinterpret_cast<Call>(&SqlUnlink));
  }

  static inline StepFiles* current = nullptr;
  std::mutex mutex_;
  const Hook hook_;
};

}  // namespace steelyard::server
