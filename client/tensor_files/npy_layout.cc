// The header of a .npy file is a Python literal. This reads the part of Python
// that NumPy writes, strictly: quoted strings, True, False, a tuple of
// integers.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/tensor_files/file_layout.h"

namespace steelyard::tensor_files {
namespace {

constexpr int64_t kPrefixBytes = 8;  // Magic and version.
constexpr int64_t kLengthBytesMax = 4;
constexpr int64_t kHeaderBytesMax = 1 << 16;  // NumPy itself stops at 10,000.
constexpr std::size_t kExtentsMax = 8;

struct NpyFields {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
};

// Every Take... returns false and leaves `problem` when the text is not what
// it should be.
class LiteralReader {
 public:
  explicit LiteralReader(const std::string& text) : text_(text) {}

  bool TakeDictionary(NpyFields* fields) {
    if (!TakeMark('{')) return Fail("the header is no Python dictionary");
    while (!TakeMark('}')) {
      std::string key;
      if (!TakeString(&key)) return Fail("the header is no Python dictionary");
      if (!TakeMark(':')) return Fail("the header has a key without a value");
      if (!TakeValue(key, fields)) return false;
      if (!TakeMark(',') && Peek() != '}') {
        return Fail("the header lacks a comma or a closing brace");
      }
    }
    if (Peek() != '\0' || position_ < text_.size()) {
      return Fail("the header goes on after its dictionary");
    }
    return true;
  }

  const std::string& problem() const { return problem_; }

 private:
  bool Fail(const std::string& problem) {
    if (problem_.empty()) problem_ = problem;
    return false;
  }

  char Peek() {
    while (position_ < text_.size() &&
           std::strchr(" \t\r\n", text_[position_]) != nullptr &&
           text_[position_] != '\0') {
      ++position_;
    }
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool TakeMark(char mark) {
    if (Peek() != mark) return false;
    ++position_;
    return true;
  }

  bool TakeWord(const std::string& word) {
    Peek();
    if (text_.compare(position_, word.size(), word) != 0) return false;
    position_ += word.size();
    return true;
  }

  bool TakeString(std::string* out) {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') return false;
    const std::size_t end = text_.find(quote, position_ + 1);
    if (end == std::string::npos) return false;
    *out = text_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    return true;
  }

  bool TakeValue(const std::string& key, NpyFields* fields) {
    if (key == "descr") {
      fields->descr.emplace();
      if (TakeString(&*fields->descr)) return true;
      return Fail("the element type is structured; one plain number is needed");
    }
    if (key == "fortran_order") {
      fields->fortran_order = TakeWord("True");
      if (*fields->fortran_order || TakeWord("False")) return true;
      return Fail("fortran_order is neither True nor False");
    }
    if (key == "shape") {
      fields->shape.emplace();
      return TakeShape(&*fields->shape);
    }
    return Fail(
        absl::StrCat("the header has an unknown key '", Printable(key), "'"));
  }

  bool TakeShape(std::vector<int64_t>* shape) {
    if (!TakeMark('(')) return Fail("the shape is no tuple");
    while (!TakeMark(')')) {
      Peek();
      int64_t extent = 0;
      const char* begin = text_.data() + position_;
      const auto [end, error] =
          std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error == std::errc::result_out_of_range) {
        return Fail("an extent does not fit in 63 bits");
      }
      if (error != std::errc())
        return Fail("the shape is no tuple of integers");
      if (extent < 0) {
        return Fail(absl::StrCat("the shape has a negative extent ", extent));
      }
      if (shape->size() == kExtentsMax) {
        return Fail(absl::StrCat("more than ", kExtentsMax, " axes"));
      }
      position_ += static_cast<std::size_t>(end - begin);
      shape->push_back(extent);
      if (!TakeMark(',') && Peek() != ')') {
        return Fail("the shape is no tuple of integers");
      }
    }
    return true;
  }

