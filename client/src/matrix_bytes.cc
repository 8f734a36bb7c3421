#include "matrix_bytes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "error_codec.h"
#include "tensor_codec.h"

namespace steelyard::client {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr char kField[] = "matrix";

absl::Status Invalid(const std::string& reason, const std::string& field,
                     const std::string& message) {
  return LocalError(absl::StatusCode::kInvalidArgument, message,
                    {.reason = reason, .field = field});
}

// Elements in row-major order, whatever the strides are.
class ElementWalk {
 public:
  explicit ElementWalk(const TensorView& view)
      : data_(static_cast<const char*>(view.data())),
        width_(static_cast<std::size_t>(client::BytesOf(view.type()))) {
    const auto first = static_cast<std::size_t>(3 - view.rank());
    for (int axis = 0; axis < view.rank(); ++axis) {
      const std::size_t at = first + static_cast<std::size_t>(axis);
      extents_[at] = view.extent(axis);
      strides_[at] = view.stride(axis);
    }
  }

  std::size_t width() const { return width_; }

  bool IsRowMajor() const {
    std::int64_t stride = 1;
    for (std::size_t axis = 3; axis-- > 0;) {
      if (extents_[axis] != 1 && strides_[axis] != stride) return false;
      stride *= extents_[axis];
    }
    return true;
  }

  // Elements [first, first + count).
  void Copy(std::int64_t first, std::int64_t count, char* out) const {
    std::int64_t row = first / extents_[2];
    std::int64_t column = first % extents_[2];
    while (count > 0) {
      const std::int64_t run = std::min(count, extents_[2] - column);
      const std::int64_t at = (row / extents_[1]) * strides_[0] +
                              (row % extents_[1]) * strides_[1] +
                              column * strides_[2];
      CopyRun(at, run, out);
      out += static_cast<std::size_t>(run) * width_;
      count -= run;
      ++row;
      column = 0;
    }
  }

 private:
  void CopyRun(std::int64_t at, std::int64_t count, char* out) const {
    const char* from = data_ + at * static_cast<std::int64_t>(width_);
    if (strides_[2] == 1) {
      std::memcpy(out, from, static_cast<std::size_t>(count) * width_);
      return;
    }
    const std::int64_t step = strides_[2] * static_cast<std::int64_t>(width_);
    for (; count > 0; --count, from += step, out += width_) {
      std::memcpy(out, from, width_);
    }
  }

  const char* data_;
  std::size_t width_;
  std::array<std::int64_t, 3> extents_{1, 1, 1};
  std::array<std::int64_t, 3> strides_{0, 0, 0};
};

// Any bytes of numbers that can only be had whole.
template <typename CopyNumbers>
void CopyBytes(std::int64_t offset, std::span<char> out, std::int64_t width,
               const CopyNumbers& copy) {
  const std::int64_t first = offset / width;
  const auto end = offset + static_cast<std::int64_t>(out.size());
  const std::int64_t count = (end + width - 1) / width - first;
  if (offset % width == 0 && end % width == 0) {
    copy(first, count, out.data());
    return;
  }
  std::vector<char> whole(static_cast<std::size_t>(count * width));
  copy(first, count, whole.data());
  std::memcpy(out.data(), whole.data() + offset % width, out.size());
}

// One array of a matrix, zero bytes behind it up to a multiple of 64.
struct Section {
  std::int64_t bytes = 0;
  std::function<void(std::int64_t offset, std::span<char> out)> copy;

  std::int64_t padded() const {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
};

void CopySections(const std::vector<Section>& sections, std::int64_t offset,
                  std::span<char> out) {
  for (const Section& section : sections) {
    if (offset < section.padded() && !out.empty()) {
      const auto here = static_cast<std::size_t>(std::min<std::int64_t>(
          static_cast<std::int64_t>(out.size()), section.padded() - offset));
      const auto numbers = static_cast<std::size_t>(std::clamp<std::int64_t>(
          section.bytes - offset, 0, static_cast<std::int64_t>(here)));
      if (numbers > 0) section.copy(offset, out.first(numbers));
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(numbers),
                out.begin() + static_cast<std::ptrdiff_t>(here), '\0');
      out = out.subspan(here);
      offset += static_cast<std::int64_t>(here);
    }
    offset -= section.padded();
  }
}

Section SectionOf(const void* numbers, std::int64_t bytes) {
  return {.bytes = bytes,
          .copy = [numbers](std::int64_t offset, std::span<char> out) {
            std::memcpy(out.data(), static_cast<const char*>(numbers) + offset,
                        out.size());
          }};
}

std::vector<Section> SectionsOf(const CsrView& matrix) {
  constexpr std::int64_t kOffsetBytes = 8;
  constexpr std::int64_t kIndexBytes = 4;
  Section offsets;
  offsets.bytes = kOffsetBytes * matrix.offset_count();
  offsets.copy = [matrix](std::int64_t offset, std::span<char> out) {
    CopyBytes(offset, out, kOffsetBytes,
              [&](std::int64_t first, std::int64_t count, char* to) {
                for (std::int64_t i = first; i < first + count; ++i) {
                  const std::int64_t number = matrix.offset(i);
                  std::memcpy(to, &number, sizeof(number));
                  to += sizeof(number);
                }
              });
  };
  return {
      std::move(offsets),
      SectionOf(matrix.column_indices().data(),
                kIndexBytes * matrix.nonzeros()),
      SectionOf(matrix.values(), BytesOf(matrix.type()) * matrix.nonzeros())};
}

// Extents >= 1; their product times `bytes`, or an error that names the field.
absl::StatusOr<std::int64_t> SizeOf(const DenseLayout& layout) {
  std::int64_t bytes = BytesOf(layout.type);
  if (layout.shape.size() != 2 && layout.shape.size() != 3) {
    return Invalid("WRONG_SHAPE", "matrix.shape",
                   "matrix.shape has neither 2 extents nor 3");
  }
  for (const std::int64_t extent : layout.shape) {
    if (extent < 1) {
      return Invalid("FIELD_OUT_OF_RANGE", "matrix.shape",
                     absl::StrCat("matrix.shape has an extent of ", extent,
                                  "; it must be >= 1"));
    }
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return Invalid("SHAPE_OVERFLOW", "matrix.shape",
                     "the matrix has more bytes than 2^63 - 1");
    }
  }
  return bytes;
}

