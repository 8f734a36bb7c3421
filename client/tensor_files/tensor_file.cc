#include "client/tensor_files/tensor_file.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/tensor_files/file_layout.h"
#include "client/tensor_files/input_file.h"

namespace steelyard::tensor_files {
namespace {

// Part of an entry, in elements: `strides` are those of the file.
struct Selection {
  LayoutEntry entry;
  TensorInfo info;               // Of the result.
  std::vector<int64_t> extents;  // Per axis of the file; dropped axes are 1.
  std::vector<int64_t> strides;
  int64_t first = 0;  // Element at which it starts.
};

absl::Status Wrong(const TensorSpec& spec, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat(spec.text, ": ", rule));
}

std::string Listing(const FileLayout& layout) {
  constexpr std::size_t kMost = 12;
  std::vector<std::string> names;
  for (const LayoutEntry& entry : layout.entries) {
    if (names.size() == kMost) {
      names.push_back("...");
      break;
    }
    names.push_back(Printable(entry.name));
  }
  return absl::StrJoin(names, ", ");
}

absl::StatusOr<LayoutEntry> Choose(const TensorSpec& spec,
                                   const FileLayout& layout) {
  if (layout.entries.empty()) return Wrong(spec, "the file has no tensor");
  if (spec.tensor.empty()) {
    if (layout.entries.size() == 1) return layout.entries.front();
    return Wrong(spec, absl::StrCat("the file has several tensors; choose one, "
                                    "FILE.safetensors:NAME, of: ",
                                    Listing(layout)));
  }
  for (const LayoutEntry& entry : layout.entries) {
    if (entry.name == spec.tensor) return entry;
  }
  return absl::NotFoundError(absl::StrCat(spec.path, ": no tensor '",
                                          spec.tensor,
                                          "'; there is: ", Listing(layout)));
}

std::vector<int64_t> StridesOf(const LayoutEntry& entry) {
  std::vector<int64_t> strides(entry.shape.size());
  int64_t stride = 1;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const std::size_t axis = entry.column_major ? i : strides.size() - 1 - i;
    strides[axis] = stride;
    stride *= entry.shape[axis];
  }
  return strides;
}

// Applies slice number `axis` to the selection.
absl::Status Cut(const TensorSpec& spec, std::size_t axis, Selection* part) {
  const AxisSlice& slice = spec.slices[axis];
  const int64_t extent = part->entry.shape[axis];
  const auto absolute = [extent](int64_t bound) {
    return bound < 0 ? bound + extent : bound;
  };
  const int64_t begin = slice.begin ? absolute(*slice.begin) : 0;
  const bool starts_inside = begin >= 0 && begin < extent;
  const int64_t end = slice.single && starts_inside ? begin + 1
                      : slice.end                   ? absolute(*slice.end)
                                                    : extent;
  if (!starts_inside || end <= begin || end > extent) {
    return Wrong(spec,
                 absl::StrCat("the slice of axis ", axis, " must lie within ",
                              "0:", extent, "; the shape is ",
                              ShapeText(part->entry.shape)));
  }
  part->first += begin * part->strides[axis];
  part->extents[axis] = end - begin;
  return absl::OkStatus();
}

absl::StatusOr<Selection> Select(const TensorSpec& spec,
                                 const LayoutEntry& entry) {
  if (!entry.type) {
    return Wrong(
        spec, absl::StrCat("the element type is ", Printable(entry.type_name),
                           "; needed is F64, F32, F16 or BF16"));
  }
  if (entry.shape.empty()) {
    return Wrong(spec, "a single number without a shape");
  }
  if (std::count(entry.shape.begin(), entry.shape.end(), 0) > 0) {
    return Wrong(spec, absl::StrCat("the shape ", ShapeText(entry.shape),
                                    " has an extent of 0"));
  }
  if (spec.slices.size() > entry.shape.size()) {
    return Wrong(spec, absl::StrCat(spec.slices.size(), " slices, but only ",
                                    entry.shape.size(),
                                    " axes: ", ShapeText(entry.shape)));
  }
  Selection part;
  part.entry = entry;
  part.extents = entry.shape;
  part.strides = StridesOf(entry);
  part.info.type = *entry.type;
  for (std::size_t axis = 0; axis < entry.shape.size(); ++axis) {
    const bool sliced = axis < spec.slices.size();
    if (sliced) {
      if (auto cut = Cut(spec, axis, &part); !cut.ok()) return cut;
    }
    if (!sliced || !spec.slices[axis].single) {
      part.info.shape.push_back(part.extents[axis]);
    }
  }
  if (part.info.shape.empty()) {
    return Wrong(spec, "the slice leaves a single number, not a tensor");
  }
  return part;
}

absl::StatusOr<FileLayout> ReadLayout(const InputFile& file) {
  return absl::EndsWith(file.path(), ".npy") ? ReadNpyLayout(file)
                                             : ReadSafetensorsLayout(file);
}

absl::StatusOr<Selection> Find(const TensorSpec& spec, const InputFile& file) {
  const absl::StatusOr<FileLayout> layout = ReadLayout(file);
  if (!layout.ok()) return layout.status();
  const absl::StatusOr<LayoutEntry> entry = Choose(spec, *layout);
  if (!entry.ok()) return entry.status();
  return Select(spec, *entry);
}

