// Files that live as long as a test, written byte by byte.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace steelyard::test {

class ScratchFile {
 public:
  // A path that ends in `ending`, with `bytes` in it.
  ScratchFile(const std::string& ending, const std::string& bytes)
      : ScratchFile(ending) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  // A path at which nothing lies yet.
  explicit ScratchFile(const std::string& ending)
      : path_(std::filesystem::temp_directory_path() /
              ("steelyard-" + std::to_string(::getpid()) + "-" +
               std::to_string(counter_++) + ending)) {}

  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  std::string path() const { return path_.string(); }

  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  static inline std::atomic<int> counter_{0};
  std::filesystem::path path_;
};

// `width` bytes, little-endian.
inline std::string LittleEndian(uint64_t number, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) {
    bytes.push_back(static_cast<char>(number >> (8 * i) & 0xff));
  }
  return bytes;
}

// A .npy file of the given version (1, 2 or 3) around a header and data.
inline std::string NpyBytes(int version, const std::string& header,
                            const std::string& data) {
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         LittleEndian(header.size(), version == 1 ? 2 : 4) + header + data;
}

// A .safetensors file.
inline std::string SafetensorsBytes(const std::string& header,
                                    const std::string& data) {
  return LittleEndian(header.size(), 8) + header + data;
}

}  // namespace steelyard::test
