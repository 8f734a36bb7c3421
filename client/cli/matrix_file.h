// A matrix that a command line names, dense or sparse, as the client library
// takes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/tensor_files/sparse_file.h"
#include "client/tensor_files/tensor_file.h"
#include "steelyard/client/client.h"

namespace steelyard::cli {

// The views end with the matrix.
client::CsrView ViewOf(const tensor_files::StoredCsr& matrix);

client::ScalarType ScalarTypeOf(tensor_files::ElementType type);

// A file that is uploaded: a dense one is read as it is sent.
class MatrixFile {
 public:
  // ERRORS  those of tensor_file.h and sparse_file.h; InvalidArgument: more
  // than
  //   3 axes.
  static absl::StatusOr<MatrixFile> Open(const std::string& text);

  absl::StatusOr<client::UploadedMatrix> Upload(
      const client::Client& client, const std::string& name,
      const client::UploadOptions& options,
      const client::CallOptions& call) const;

 private:
  std::optional<tensor_files::TensorReader> dense_;
  std::optional<tensor_files::StoredCsr> sparse_;  // Where it is not dense.
};

// "float64 [327346, 97]", "float32 CSR [327346, 97], 2291422 entries".
std::string LayoutText(const client::MatrixLayout& layout);

// [a-z][a-z0-9-]{0,62}, also after "matrices/".
bool IsMatrixName(const std::string& text);

}  // namespace steelyard::cli
