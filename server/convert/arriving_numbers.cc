#include "server/convert/arriving_numbers.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

#include "server/errors/errors.h"
#include "steelyard/compute_context.h"
#include "steelyard/finite.h"
#include "steelyard/matrix_view.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

constexpr char kData[] = "chunk.data";
// Core's name of the matrix in messages: "matrix[5,2] is nan".
constexpr char kMatrix[] = "matrix";

// Copied at a time where the bytes do not lie as numbers must.
constexpr std::size_t kCopied = 4096;

// The flat index that a NOT_FINITE names.
std::int64_t IndexOf(const absl::Status& status) {
  const std::string text = DetailOf(status)->metadata.at("index");
  std::int64_t index = 0;
  std::from_chars(text.data(), text.data() + text.size(), index);
  return index;
}

}  // namespace

absl::Status ArrivingNumbers::Check(std::int64_t at,
                                    absl::Span<const std::byte> bytes) {
  if (layout_.sparse || at != next_) return absl::OkStatus();
  next_ += static_cast<std::int64_t>(bytes.size());
  absl::Status status;
  switch (layout_.type) {
    case StorageType::kFloat64:
      status = CheckAs<double>(bytes);
      break;
    case StorageType::kFloat32:
      status = CheckAs<float>(bytes);
      break;
    case StorageType::kFloat16:
      status = CheckAs<Half>(bytes);
      break;
    case StorageType::kBFloat16:
      status = CheckAs<BFloat16>(bytes);
      break;
  }
  return WithField(status, kData);
}

template <typename T>
absl::Status ArrivingNumbers::CheckAs(absl::Span<const std::byte> bytes) {
  if (split_size_ > 0) {
    const std::size_t count = std::min(sizeof(T) - split_size_, bytes.size());
    std::memcpy(split_.data() + split_size_, bytes.data(), count);
    split_size_ += count;
    bytes.remove_prefix(count);
    if (split_size_ < sizeof(T)) return absl::OkStatus();
    split_size_ = 0;
    absl::Status status =
        CheckPiece(reinterpret_cast<const T*>(split_.data()), 1);
    if (!status.ok()) return status;
  }
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0;
  alignas(T) std::array<std::byte, kCopied> copy;
  while (bytes.size() >= sizeof(T)) {
    const std::size_t size =
        std::min(bytes.size(), aligned ? bytes.size() : kCopied) / sizeof(T) *
        sizeof(T);
    if (!aligned) std::memcpy(copy.data(), bytes.data(), size);
    const std::byte* const begin = aligned ? bytes.data() : copy.data();
    absl::Status status =
        CheckPiece(reinterpret_cast<const T*>(begin),
                   static_cast<std::int64_t>(size / sizeof(T)));
    if (!status.ok()) return status;
    bytes.remove_prefix(size);
  }
  std::copy(bytes.begin(), bytes.end(), split_.begin());
  split_size_ = bytes.size();
  return absl::OkStatus();
}

// As one row; only when that has a bad one, as the row of the matrix that it
// stands in, for the words of the error.
template <typename T>
absl::Status ArrivingNumbers::CheckPiece(const T* numbers, std::int64_t count) {
  const ComputeContext context{.workers = alone_};
  const absl::Status row = CheckFinite(
      AnyMatrixView(MatrixView<T>(numbers, 1, count)), kMatrix, context);
  if (row.ok()) {
    first_ += count;
    return row;
  }
  const std::int64_t bad = IndexOf(row);
  const std::int64_t flat = first_ + bad;
  std::vector<T> around(static_cast<std::size_t>(layout_.cols));
  around[static_cast<std::size_t>(flat % layout_.cols)] = numbers[bad];
  return CheckFinite(
      AnyMatrixView(MatrixView<T>(around.data(), 1, layout_.cols)), kMatrix,
      context, flat / layout_.cols);
}

}  // namespace steelyard::server