  const std::string& text_;
  std::size_t position_ = 0;
  std::string problem_;
};

absl::StatusOr<ElementType> TypeOf(const InputFile& file,
                                   const std::string& descr) {
  if (descr == "<f8") return ElementType::kFloat64;
  if (descr == "<f4") return ElementType::kFloat32;
  if (descr == "<f2") return ElementType::kFloat16;
  if (descr.size() == 3 && descr[0] == '>') {
    return file.Malformed(absl::StrCat(
        "the numbers are big-endian ('", Printable(descr),
        "'); save them little-endian: a.astype('<", descr.substr(1), "')"));
  }
  return file.Malformed(absl::StrCat(
      "the element type is '", Printable(descr),
      "'; needed is '<f8', '<f4' or '<f2', for instance a.astype('<f8')"));
}

absl::Status Malformed(const std::string& name, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", rule));
}

absl::StatusOr<NpyHeader> HeaderOf(const std::string& name,
                                   const std::string& literal) {
  NpyFields fields;
  LiteralReader reader(literal);
  if (!reader.TakeDictionary(&fields)) {
    return Malformed(name, reader.problem());
  }
  if (!fields.descr || !fields.fortran_order || !fields.shape) {
    return Malformed(name, absl::StrCat("the header lacks '",
                                        !fields.descr   ? "descr"
                                        : !fields.shape ? "shape"
                                                        : "fortran_order",
                                        "'"));
  }
  return NpyHeader{.descr = *std::move(fields.descr),
                   .column_major = *fields.fortran_order,
                   .shape = *std::move(fields.shape)};
}

absl::StatusOr<int64_t> HeaderLength(const std::string& name,
                                     absl::string_view start, int64_t size,
                                     int64_t length_bytes) {
  if (size < kPrefixBytes + length_bytes) {
    return Malformed(name, "ends inside the header's length");
  }
  int64_t length = 0;
  for (int64_t i = length_bytes; i-- > 0;) {
    length =
        length * 256 + static_cast<unsigned char>(
                           start[static_cast<std::size_t>(kPrefixBytes + i)]);
  }
  const int64_t room = size - kPrefixBytes - length_bytes;
  if (length > room) {
    return Malformed(name, absl::StrCat("the header should have ", length,
                                        " bytes, but the file ends after ",
                                        room, " of them"));
  }
  if (length > kHeaderBytesMax) {
    return Malformed(name,
                     absl::StrCat("the header has ", length, " bytes; at most ",
                                  kHeaderBytesMax, " are read"));
  }
  return length;
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& name,
                                         absl::string_view start,
                                         int64_t size) {
  if (size < kPrefixBytes) {
    return Malformed(name, "too short to be a .npy file");
  }
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0) {
    return Malformed(name,
                     "not a .npy file: it does not start with \\x93NUMPY");
  }
  const int major = static_cast<unsigned char>(start[6]);
  if (major < 1 || major > 3) {
    return Malformed(name, absl::StrCat("format version ", major,
                                        "; versions 1 to 3 are read"));
  }
  const int64_t length_bytes = major == 1 ? 2 : kLengthBytesMax;
  const absl::StatusOr<int64_t> length =
      HeaderLength(name, start, size, length_bytes);
  if (!length.ok()) return length.status();
  const int64_t at = kPrefixBytes + length_bytes;
  absl::StatusOr<NpyHeader> header = HeaderOf(
      name, std::string(start.substr(static_cast<std::size_t>(at),
                                     static_cast<std::size_t>(*length))));
  if (header.ok()) header->data_offset = at + *length;
  return header;
}

absl::StatusOr<FileLayout> ReadNpyLayout(const InputFile& file) {
  std::string start(
      static_cast<std::size_t>(std::min(
          file.size(), kPrefixBytes + kLengthBytesMax + kHeaderBytesMax)),
      '\0');
  if (auto status =
          file.Read(0, static_cast<int64_t>(start.size()), start.data());
      !status.ok()) {
    return status;
  }
  absl::StatusOr<NpyHeader> header =
      ParseNpyHeader(file.path(), start, file.size());
  if (!header.ok()) return header.status();
  const absl::StatusOr<ElementType> type = TypeOf(file, header->descr);
  if (!type.ok()) return type.status();
  LayoutEntry entry;
  entry.type_name = header->descr;
  entry.type = *type;
  entry.shape = std::move(header->shape);
  entry.column_major = header->column_major;
  entry.offset = header->data_offset;

  const std::optional<int64_t> bytes =
      CheckedBytes(entry.shape, 8 * BytesOf(*entry.type));
  if (!bytes) {
    return file.Malformed(absl::StrCat("the shape ", ShapeText(entry.shape),
                                       " does not fit in 63 bits"));
  }
  const int64_t data = file.size() - entry.offset;
  if (*bytes != data) {
    return file.Malformed(absl::StrCat(
        "the header says ", NameOf(*entry.type), " ", ShapeText(entry.shape),
        ", ", *bytes, " bytes, but ", data, " bytes follow"));
  }
  FileLayout layout;
  layout.entries.push_back(std::move(entry));
  return layout;
}

}  // namespace steelyard::tensor_files
