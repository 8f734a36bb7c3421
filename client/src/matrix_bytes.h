// The bytes of a matrix in the order in which it is stored, wherever it lies.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "steelyard/client/csr_view.h"
#include "steelyard/client/matrices.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::client {

class MatrixBytes {
 public:
  // The numbers are not copied; they outlive this. A vector of n is n x 1.
  // ERRORS  InvalidArgument: those of a tensor (tensor_codec.h) and of
  //   CheckCsr, in the field "matrix"; an extent or a size of the feed < 1, or
  //   a layout of more bytes than an int64 counts.
  static absl::StatusOr<MatrixBytes> Of(const TensorView& matrix);
  static absl::StatusOr<MatrixBytes> Of(const CsrView& matrix);
  static absl::StatusOr<MatrixBytes> Of(const MatrixFeed& feed);

  const MatrixLayout& layout() const { return layout_; }
  std::int64_t size() const { return size_; }

  // Bytes [offset, offset + out.size()), which lie within size().
  // ERRORS  those of the feed.
  absl::Status Read(std::int64_t offset, std::span<char> out) const {
    return read_(offset, out);
  }

  // The same bytes where they lie, if they lie there in one piece: nothing is
  // copied. Empty: they do not.
  std::span<const char> View(std::int64_t offset, std::int64_t count) const {
    if (contiguous_ == nullptr) return {};
    return {contiguous_ + offset, static_cast<std::size_t>(count)};
  }

 private:
  using Reader = std::function<absl::Status(std::int64_t, std::span<char>)>;

  MatrixBytes(MatrixLayout layout, std::int64_t size, Reader read)
      : layout_(std::move(layout)), size_(size), read_(std::move(read)) {}

  MatrixLayout layout_;
  std::int64_t size_;
  Reader read_;
  const char* contiguous_ = nullptr;
};

// OK when the arrays have the sizes that they say.
// ERRORS  InvalidArgument, in a field below `field`: rows or columns < 1
//   (FIELD_OUT_OF_RANGE), other than rows + 1 offsets, offsets that do not go
//   from 0 to the number of entries, or not as many column indices as values
//   (WRONG_SIZE).
absl::Status CheckCsr(const CsrView& matrix, const std::string& field);

}  // namespace steelyard::client
