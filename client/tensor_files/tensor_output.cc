#include "client/tensor_files/tensor_output.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/tensor_files/replaced_file.h"

namespace steelyard::tensor_files {
namespace {

constexpr std::size_t kAlignment = 64;  // Of the data, in both formats.

absl::Span<const char> BytesOf(const NamedArray& array) {
  if (array.type == ElementType::kInt64) {
    return {reinterpret_cast<const char*>(array.integers.data()),
            array.integers.size() * sizeof(int64_t)};
  }
  return {reinterpret_cast<const char*>(array.doubles.data()),
          array.doubles.size() * sizeof(double)};
}

std::string NpyHeader(const NamedArray& array) {
  const char* descr = array.type == ElementType::kInt64 ? "<i8" : "<f8";
  std::string header = absl::StrCat("{'descr': '", descr,
                                    "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(array.shape, ", "),
                                    array.shape.size() == 1 ? "," : "", "), }");
  constexpr std::size_t kPrefix = 10;
  const std::size_t unpadded = kPrefix + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header.push_back('\n');
  std::string text("\x93NUMPY\x01\x00", 8);
  text.push_back(static_cast<char>(header.size() & 0xff));
  text.push_back(static_cast<char>(header.size() >> 8));
  return text + header;
}

std::string SafetensorsHeader(absl::Span<const NamedArray> arrays,
                              absl::Span<const Annotation> annotations) {
  nlohmann::ordered_json json;
  for (const Annotation& note : annotations) {
    json["__metadata__"][note.key] = note.value;
  }
  std::size_t begin = 0;
  for (const NamedArray& array : arrays) {
    const std::size_t end = begin + BytesOf(array).size();
    json[array.name] = {
        {"dtype", array.type == ElementType::kInt64 ? "I64" : "F64"},
        {"shape", array.shape},
        {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string header =
      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::size_t unpadded = sizeof(uint64_t) + header.size();
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  std::string text;
  for (std::size_t i = 0; i < sizeof(uint64_t); ++i) {
    text.push_back(static_cast<char>(header.size() >> (8 * i) & 0xff));
  }
  return text + header;
}

}  // namespace

NamedArray NamedArray::Doubles(std::string name, std::vector<double> values,
                               std::vector<int64_t> shape) {
  return {.name = std::move(name),
          .type = ElementType::kFloat64,
          .shape = std::move(shape),
          .doubles = std::move(values),
          .integers = {}};
}

NamedArray NamedArray::Integers(std::string name, std::vector<int64_t> values,
                                std::vector<int64_t> shape) {
  return {.name = std::move(name),
          .type = ElementType::kInt64,
          .shape = std::move(shape),
          .doubles = {},
          .integers = std::move(values)};
}

absl::Status CheckOutputPath(const std::string& path, std::size_t count) {
  if (absl::EndsWith(path, ".safetensors")) return absl::OkStatus();
  if (!absl::EndsWith(path, ".npy")) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": an output ends in .npy or .safetensors"));
  }
  if (count == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": a .npy file holds one array and this result has ",
                   count, "; choose a name that ends in .safetensors"));
}

absl::Status WriteArrays(const std::string& path,
                         absl::Span<const NamedArray> arrays,
                         absl::Span<const Annotation> annotations) {
  if (auto fits = CheckOutputPath(path, arrays.size()); !fits.ok()) return fits;
  const std::string header = absl::EndsWith(path, ".npy")
                                 ? NpyHeader(arrays[0])
                                 : SafetensorsHeader(arrays, annotations);
  std::vector<absl::Span<const char>> parts = {header};
  for (const NamedArray& array : arrays) parts.push_back(BytesOf(array));
  return ReplaceFile(path, parts);
}

absl::Status WriteArraysOrBeside(const std::string& path,
                                 absl::Span<const NamedArray> arrays,
                                 absl::Span<const Annotation> annotations) {
  if (!absl::EndsWith(path, ".npy") || arrays.size() == 1) {
    return WriteArrays(path, arrays, annotations);
  }
  const std::string beside = path + ".safetensors";
  auto written = WriteArrays(beside, arrays, annotations);
  if (!written.ok()) return written;
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": a .npy file holds one array and this result has ",
                   arrays.size(), "; they were written to ", beside));
}

}  // namespace steelyard::tensor_files
