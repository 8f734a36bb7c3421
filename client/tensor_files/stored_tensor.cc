#include "client/tensor_files/stored_tensor.h"

#include <cassert>
#include <cstring>
#include <utility>

#include <Eigen/Core>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace steelyard::tensor_files {
namespace {

// memcpy, because the bytes come from a file and are aligned to nothing.
template <class T>
void ConvertRun(const char* bytes, absl::Span<double> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

template <class T>
StoredTensor CopyOf(absl::Span<const T> values, ElementType type,
                    std::vector<int64_t> shape) {
  TensorInfo info{.type = type, .shape = std::move(shape)};
  assert(static_cast<std::size_t>(info.elements()) == values.size());
  auto bytes = std::make_unique_for_overwrite<char[]>(
      static_cast<std::size_t>(info.bytes()));
  std::memcpy(bytes.get(), values.data(), values.size() * sizeof(T));
  return StoredTensor(std::move(info), std::move(bytes));
}

}  // namespace

int64_t BytesOf(ElementType type) {
  switch (type) {
    case ElementType::kFloat64:
    case ElementType::kInt64:
      return 8;
    case ElementType::kFloat32:
      return 4;
    case ElementType::kFloat16:
    case ElementType::kBfloat16:
      return 2;
  }
  return 0;
}

std::string NameOf(ElementType type) {
  switch (type) {
    case ElementType::kFloat64:
      return "float64";
    case ElementType::kFloat32:
      return "float32";
    case ElementType::kFloat16:
      return "float16";
    case ElementType::kBfloat16:
      return "bfloat16";
    case ElementType::kInt64:
      return "int64";
  }
  return "";
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

int64_t TensorInfo::elements() const {
  int64_t product = 1;
  for (const int64_t extent : shape) product *= extent;
  return product;
}

std::string TensorInfo::text() const {
  return absl::StrCat(NameOf(type), " ", ShapeText(shape));
}

StoredTensor StoredTensor::Of(absl::Span<const double> values,
                              std::vector<int64_t> shape) {
  return CopyOf(values, ElementType::kFloat64, std::move(shape));
}

StoredTensor StoredTensor::Of(absl::Span<const float> values,
                              std::vector<int64_t> shape) {
  return CopyOf(values, ElementType::kFloat32, std::move(shape));
}

void StoredTensor::ReadDoubles(int64_t first, absl::Span<double> out) const {
  const char* start = bytes_.get() + first * BytesOf(info_.type);
  switch (info_.type) {
    case ElementType::kFloat64:
      return ConvertRun<double>(start, out);
    case ElementType::kFloat32:
      return ConvertRun<float>(start, out);
    case ElementType::kFloat16:
      return ConvertRun<Eigen::half>(start, out);
    case ElementType::kBfloat16:
      return ConvertRun<Eigen::bfloat16>(start, out);
    case ElementType::kInt64:
      assert(false && "integers are written, never read");
      return;
  }
}

std::vector<double> StoredTensor::Doubles() const {
  std::vector<double> out(static_cast<std::size_t>(info_.elements()));
  ReadDoubles(0, absl::MakeSpan(out));
  return out;
}

}  // namespace steelyard::tensor_files
