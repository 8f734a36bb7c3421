#include "tests/support/source_paths.h"

namespace steelyard::test {

std::string SourcePath(std::string_view relative_path) {
  return std::string(STEELYARD_SOURCE_DIR "/").append(relative_path);
}

std::string BinaryPath(std::string_view relative_path) {
  return std::string(STEELYARD_BINARY_DIR "/").append(relative_path);
}

}  // namespace steelyard::test
