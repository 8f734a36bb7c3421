// Tensors of a request: checked, and still in the bytes of the message or of a
// stored matrix.
//
// Parsing reads headers only: no number is looked at and none is copied,
// however large the tensor. The request message must outlive everything here; a
// stored matrix is held until the last tensor of it goes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/convert/stored_input.h"
#include "server/limits/limits.h"
#include "server/storage/matrix_store.h"
#include "steelyard/matrix.h"
#include "steelyard/matrix_view.h"
#include "steelyard/stop_token.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::server {

// Bytes of one number.
std::int64_t SizeOf(StorageType type);
// "FLOAT16", as the contract calls it.
const char* NameOf(StorageType type);
// Of numbers in bytes. ERRORS  UNKNOWN_ENUM, WRONG_DTYPE, FIELD_REQUIRED.
absl::StatusOr<StorageType> StorageTypeOf(v1::DType dtype,
                                          const std::string& field);

struct TensorRule;

// A tensor whose shape, type and size agree: heads x rows x cols numbers.
// Made by the functions below only (and by tests from bytes of their own).
class TensorInput {
 public:
  Index heads() const { return heads_; }
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  // 1: a vector (then cols() is 1); 2: a matrix; 3: a batch of heads.
  int extents() const { return extents_; }
  StorageType type() const { return type_; }

  // Of the numbers.
  std::int64_t bytes() const;
  // Bytes that TensorMatrices will allocate: 0 unless the numbers are
  // misaligned for their type.
  std::int64_t copy_bytes() const;
  // Of the request message: 0 for a stored matrix.
  std::int64_t message_bytes() const;

  // Null: the numbers came with the request.
  const std::shared_ptr<const StoredMatrix>& stored() const { return stored_; }
  // Brings the numbers of a stored matrix. Part of the admitted work: before
  // TensorMatrices. ERRORS  DataLoss, or the stop token's.
  absl::Status Load(const StopToken& stop) const;

  // Proto path of the numbers: `keys.dense.data`, or `keys.dense.values[7]`
  // when they were written by hand, or `keys.matrix`.
  std::string PathOfNumber(const std::string& index) const;
  // Of an extent, counted from the first: `keys.dense.shape[1]`, `keys.matrix`.
  std::string PathOfExtent(int extent) const;
  // Of all: `keys.dense.shape`, `keys.matrix`.
  std::string PathOfShape() const;

  // "12x512x32 FLOAT16", "matrices/keys 12x512x32 FLOAT16", for logs.
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
  // From a dense matrix. `path`: of the field that names it.
  static TensorInput FromStored(std::shared_ptr<const StoredMatrix> matrix,
                                const std::string& path);

 private:
  friend class TensorMatrices;
  friend absl::StatusOr<TensorInput> TensorFromProto(const v1::Tensor& tensor,
                                                     const std::string& path,
                                                     const TensorRule& rule,
                                                     const Limits& limits);
  TensorInput() = default;

  const void* numbers() const;
  bool aligned() const;

  StorageType type_ = StorageType::kFloat64;
  int extents_ = 2;
  Index heads_ = 1;
  Index rows_ = 1;
  Index cols_ = 1;
  const void* numbers_ = nullptr;
  std::shared_ptr<const StoredMatrix> stored_;  // then it has the numbers
  std::string path_;        // of the tensor: `keys.dense`, `keys.matrix`
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

// A stored dense matrix, named "matrices/{id}" by the field `path`. `matrices`:
// empty where the server keeps none.
//
// ERRORS  FIELD_REQUIRED, FIELD_OUT_OF_RANGE (the name), NotFound,
//         CONFLICTING_FIELDS (a CSR matrix), WRONG_SHAPE, LIMIT_EXCEEDED.
absl::StatusOr<TensorInput> StoredTensor(const MatrixLookup& matrices,
                                         const std::string& name,
                                         const std::string& path,
                                         const TensorRule& rule,
                                         const Limits& limits);

// The same of one that is held already.
absl::StatusOr<TensorInput> StoredTensor(
    std::shared_ptr<const StoredMatrix> matrix, const std::string& path,
    const TensorRule& rule, const Limits& limits);

// One of the two, for a MatrixInput field named `name`: `keys` -> `keys.dense`
// or `keys.matrix`. ERRORS  CONFLICTING_FIELDS: a CSR matrix.
absl::StatusOr<TensorInput> TensorFromProto(const v1::MatrixInput& input,
                                            const std::string& name,
                                            const TensorRule& rule,
                                            const Limits& limits,
                                            const MatrixLookup& matrices = {});

// The heads of a tensor as core reads them: in place, or from an aligned copy
// where the bytes are misaligned. Make it in the admitted work, not before: the
// copy is part of the reserved memory. Load was OK; the TensorInput's message
// must outlive it.
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
  const std::shared_ptr<const StoredMatrix> stored_;
  AlignedVector<unsigned char> copy_;
  std::vector<AnyMatrixView> heads_;
};

}  // namespace steelyard::server