std::unique_ptr<char[]> Allocate(int64_t bytes) {
  return std::unique_ptr<char[]>(
      new (std::nothrow) char[static_cast<std::size_t>(bytes)]);
}

// Elements between the first and the last of the selection, both included.
int64_t Span(const Selection& part) {
  int64_t last = 0;
  for (std::size_t axis = 0; axis < part.extents.size(); ++axis) {
    last += (part.extents[axis] - 1) * part.strides[axis];
  }
  return last + 1;
}

// Copies the selected elements out of `source`, which starts with the first of
// them, in row-major order.
void Gather(const Selection& part, const char* source, char* out) {
  const auto width = static_cast<std::size_t>(BytesOf(part.info.type));
  std::vector<int64_t> index(part.extents.size(), 0);
  int64_t at = 0;
  for (int64_t left = part.info.elements(); left > 0; --left) {
    std::memcpy(out, source + static_cast<std::size_t>(at) * width, width);
    out += width;
    for (std::size_t axis = index.size(); axis-- > 0;) {
      at += part.strides[axis];
      if (++index[axis] < part.extents[axis]) break;
      at -= part.strides[axis] * part.extents[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

absl::StatusOr<TensorReader> TensorReader::Open(const TensorSpec& spec) {
  absl::StatusOr<InputFile> file = InputFile::Open(spec.path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<Selection> part = Find(spec, *file);
  if (!part.ok()) return part.status();
  TensorReader reader;
  reader.info_ = part->info;
  const int64_t width = BytesOf(part->info.type);
  if (Span(*part) * width == part->info.bytes() && !part->entry.column_major) {
    reader.file_ = std::make_shared<const InputFile>(*std::move(file));
    reader.first_byte_ = part->entry.offset + part->first * width;
    return reader;
  }
  absl::StatusOr<StoredTensor> loaded = Load(spec);
  if (!loaded.ok()) return loaded.status();
  reader.loaded_ = std::make_shared<const StoredTensor>(*std::move(loaded));
  return reader;
}

absl::Status TensorReader::Read(int64_t offset, absl::Span<char> out) const {
  if (file_ != nullptr) {
    return file_->Read(first_byte_ + offset, static_cast<int64_t>(out.size()),
                       out.data());
  }
  std::memcpy(out.data(), loaded_->bytes().data() + offset, out.size());
  return absl::OkStatus();
}

absl::StatusOr<TensorInfo> Describe(const TensorSpec& spec) {
  const absl::StatusOr<InputFile> file = InputFile::Open(spec.path);
  if (!file.ok()) return file.status();
  absl::StatusOr<Selection> part = Find(spec, *file);
  if (!part.ok()) return part.status();
  return std::move(part->info);
}

absl::StatusOr<StoredTensor> Load(const TensorSpec& spec) {
  const absl::StatusOr<InputFile> file = InputFile::Open(spec.path);
  if (!file.ok()) return file.status();
  absl::StatusOr<Selection> part = Find(spec, *file);
  if (!part.ok()) return part.status();

  const int64_t width = BytesOf(part->info.type);
  const int64_t bytes = Span(*part) * width;
  std::unique_ptr<char[]> source = Allocate(bytes);
  const bool whole = bytes == part->info.bytes() && !part->entry.column_major;
  std::unique_ptr<char[]> result;
  if (!whole) result = Allocate(part->info.bytes());
  if (source == nullptr || (!whole && result == nullptr)) {
    return absl::ResourceExhaustedError(
        absl::StrCat(spec.text, ": no memory for ", bytes, " bytes"));
  }
  if (auto status = file->Read(part->entry.offset + part->first * width, bytes,
                               source.get());
      !status.ok()) {
    return status;
  }
  if (whole) return StoredTensor(std::move(part->info), std::move(source));
  Gather(*part, source.get(), result.get());
  return StoredTensor(std::move(part->info), std::move(result));
}

absl::StatusOr<std::optional<std::vector<int64_t>>> LoadIntegers(
    const TensorSpec& spec, const std::string& name) {
  std::optional<std::vector<int64_t>> numbers;
  if (!absl::EndsWith(spec.path, ".safetensors")) return numbers;
  const absl::StatusOr<InputFile> file = InputFile::Open(spec.path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<FileLayout> layout = ReadLayout(*file);
  if (!layout.ok()) return layout.status();
  for (const LayoutEntry& entry : layout->entries) {
    if (entry.name != name) continue;
    if (entry.type_name != "I64") {
      return Wrong(spec,
                   absl::StrCat(name, " has the element type ",
                                Printable(entry.type_name), "; needed is I64"));
    }
    // The layout agrees with the size of the file: so many are there.
    int64_t count = 1;
    for (const int64_t extent : entry.shape) count *= extent;
    numbers.emplace(static_cast<std::size_t>(count));
    auto read = file->Read(entry.offset, 8 * count,
                           reinterpret_cast<char*>(numbers->data()));
    if (!read.ok()) return read;
  }
  return numbers;
}

}  // namespace steelyard::tensor_files
