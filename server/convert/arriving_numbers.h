// Whether the numbers of a dense matrix are finite, while its bytes come.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/storage/matrix_layout.h"
#include "steelyard/workers.h"

namespace steelyard::server {

// Sees every byte once, in the chunk it came in, cut anywhere: a second read of
// all of them at the end would cost as much as the checksum did. Like that it
// is a pass of a thread of the call over what it has just received.
class ArrivingNumbers {
 public:
  explicit ArrivingNumbers(const MatrixLayout& layout) : layout_(layout) {}

  // The bytes from `at` on. Those that do not follow the ones before, or do not
  // begin at 0, are not looked at, and neither are sparse matrices: their parts
  // are checked against each other (CheckNumbers).
  //
  // ERRORS  NOT_FINITE with the index, at `chunk.data`.
  absl::Status Check(std::int64_t at, absl::Span<const std::byte> bytes);

  // Every number was looked at.
  bool complete() const { return !layout_.sparse && next_ == layout_.size(); }

 private:
  template <typename T>
  absl::Status CheckAs(absl::Span<const std::byte> bytes);
  template <typename T>
  absl::Status CheckPiece(const T* numbers, std::int64_t count);

  const MatrixLayout layout_;
  const Workers alone_{1};
  std::int64_t next_ = 0;
  std::int64_t first_ = 0;  // number that begins or goes on with the next byte
  // The beginning of a number whose end has not come.
  alignas(8) std::array<std::byte, 8> split_{};
  std::size_t split_size_ = 0;
};

}  // namespace steelyard::server
