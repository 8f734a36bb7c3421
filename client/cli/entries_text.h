// The first entries of an answer, for people.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "steelyard/client/regression.h"

namespace steelyard::cli {

struct NamedEntries {
  std::string name;  // "x"
  const client::RowMajorMatrix& numbers;
  // Empty, or one an entry, in row-major order: number * 2^exponent.
  const std::vector<std::int32_t>& exponents;
};

// `show` rows of at most 4 columns, every digit of them, after an empty line;
// nothing where `show` is 0.
void PrintEntries(const NamedEntries& entries, int64_t show, std::ostream& out);

}  // namespace steelyard::cli
