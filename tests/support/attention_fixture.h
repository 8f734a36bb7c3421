// The real queries and keys of tests/data, head by head.
#pragma once

#include <string>
#include <vector>

#include "tests/support/matrices.h"

namespace steelyard::test {

// Tensor [heads, n, d] of float16 of a .safetensors file, one matrix a head.
// Empty when there is no such file or tensor.
std::vector<StoredMatrix<Half>> LoadHalfHeads(const std::string& path,
                                              const std::string& tensor);

}  // namespace steelyard::test
