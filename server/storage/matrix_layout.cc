#include "server/storage/matrix_layout.h"

namespace steelyard::server {
namespace {

// Every part of a CSR matrix begins at a cache line.
constexpr std::int64_t kAlignment = 64;

std::int64_t Padded(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::int64_t BytesOfNumber(StorageType type) {
  switch (type) {
    case StorageType::kFloat64:
      return 8;
    case StorageType::kFloat32:
      return 4;
    case StorageType::kFloat16:
    case StorageType::kBFloat16:
      return 2;
  }
  return 0;
}

}  // namespace

std::int64_t MatrixLayout::column_indices_at() const {
  return Padded((rows + 1) * std::int64_t{sizeof(std::int64_t)});
}

std::int64_t MatrixLayout::values_at() const {
  if (!sparse) return 0;
  return column_indices_at() +
         Padded(nonzeros * std::int64_t{sizeof(std::int32_t)});
}

std::int64_t MatrixLayout::size() const {
  if (!sparse) return heads * rows * cols * BytesOfNumber(type);
  return values_at() + Padded(nonzeros * BytesOfNumber(type));
}

}  // namespace steelyard::server
