// The keys of a command, and the tensors that it takes beside them: from files,
// or a matrix that the server has stored (--matrix).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/arguments.h"
#include "client/cli/command_spec.h"
#include "client/cli/connect.h"
#include "client/cli/console.h"
#include "client/tensor_files/stored_tensor.h"
#include "steelyard/client/matrix_source.h"

namespace steelyard::cli {

// --matrix.
FlagSpec StoredKeysFlag();

struct KeyNames {
  std::optional<std::string> stored;
  // Sent; with `stored` the same keys, for --verify. Neither: a command that
  // has its keys from elsewhere.
  std::optional<std::string> file;
  std::vector<std::string> beside;
};

// `queries`: a file of them follows KEYS.
//
// ERRORS  InvalidArgument, for the usage line: more or fewer files than that; a
//   file of keys beside --matrix without --verify, or --verify without it.
absl::StatusOr<KeyNames> KeyNamesOf(const Arguments& arguments, bool queries);

struct KeyInputs {
  std::optional<std::string> stored;
  std::optional<tensor_files::StoredTensor> keys;  // where there is a file
  std::vector<tensor_files::StoredTensor> beside;
  std::vector<int64_t> shape;  // of the keys
  ExitCode code = ExitCode::kOk;

  client::DenseSource source() const;
};

// Loads them, or reports one line and leaves the exit code: those of
// LoadInputs, and of the server when it is asked what the stored matrix is.
KeyInputs LoadKeyInputs(const KeyNames& names, const ServerAccess& access,
                        const Console& console);

}  // namespace steelyard::cli
