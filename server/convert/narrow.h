// float64 -> the storage types of answers, in one rounding to nearest, ties to
// even.
//
// What rounds beyond the largest finite number becomes an infinity, as in every
// framework: a saturated number would look like an answer. Numbers below the
// smallest normal one become subnormal. NaN stays NaN.
#pragma once

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "steelyard/matrix_view.h"

namespace steelyard::server {

// Bits of the number in IEEE binary32, binary16, and the upper half of
// binary32.
std::uint32_t ToFloat32Bits(double number);
std::uint16_t ToFloat16Bits(double number);
std::uint16_t ToBFloat16Bits(double number);

// Appends the numbers as `type` stores them.
void AppendAs(StorageType type, absl::Span<const double> numbers,
              std::string* bytes);

}  // namespace steelyard::server
