// What `steelyard predict` sends, and what its answer is checked against.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/connect.h"
#include "client/cli/console.h"
#include "client/tensor_files/stored_tensor.h"
#include "steelyard/client/prediction.h"

namespace steelyard::cli {

// One of A, X and QUERIES: a file, or else the name of a stored matrix.
struct PredictName {
  std::optional<std::string> stored;
  std::string file;
};

struct PredictNames {
  PredictName a;
  PredictName x;
  PredictName queries;
};

// ERRORS  InvalidArgument: too many or too few files, --verify with a stored
//   matrix, a name that is none.
absl::StatusOr<PredictNames> PredictNamesOf(const Arguments& arguments);

struct PredictFiles {
  PredictNames names;
  // Of the files.
  std::optional<tensor_files::StoredTensor> a;
  std::optional<tensor_files::StoredTensor> x;
  std::optional<tensor_files::StoredTensor> queries;
  std::vector<std::int32_t> x_exponents;
  ExitCode code = ExitCode::kOk;

  client::PredictInputs inputs() const;
};

// Reads the files, or reports one line and leaves the exit code, as LoadInputs
// does.
PredictFiles LoadPredictFiles(const PredictNames& names,
                              const ServerAccess& access,
                              const Console& console);

}  // namespace steelyard::cli
