// The answer to a regression, for people, for programs and for files.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/verify/solve_check.h"
#include "steelyard/client/regression.h"

namespace steelyard::cli {

struct SolveAnswer {
  client::Solution solution;
  double call_seconds = 0.0;
  bool of_stored_matrix = false;
  bool extended_would_help = false;         // The problem takes --extended.
  std::optional<verify::SolveCheck> check;  // --verify
  double verify_seconds = 0.0;
};

void PrintSolveJson(const SolveAnswer& answer, std::ostream& out);

// `show`: how many entries of x.
void PrintSolveText(const SolveAnswer& answer, int64_t show, std::ostream& out);

// x into a .npy file; x, x_low, x_exponents and the report into a
// .safetensors file.
absl::Status WriteSolution(const std::string& path,
                           const client::Solution& solution);

}  // namespace steelyard::cli
