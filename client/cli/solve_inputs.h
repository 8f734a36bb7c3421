// What `steelyard solve` sends, and what its answer is checked against.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/connect.h"
#include "client/cli/console.h"
#include "client/tensor_files/sparse_file.h"
#include "client/tensor_files/stored_tensor.h"
#include "steelyard/client/matrix_source.h"

namespace steelyard::cli {

// How the command line names A, B and the ridges of the rows.
struct SolveNames {
  std::optional<std::string> a_file;
  std::optional<std::string> b_file;
  std::optional<std::string> a_stored;  // --matrix
  std::optional<std::string> b_stored;  // --b-matrix
  std::optional<std::string> row_ridge_file;
};

// ERRORS  InvalidArgument: too many or too few of them, --verify without the
//   files, files that nothing would read, a name that is none.
absl::StatusOr<SolveNames> SolveNamesOf(const Arguments& arguments);

struct SolveInputs {
  SolveNames names;
  // Of the files; a dense A or a sparse one.
  std::optional<tensor_files::StoredTensor> a;
  std::optional<tensor_files::StoredCsr> sparse_a;
  std::optional<tensor_files::StoredTensor> b;
  std::vector<double> row_ridge;  // Empty: none.
  ExitCode code = ExitCode::kOk;

  // With both files.
  client::MatrixSource a_source() const;
  client::DenseSource b_source() const;
};

// Reads the files, or reports one line and leaves the exit code, as LoadInputs
// does. A file that stands beside the name of a stored matrix must be what that
// name holds (kFile).
SolveInputs LoadSolveInputs(const SolveNames& names, const ServerAccess& access,
                            const Console& console);

}  // namespace steelyard::cli
