#include "client/cli/state_file.h"

#include "absl/strings/str_cat.h"
#include "client/tensor_files/input_file.h"
#include "client/tensor_files/replaced_file.h"

namespace steelyard::cli {

absl::StatusOr<std::string> ReadState(const std::string& path) {
  const auto file = tensor_files::InputFile::Open(path);
  if (!file.ok()) return file.status();
  if (file->size() == 0) return file->Malformed("empty; no state");
  std::string state(static_cast<std::size_t>(file->size()), '\0');
  if (auto read = file->Read(0, file->size(), state.data()); !read.ok()) {
    return read;
  }
  return state;
}

absl::Status WriteState(const std::string& path, const std::string& state) {
  return tensor_files::ReplaceFile(path, {absl::MakeSpan(state)});
}

}  // namespace steelyard::cli