absl::StatusOr<std::int64_t> SizeOf(const CsrLayout& layout) {
  // Far above what any disk holds, and far from overflow.
  constexpr std::int64_t kMost = std::int64_t{1} << 58;
  if (layout.rows < 1 || layout.columns < 1 || layout.nonzeros < 0) {
    return Invalid("FIELD_OUT_OF_RANGE", kField,
                   "rows and columns must be >= 1, nonzeros >= 0");
  }
  if (layout.rows > kMost || layout.nonzeros > kMost) {
    return Invalid("SHAPE_OVERFLOW", kField,
                   "the matrix has more bytes than 2^63 - 1");
  }
  std::int64_t size = 0;
  for (const std::int64_t bytes : {8 * (layout.rows + 1), 4 * layout.nonzeros,
                                   BytesOf(layout.type) * layout.nonzeros}) {
    size += Section{.bytes = bytes, .copy = {}}.padded();
  }
  return size;
}

}  // namespace

absl::Status CheckCsr(const CsrView& matrix, const std::string& field) {
  for (const auto& [name, extent] : {std::pair("rows", matrix.rows()),
                                     std::pair("columns", matrix.columns())}) {
    if (extent >= 1) continue;
    const std::string at = absl::StrCat(field, ".", name);
    return Invalid("FIELD_OUT_OF_RANGE", at,
                   absl::StrCat(at, " is ", extent, "; it must be >= 1"));
  }
  const std::string offsets = absl::StrCat(field, ".row_offsets");
  // Before rows + 1, which may overflow.
  if (matrix.offset_count() - 1 != matrix.rows()) {
    return Invalid("WRONG_SIZE", offsets,
                   absl::StrCat(offsets, " has ", matrix.offset_count(),
                                " numbers; ", matrix.rows(),
                                " rows need one more than rows (a matrix of "
                                "Eigen must be compressed)"));
  }
  if (matrix.offset(0) != 0 ||
      matrix.offset(matrix.rows()) != matrix.nonzeros()) {
    return Invalid("WRONG_SIZE", offsets,
                   absl::StrCat(offsets, " goes from ", matrix.offset(0),
                                " to ", matrix.offset(matrix.rows()),
                                "; there are ", matrix.nonzeros(), " values"));
  }
  if (std::cmp_not_equal(matrix.column_indices().size(), matrix.nonzeros())) {
    const std::string at = absl::StrCat(field, ".column_indices");
    return Invalid(
        "WRONG_SIZE", at,
        absl::StrCat(at, " has ", matrix.column_indices().size(),
                     " numbers; there are ", matrix.nonzeros(), " values"));
  }
  return absl::OkStatus();
}

absl::StatusOr<MatrixBytes> MatrixBytes::Of(const TensorView& matrix) {
  const absl::StatusOr<std::int64_t> size = CheckedBytes(matrix, kField);
  if (!size.ok()) return size.status();
  DenseLayout layout{.type = matrix.type(), .shape = {}};
  for (int axis = 0; axis < matrix.rank(); ++axis) {
    layout.shape.push_back(matrix.extent(axis));
  }
  if (matrix.rank() == 1) layout.shape.push_back(1);
  const ElementWalk walk(matrix);
  if (walk.IsRowMajor()) {
    Section section = SectionOf(matrix.data(), *size);
    MatrixBytes bytes(std::move(layout), *size,
                      [section](std::int64_t offset, std::span<char> out) {
                        section.copy(offset, out);
                        return absl::OkStatus();
                      });
    bytes.contiguous_ = static_cast<const char*>(matrix.data());
    return bytes;
  }
  return MatrixBytes(std::move(layout), *size,
                     [walk](std::int64_t offset, std::span<char> out) {
                       CopyBytes(offset, out,
                                 static_cast<std::int64_t>(walk.width()),
                                 [&](auto first, auto count, char* to) {
                                   walk.Copy(first, count, to);
                                 });
                       return absl::OkStatus();
                     });
}

absl::StatusOr<MatrixBytes> MatrixBytes::Of(const CsrView& matrix) {
  absl::Status good = CheckCsr(matrix, kField);
  if (!good.ok()) return good;
  const CsrLayout layout{.type = matrix.type(),
                         .rows = matrix.rows(),
                         .columns = matrix.columns(),
                         .nonzeros = matrix.nonzeros()};
  const absl::StatusOr<std::int64_t> size = SizeOf(layout);
  if (!size.ok()) return size.status();
  return MatrixBytes(layout, *size,
                     [sections = SectionsOf(matrix)](std::int64_t offset,
                                                     std::span<char> out) {
                       CopySections(sections, offset, out);
                       return absl::OkStatus();
                     });
}

absl::StatusOr<MatrixBytes> MatrixBytes::Of(const MatrixFeed& feed) {
  const absl::StatusOr<std::int64_t> size = std::visit(
      [](const auto& layout) { return SizeOf(layout); }, feed.layout);
  if (!size.ok()) return size.status();
  if (!feed.read) {
    return Invalid("FIELD_REQUIRED", "matrix.read", "the feed reads nothing");
  }
  return MatrixBytes(feed.layout, *size, feed.read);
}

}  // namespace steelyard::client
