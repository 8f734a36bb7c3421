#include "server/convert/packed_rows.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace steelyard::server {
namespace {

void Begin(v1::DType dtype, std::size_t numbers, v1::Tensor* tensor) {
  tensor->set_dtype(dtype);
  tensor->add_shape(static_cast<std::int64_t>(numbers));
  tensor->mutable_data()->reserve(numbers * 8);
}

// Memory looks like the wire: little-endian (tensor_input.cc asserts it).
template <typename Number>
void Append(const Number* numbers, std::size_t count, v1::Tensor* tensor) {
  static_assert(sizeof(Number) == 8);
  tensor->mutable_data()->append(reinterpret_cast<const char*>(numbers),
                                 count * sizeof(Number));
}

bool IsInterval(const HeavyRow& row) { return !row.scores_upper.empty(); }

void OffsetsToProto(absl::Span<const HeavyRow> rows, v1::PackedRows* packed) {
  v1::Tensor* const offsets = packed->mutable_row_offsets();
  v1::Tensor* const mass = packed->mutable_captured_mass();
  Begin(v1::DTYPE_INT64, rows.size() + 1, offsets);
  Begin(v1::DTYPE_FLOAT64, rows.size(), mass);
  std::int64_t offset = 0;
  Append(&offset, 1, offsets);
  for (const HeavyRow& row : rows) {
    offset += static_cast<std::int64_t>(row.indices.size());
    Append(&offset, 1, offsets);
    Append(&row.captured_mass, 1, mass);
  }
}

}  // namespace

void ToProto(absl::Span<const HeavyRow> rows, v1::PackedRows* packed) {
  OffsetsToProto(rows, packed);
  std::size_t entries = 0;
  for (const HeavyRow& row : rows) entries += row.indices.size();
  if (entries == 0) return;
  Begin(v1::DTYPE_INT64, entries, packed->mutable_indices());
  Begin(v1::DTYPE_FLOAT64, entries, packed->mutable_scores());
  const bool intervals = std::any_of(rows.begin(), rows.end(), IsInterval);
  if (intervals) {
    Begin(v1::DTYPE_FLOAT64, entries, packed->mutable_scores_upper());
  }
  for (const HeavyRow& row : rows) {
    Append(row.indices.data(), row.indices.size(), packed->mutable_indices());
    Append(row.scores.data(), row.scores.size(), packed->mutable_scores());
    if (!intervals) continue;
    const auto& upper = IsInterval(row) ? row.scores_upper : row.scores;
    Append(upper.data(), upper.size(), packed->mutable_scores_upper());
  }
}

double PackedBytes(double rows, double entries, bool intervals) {
  return 8.0 * (rows + 1.0) + 8.0 * rows + (intervals ? 24.0 : 16.0) * entries;
}

}  // namespace steelyard::server
