// Sparse matrices of a request: headers checked, and still in the bytes of the
// message or of a stored matrix.
//
// Parsing looks at extents and sizes only. What offsets and columns say is
// checked by CheckCsr in the admitted work (LoadedMatrix of matrix_input.h);
// that of a stored matrix was checked when it was uploaded. The request message
// must outlive everything here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/limits/limits.h"
#include "server/storage/matrix_store.h"
#include "steelyard/csr_view.h"
#include "steelyard/matrix.h"
#include "steelyard/v1/tensor.pb.h"

namespace steelyard::server {

// Made by the functions below only.
class CsrInput {
 public:
  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index nonzeros() const { return nonzeros_; }
  StorageType type() const { return type_; }

  // Bytes that CsrArrays will allocate: 0 unless an array is misaligned.
  std::int64_t copy_bytes() const;

  // Null: the matrix came with the request.
  const std::shared_ptr<const StoredMatrix>& stored() const { return stored_; }

  // Proto path of the matrix: `a.csr`, `a.matrix`.
  const std::string& path() const { return path_; }
  // Of its values: `a.csr.values`, `a.matrix`.
  std::string PathOfNumber() const;

  // "1000x500 CSR of 2500 FLOAT32", for logs.
  std::string Description() const;

  // From a sparse matrix. `path`: of the field that names it.
  static CsrInput FromStored(std::shared_ptr<const StoredMatrix> matrix,
                             const std::string& path);

 private:
  friend class CsrArrays;
  friend absl::StatusOr<CsrInput> CsrFromProto(const v1::CsrMatrix& matrix,
                                               const std::string& path,
                                               const Limits& limits);
  CsrInput() = default;

  // The three arrays, as they lie there.
  struct Array {
    const void* bytes = nullptr;
    std::int64_t size = 0;
    std::int64_t alignment = 1;
    bool aligned() const;
  };
  struct Arrays {
    Array row_offsets;
    Array column_indices;
    Array values;
  };
  Arrays arrays() const;

  StorageType type_ = StorageType::kFloat64;
  Index rows_ = 1;
  Index cols_ = 1;
  Index nonzeros_ = 0;
  const v1::CsrMatrix* message_ = nullptr;
  std::shared_ptr<const StoredMatrix> stored_;  // or this
  std::string path_;
};

// `path` is the proto path of the matrix, `a.csr`.
//
// ERRORS  FIELD_REQUIRED, WRONG_SHAPE, WRONG_DTYPE, UNKNOWN_ENUM,
//         SHAPE_OVERFLOW, LIMIT_EXCEEDED, WRONG_SIZE.
absl::StatusOr<CsrInput> CsrFromProto(const v1::CsrMatrix& matrix,
                                      const std::string& path,
                                      const Limits& limits);

// The matrix as core reads it: in place, or from aligned copies of those arrays
// that are misaligned. Make it in the admitted work: the copies are part of the
// reserved memory. A stored matrix is loaded; the message must outlive this.
class CsrArrays {
 public:
  explicit CsrArrays(const CsrInput& input);
  CsrArrays(const CsrArrays&) = delete;
  CsrArrays& operator=(const CsrArrays&) = delete;

  const AnyCsrView& view() const { return view_; }

 private:
  using Copy = AlignedVector<unsigned char>;
  AnyCsrView ViewOf(const CsrInput& input);

  const std::shared_ptr<const StoredMatrix> stored_;
  Copy row_offsets_;
  Copy column_indices_;
  Copy values_;
  const AnyCsrView view_;
};

}  // namespace steelyard::server
