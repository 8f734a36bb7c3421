#include "client/tensor_files/file_layout.h"

namespace steelyard::tensor_files {

std::optional<int64_t> CheckedBytes(absl::Span<const int64_t> shape,
                                    int64_t bits_per_element) {
  int64_t bits = bits_per_element;
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(bits, extent, &bits)) return std::nullopt;
  }
  if (empty) return 0;
  if (bits % 8 != 0) return std::nullopt;
  return bits / 8;
}

}  // namespace steelyard::tensor_files
