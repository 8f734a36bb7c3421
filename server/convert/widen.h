// Numbers of the storage types of requests -> float64, exactly.
//
// For the few that the server itself looks at; kernels of core widen as they
// read.
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/matrix_view.h"

namespace steelyard::server {

double FromFloat16Bits(std::uint16_t bits);
double FromBFloat16Bits(std::uint16_t bits);

// All numbers of the matrix, row by row.
std::vector<double> Widened(const AnyMatrixView& matrix);

}  // namespace steelyard::server
