#include "client/tensor_files/row_reader.h"

#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/tensor_files/file_layout.h"
#include "client/tensor_files/tensor_file.h"

namespace steelyard::tensor_files {
namespace {

absl::Status CheckRowMajor(const TensorSpec& spec) {
  if (!absl::EndsWith(spec.path, ".npy")) return absl::OkStatus();
  const absl::StatusOr<InputFile> file = InputFile::Open(spec.path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<FileLayout> layout = ReadNpyLayout(*file);
  if (!layout.ok()) return layout.status();
  if (!layout->entries.front().column_major) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(spec.text,
                   ": column-major; its rows do not lie together. "
                   "Write it again with numpy.ascontiguousarray"));
}

// The slice of the axis that is number `kept` of the result.
AxisSlice* SliceOf(int kept, TensorSpec* spec) {
  for (std::size_t axis = 0;; ++axis) {
    if (axis == spec->slices.size()) spec->slices.emplace_back();
    if (spec->slices[axis].single) continue;
    if (kept-- == 0) return &spec->slices[axis];
  }
}

// Entries [first, first + count) of what the slice chose before. A begin below
// 0 counts from the end of the file's axis, and goes on doing so.
void Narrow(int64_t first, int64_t count, AxisSlice* slice) {
  const int64_t begin = slice->begin.value_or(0);
  const int64_t end = begin + first + count;
  slice->begin = begin + first;
  slice->end = end;
  if (begin < 0 && end == 0) slice->end.reset();
}

}  // namespace

absl::StatusOr<RowReader> RowReader::Open(const std::string& text) {
  absl::StatusOr<TensorSpec> spec = ParseTensorSpec(text);
  if (!spec.ok()) return spec.status();
  absl::StatusOr<TensorInfo> info = Describe(*spec);
  if (!info.ok()) return info.status();
  if (info->shape.size() != 2 && info->shape.size() != 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        text, ": ", info->text(), " is neither n x d nor heads x n x d"));
  }
  if (auto good = CheckRowMajor(*spec); !good.ok()) return good;
  return RowReader(*std::move(spec), *std::move(info));
}

absl::StatusOr<StoredTensor> RowReader::Read(int64_t first,
                                             int64_t count) const {
  TensorInfo info = info_;
  info.shape[three() ? 1 : 0] = count;
  if (!three()) {
    TensorSpec part = spec_;
    Narrow(first, count, SliceOf(0, &part));
    return Load(part);
  }
  // Head by head: in one go everything between them would be read too.
  std::unique_ptr<char[]> bytes(
      new (std::nothrow) char[static_cast<std::size_t>(info.bytes())]);
  if (bytes == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(spec_.text, ": no memory for ", info.bytes(), " bytes"));
  }
  char* out = bytes.get();
  for (int64_t head = 0; head < heads(); ++head) {
    TensorSpec part = spec_;
    Narrow(first, count, SliceOf(1, &part));
    Narrow(head, 1, SliceOf(0, &part));
    const absl::StatusOr<StoredTensor> rows = Load(part);
    if (!rows.ok()) return rows.status();
    std::memcpy(out, rows->bytes().data(), rows->bytes().size());
    out += rows->bytes().size();
  }
  return StoredTensor(std::move(info), std::move(bytes));
}

}  // namespace steelyard::tensor_files
