// The JSON header is read event by event: a header of a hundred megabytes of
// '[' would make a document tree of gigabytes, and the format has three levels.
#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/tensor_files/file_layout.h"

namespace steelyard::tensor_files {
namespace {

constexpr int64_t kLengthBytes = 8;
constexpr int64_t kHeaderBytesMax = 100'000'000;  // The format's own limit.
constexpr std::size_t kExtentsMax = 8;

struct StoredType {
  const char* name;
  int64_t bits;
  std::optional<ElementType> type;
};

// Of the others the size alone is needed: they lie between ours.
constexpr StoredType kTypes[] = {
    {"F64", 64, ElementType::kFloat64},
    {"F32", 32, ElementType::kFloat32},
    {"F16", 16, ElementType::kFloat16},
    {"BF16", 16, ElementType::kBfloat16},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"F8_E4M3", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F4", 4, {}},
    {"F6_E2M3", 6, {}},
    {"F6_E3M2", 6, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"I32", 32, {}},
    {"U32", 32, {}},
    {"I64", 64, {}},
    {"U64", 64, {}},
    {"C64", 64, {}},
};

const StoredType* FindType(const std::string& name) {
  for (const StoredType& type : kTypes) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

// What the header says of one tensor, before anything is checked.
struct RawEntry {
  std::string name;
  std::optional<std::string> dtype;
  std::optional<std::vector<uint64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;
};

class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<RawEntry>& entries() { return entries_; }
  const std::string& problem() const { return problem_; }

  bool start_object(std::size_t) override {
    if (list_ != nullptr) return Fail(Where("holds an object in a list"));
    if (depth_ == 2) return Fail(Where("is nested too deeply"));
    if (++depth_ == 2 && !in_metadata()) {
      entries_.push_back(
          {.name = top_key_, .dtype = {}, .shape = {}, .offsets = {}});
    }
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool key(std::string& text) override {
    if (depth_ == 2) {
      field_ = text;
      return true;
    }
    top_key_ = text;
    if (names_.insert(text).second) return true;
    return Fail(absl::StrCat("the header has '", Printable(text), "' twice"));
  }
  bool start_array(std::size_t) override {
    if (depth_ != 2 || list_ != nullptr || in_metadata()) {
      return Fail(Where("holds a list where none belongs"));
    }
    RawEntry& entry = entries_.back();
    auto& target = field_ == "shape" ? entry.shape : entry.offsets;
    if (field_ != "shape" && field_ != "data_offsets") return UnknownField();
    if (target) return Fail(Where(absl::StrCat("has ", field_, " twice")));
    list_ = &target.emplace();
    return true;
  }
  bool end_array() override {
    list_ = nullptr;
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ == 2 && list_ == nullptr && in_metadata()) return true;
    if (depth_ != 2 || list_ != nullptr) {
      return Fail(Where("holds text where none belongs"));
    }
    if (field_ != "dtype") return UnknownField();
    entries_.back().dtype = text;
    return true;
  }
  bool number_unsigned(std::uint64_t number) override {
    if (list_ == nullptr) {
      return Fail(Where("holds a number where none belongs"));
    }
    if (list_->size() == kExtentsMax) {
      return Fail(Where(
          absl::StrCat("has more than ", kExtentsMax, " numbers in ", field_)));
    }
    list_->push_back(number);
    return true;
  }
  bool number_integer(std::int64_t number) override {
    return Fail(Where(absl::StrCat("holds the negative number ", number)));
  }
  bool number_float(double, const std::string& text) override {
    return Fail(Where(absl::StrCat("holds ", Printable(text),
                                   ", which is no integer of 64 bits")));
  }
  bool boolean(bool) override {
    return Fail(Where("holds true or false where neither belongs"));
  }
  bool null() override { return Fail(Where("holds null")); }
  bool binary(nlohmann::json::binary_t&) override { return Fail("binary"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return Fail(
        absl::StrCat("the header is not valid JSON at its byte ", position));
  }

 private:
  bool in_metadata() const { return top_key_ == "__metadata__"; }
  bool Fail(const std::string& problem) {
    if (problem_.empty()) problem_ = problem;
    return false;
  }
  bool UnknownField() {
    return Fail(
        Where(absl::StrCat("has an unknown field '", Printable(field_), "'")));
  }
  std::string Where(const std::string& what) const {
    if (depth_ == 0) return "the header is no JSON object";
    return absl::StrCat("the header's entry '", Printable(top_key_), "' ",
                        what);
  }

  std::vector<RawEntry> entries_;
  std::set<std::string> names_;
  std::vector<uint64_t>* list_ = nullptr;
  std::string top_key_;
  std::string field_;
  std::string problem_;
  int depth_ = 0;
};

// `data_bytes` follow the header; `data_at` is where they begin.
struct DataRange {
  int64_t data_at = 0;
  int64_t data_bytes = 0;
};

struct PlacedEntry {
  LayoutEntry entry;
  uint64_t begin = 0;
  uint64_t end = 0;
};

absl::StatusOr<PlacedEntry> Place(const InputFile& file, const RawEntry& raw,
                                  DataRange range) {
  const std::string who = absl::StrCat("tensor '", Printable(raw.name), "' ");
  if (!raw.dtype || !raw.shape || !raw.offsets) {
    return file.Malformed(absl::StrCat(who, "has no ",
                                       !raw.dtype   ? "dtype"
                                       : !raw.shape ? "shape"
                                                    : "data_offsets"));
  }
  if (raw.offsets->size() != 2 || (*raw.offsets)[0] > (*raw.offsets)[1]) {
    return file.Malformed(
        absl::StrCat(who, "needs data_offsets [begin, end], begin <= end"));
  }
  PlacedEntry placed{
      .entry = {}, .begin = (*raw.offsets)[0], .end = (*raw.offsets)[1]};
  if (placed.end > static_cast<uint64_t>(range.data_bytes)) {
    return file.Malformed(absl::StrCat(who, "ends at byte ", placed.end,
                                       " of the data, which has ",
                                       range.data_bytes, " bytes"));
  }
  LayoutEntry& entry = placed.entry;
  entry.name = raw.name;
  entry.type_name = *raw.dtype;
  entry.offset = range.data_at + static_cast<int64_t>(placed.begin);
  for (const uint64_t extent : *raw.shape) {
    if (extent > INT64_MAX) {
      return file.Malformed(absl::StrCat(who, "has extent ", extent));
    }
    entry.shape.push_back(static_cast<int64_t>(extent));
  }
  const StoredType* stored = FindType(entry.type_name);
  if (stored == nullptr) return placed;  // Refused only when it is asked for.
  entry.type = stored->type;
  const std::optional<int64_t> bytes = CheckedBytes(entry.shape, stored->bits);
  const auto given = static_cast<int64_t>(placed.end - placed.begin);
  if (!bytes || *bytes != given) {
    return file.Malformed(absl::StrCat(
        who, "of type ", entry.type_name, " and shape ", ShapeText(entry.shape),
        " needs ",
        bytes ? absl::StrCat(*bytes, " bytes") : "more than 2^63 bytes",
        ", but its data_offsets span ", given));
  }
  return placed;
}

// The tensors, sorted by place, must cover the data exactly.
absl::Status CheckCover(const InputFile& file,
                        const std::vector<PlacedEntry>& placed,
                        int64_t data_bytes) {
  uint64_t covered = 0;
  for (const PlacedEntry& tensor : placed) {
    if (tensor.begin != covered) {
      return file.Malformed(
          absl::StrCat("tensor '", Printable(tensor.entry.name),
                       "' begins at byte ", tensor.begin, " of the data, ",
                       tensor.begin < covered ? "inside another tensor"
                                              : "and leaves a gap before it"));
    }
    covered = tensor.end;
  }
  if (covered != static_cast<uint64_t>(data_bytes)) {
    return file.Malformed(absl::StrCat("the tensors end at byte ", covered,
                                       " of the data, which has ", data_bytes,
                                       " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> HeaderLength(const InputFile& file) {
  if (file.size() < kLengthBytes + 2) {
    return file.Malformed("too short to be a .safetensors file");
  }
  unsigned char bytes[kLengthBytes] = {};
  if (auto status = file.Read(0, kLengthBytes, reinterpret_cast<char*>(bytes));
      !status.ok()) {
    return status;
  }
  uint64_t length = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i) length = length << 8 | bytes[i];
  const int64_t room = file.size() - kLengthBytes;
  if (length > static_cast<uint64_t>(room)) {
    return file.Malformed(absl::StrCat("the header should have ", length,
                                       " bytes, but the file has ", room,
                                       " after the length"));
  }
  if (length > static_cast<uint64_t>(kHeaderBytesMax)) {
    return file.Malformed(absl::StrCat("the header has ", length,
                                       " bytes; the format allows ",
                                       kHeaderBytesMax));
  }
  return static_cast<int64_t>(length);
}

}  // namespace

absl::StatusOr<FileLayout> ReadSafetensorsLayout(const InputFile& file) {
  const absl::StatusOr<int64_t> length = HeaderLength(file);
  if (!length.ok()) return length.status();
  std::string header(static_cast<std::size_t>(*length), '\0');
  if (auto status = file.Read(kLengthBytes, *length, header.data());
      !status.ok()) {
    return status;
  }
  HeaderEvents events;
  if (!nlohmann::json::sax_parse(header, &events)) {
    return file.Malformed(events.problem());
  }
  const DataRange range{.data_at = kLengthBytes + *length,
                        .data_bytes = file.size() - kLengthBytes - *length};
  std::vector<PlacedEntry> placed;
  for (const RawEntry& raw : events.entries()) {
    absl::StatusOr<PlacedEntry> one = Place(file, raw, range);
    if (!one.ok()) return one.status();
    placed.push_back(*std::move(one));
  }
  std::sort(placed.begin(), placed.end(),
            [](const PlacedEntry& a, const PlacedEntry& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  if (auto status = CheckCover(file, placed, range.data_bytes); !status.ok()) {
    return status;
  }
  FileLayout layout;
  for (PlacedEntry& tensor : placed) {
    layout.entries.push_back(std::move(tensor.entry));
  }
  return layout;
}

}  // namespace steelyard::tensor_files
