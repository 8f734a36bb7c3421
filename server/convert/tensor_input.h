// Tensors of a request: checked, and still in the bytes of the message.
//
// Parsing reads headers only: no number is looked at and none is copied,
// however large the tensor. The request message must outlive everything here.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/limits/limits.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::server {

// Bytes of one number.
std::int64_t SizeOf(StorageType type);
// "FLOAT16", as the contract calls it.
const char* NameOf(StorageType type);

struct TensorRule;

// A tensor whose shape, type and size agree: heads x rows x cols numbers.
// Made by TensorFromProto only (and by tests from bytes of their own).
class TensorInput {
 public:
  Index heads() const { return heads_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  // 1: a vector (then cols() is 1); 2: a matrix; 3: a batch of heads.
  int extents() const { return extents_; }
  StorageType type() const { return type_; }

  // Bytes that TensorMatrices will allocate: 0 unless the numbers are
  // misaligned for their type.
  std::int64_t copy_bytes() const;

  // Proto path of the numbers: `keys.dense.data`, or `keys.dense.values[7]`
  // when they were written by hand.
  std::string PathOfNumber(const std::string& index) const;

  // "12x512x32 FLOAT16", for logs.
  std::string Description() const;

  // From raw bytes: heads * rows * cols numbers of `type` at `numbers`.
  struct Layout {
    StorageType type = StorageType::kFloat64;
    int extents = 2;
    Index heads = 1;
    Index rows = 1;
    Index cols = 1;
  };
  static TensorInput FromBytes(const Layout& layout, const void* numbers,
                               const std::string& path);

 private:
  friend class TensorMatrices;
  friend absl::StatusOr<TensorInput> TensorFromProto(const v1::Tensor& tensor,
                                                     const std::string& path,
                                                     const TensorRule& rule,
                                                     const Limits& limits);
  TensorInput() = default;

  bool aligned() const;
  std::int64_t bytes() const;

  StorageType type_ = StorageType::kFloat64;
  int extents_ = 2;
  Index heads_ = 1;
  Index rows_ = 1;
  Index cols_ = 1;
  const void* numbers_ = nullptr;
  std::string path_;        // of the tensor: `keys.dense`
  bool in_values_ = false;  // numbers_ is Tensor.values, not Tensor.data
};

// What a field takes.
struct TensorRule {
  // How many extents: 1 is a vector, 2 a matrix, 3 a batch of heads.
  int extents_min = 2;
  int extents_max = 3;
  // Of the columns (of a matrix or a head), and the limit's name.
  Index cols_max = 0;
  std::string cols_limit = "columns_max";
};

// `path` is the proto path of the tensor, `keys.dense`.
//
// ERRORS  FIELD_REQUIRED, CONFLICTING_FIELDS (data and values), WRONG_SHAPE,
//         WRONG_DTYPE, UNKNOWN_ENUM, SHAPE_OVERFLOW, LIMIT_EXCEEDED,
//         WRONG_SIZE.
absl::StatusOr<TensorInput> TensorFromProto(const v1::Tensor& tensor,
                                            const std::string& path,
                                            const TensorRule& rule,
                                            const Limits& limits);

// The same for a MatrixInput field named `name`: `keys` -> `keys.dense`.
absl::StatusOr<TensorInput> TensorFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits);

// The heads of a tensor as core reads them: in place, or from an aligned copy
// where the bytes are misaligned. Make it in the admitted work, not before: the
// copy is part of the reserved memory. The TensorInput's message must outlive
// it.
class TensorMatrices {
 public:
  explicit TensorMatrices(const TensorInput& tensor);
  TensorMatrices(const TensorMatrices&) = delete;
  TensorMatrices& operator=(const TensorMatrices&) = delete;

  absl::Span<const AnyMatrixView> heads() const { return heads_; }
  // Of a tensor with one head.
  const AnyMatrixView& matrix() const { return heads_.front(); }
  // False where a copy had to be made.
  bool in_place() const { return copy_.empty(); }

 private:
  AlignedVector<unsigned char> copy_;
  std::vector<AnyMatrixView> heads_;
};

}  // namespace steelyard::server
