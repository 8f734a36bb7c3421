// A dense tensor as a file stores it: bytes, the type of its elements, a shape.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace steelyard::tensor_files {

enum class ElementType { kFloat64, kFloat32, kFloat16, kBfloat16, kInt64 };

// Size of one element: 8, 4 or 2.
int64_t BytesOf(ElementType type);

// As NumPy spells it: "float64", "float32", "float16", "bfloat16", "int64".
std::string NameOf(ElementType type);

// "[12, 512, 32]".
std::string ShapeText(absl::Span<const int64_t> shape);

// What is known of a tensor before its bytes are read.
struct TensorInfo {
  ElementType type = ElementType::kFloat64;
  std::vector<int64_t> shape;  // 1 to 8 extents, each >= 1.

  int64_t elements() const;
  int64_t bytes() const { return elements() * BytesOf(type); }
  // "float16 [12, 512, 32]".
  std::string text() const;
};

// Little-endian, row-major, no padding: the form in which tensors travel.
class StoredTensor {
 public:
  StoredTensor() = default;
  // Takes the bytes over; there are info.bytes() of them.
  StoredTensor(TensorInfo info, std::unique_ptr<char[]> bytes)
      : info_(std::move(info)), bytes_(std::move(bytes)) {}

  // A tensor of float64 that holds a copy of `values`.
  static StoredTensor Of(absl::Span<const double> values,
                         std::vector<int64_t> shape);
  static StoredTensor Of(absl::Span<const float> values,
                         std::vector<int64_t> shape);

  const TensorInfo& info() const { return info_; }
  ElementType type() const { return info_.type; }
  const std::vector<int64_t>& shape() const { return info_.shape; }
  absl::Span<const char> bytes() const {
    return {bytes_.get(), static_cast<std::size_t>(info_.bytes())};
  }

  // Elements [first, first + out.size()) as float64. Every float type of less
  // width is a subset of it, so nothing is rounded. Not for kInt64.
  void ReadDoubles(int64_t first, absl::Span<double> out) const;

  // All of them.
  std::vector<double> Doubles() const;

 private:
  TensorInfo info_;
  std::unique_ptr<char[]> bytes_;
};

}  // namespace steelyard::tensor_files
