#include "tests/support/attention_fixture.h"

#include <cstdint>
#include <fstream>

#include "nlohmann/json.hpp"

namespace steelyard::test {

std::vector<StoredMatrix<Half>> LoadHalfHeads(const std::string& path,
                                              const std::string& tensor) {
  std::ifstream file(path, std::ios::binary);
  std::uint64_t header_bytes = 0;
  file.read(reinterpret_cast<char*>(&header_bytes), sizeof header_bytes);
  if (!file) return {};
  std::string header(header_bytes, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header_bytes));
  const auto json = nlohmann::json::parse(header);
  if (!json.contains(tensor) || json[tensor]["dtype"] != "F16") return {};
  const std::vector<Index> shape = json[tensor]["shape"];
  const std::uint64_t begin = json[tensor]["data_offsets"][0];
  file.seekg(static_cast<std::streamoff>(8 + header_bytes + begin));
  std::vector<StoredMatrix<Half>> heads;
  for (Index h = 0; h < shape[0]; ++h) {
    StoredMatrix<Half> head(shape[1], shape[2]);
    file.read(reinterpret_cast<char*>(head.data()),
              static_cast<std::streamsize>(shape[1] * shape[2] * 2));
    heads.push_back(std::move(head));
  }
  if (!file) return {};
  return heads;
}

}  // namespace steelyard::test
