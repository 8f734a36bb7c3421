// The tensors that a command line names: read, and small enough to be sent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/connect.h"
#include "client/cli/console.h"
#include "client/tensor_files/stored_tensor.h"
#include "steelyard/client/tensor_view.h"

namespace steelyard::cli {

// Loads the tensors, or reports one line and leaves the exit code: a file that
// is not good (kFile), numbers that do not fit in a request of this server
// (kRefused; found before anything is read or sent, by asking the server for
// its limit when the numbers have a mebibyte or more).
struct InputTensors {
  std::vector<tensor_files::StoredTensor> tensors;
  ExitCode code = ExitCode::kOk;
};
// `bytes_beside`: of numbers that are sent with them.
InputTensors LoadInputs(const std::vector<std::string>& texts,
                        const ServerAccess& access, const Console& console,
                        int64_t bytes_beside = 0);

// The same for tensors that are not sent.
InputTensors LoadFiles(const std::vector<std::string>& texts,
                       const Console& console);

// The same numbers, as the client library takes them. 1 to 3 extents.
client::TensorView ViewOf(const tensor_files::StoredTensor& tensor);

}  // namespace steelyard::cli
