// A store in a directory of its own, and matrices to put there.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/checksum/crc32c.h"
#include "server/storage/matrix_store.h"

namespace steelyard::server {

inline absl::Status Accept(const UploadedBytes&) { return absl::OkStatus(); }

inline UploadFile::Part PartOf(std::string_view text) {
  return {
      .data = {reinterpret_cast<const std::byte*>(text.data()), text.size()},
      .crc32c = Crc32c(text)};
}

// A dense matrix of `rows` x 8 float64: 64 bytes a row, all its own.
struct Sample {
  explicit Sample(std::string name, Index rows = 100, std::uint64_t seed = 1)
      : id(std::move(name)), layout{.rows = rows, .cols = 8} {
    bytes.resize(static_cast<std::size_t>(layout.size()));
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (char& byte : bytes) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<char>(state >> 56);
    }
    crc32c = Crc32c(bytes);
  }
  UploadFile::Part Part(std::size_t from, std::size_t count) const {
    return PartOf(std::string_view(bytes).substr(from, count));
  }
  UploadFile::Part All() const { return PartOf(bytes); }

  std::string id;
  MatrixLayout layout;
  std::string bytes;
  std::uint32_t crc32c = 0;
};

// Removed at its end.
class TemporaryDirectory {
 public:
  // `in_memory`: where an fsync costs nothing, if there is such a place.
  explicit TemporaryDirectory(bool in_memory = false) {
    const char* const memory = "/dev/shm";
    const std::filesystem::path place =
        in_memory && access(memory, W_OK) == 0
            ? std::filesystem::path(memory)
            : std::filesystem::temp_directory_path();
    std::string pattern = (place / "steelyard-XXXXXX").string();
    const char* const made = mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The rest of an upload in chunks of `chunk` bytes, then Finish.
inline absl::StatusOr<MatrixInfo> Upload(MatrixStore& store,
                                         const Sample& sample,
                                         std::size_t chunk = 1000) {
  auto begun = store.Begin(sample.id, sample.layout, sample.crc32c);
  if (!begun.ok()) return begun.status();
  if (begun->upload == nullptr) return begun->finished;
  auto at = static_cast<std::size_t>(begun->upload->committed());
  for (; at < sample.bytes.size(); at += chunk) {
    const absl::Status appended = begun->upload->Append(sample.Part(at, chunk));
    if (!appended.ok()) return appended;
  }
  return begun->upload->Finish(Accept);
}

// What is stored under the sample's name, read; "" with a failure otherwise.
inline std::string BytesIn(MatrixStore& store, const std::string& id) {
  const auto matrix = store.Open(id);
  EXPECT_TRUE(matrix.ok()) << matrix.status();
  if (!matrix.ok()) return "";
  const absl::Status loaded = (*matrix)->Load({});
  EXPECT_TRUE(loaded.ok()) << loaded;
  if (!loaded.ok()) return "";
  return {reinterpret_cast<const char*>((*matrix)->data()),
          static_cast<std::size_t>((*matrix)->info().layout.size())};
}

class StoreFixture : public testing::Test {
 protected:
  explicit StoreFixture(bool in_memory = false) : directory_(in_memory) {}

  static constexpr std::int64_t kMemory = std::int64_t{1} << 20;

  MatrixStore::Settings SettingsHere() const {
    return {.directory = directory_.path(), .matrix_memory = kMemory};
  }
  // A new process, as far as the store can tell.
  void Reopen() { Reopen(SettingsHere()); }
  void Reopen(const MatrixStore::Settings& settings) {
    store_ = nullptr;
    auto opened = MatrixStore::Open(settings);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  void SetUp() override { Reopen(); }

  // "uploads/a-1.part", ...
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const char* folder : {"uploads", "matrices"}) {
      for (const auto& each : std::filesystem::directory_iterator(
               directory_.path() + "/" + folder)) {
        files.push_back(std::string(folder) + "/" +
                        each.path().filename().string());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  std::string PathOf(const std::string& name) const {
    return directory_.path() + "/" + name;
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<MatrixStore> store_;
};

}  // namespace steelyard::server
