// The inner loops of sketches: rows of strips (strip_kernels.h) added up by
// lists. Vectors of whatever this processor has, chosen at run time.
#pragma once

#include <cstdint>

#include "factor/strip_kernels.h"
#include "linalg/block.h"

namespace steelyard {

// A row and its sign: 2 row, plus 1 for minus.
using SignedRow = std::uint32_t;

inline SignedRow SignedRowOf(Index row, bool negative) {
  return static_cast<SignedRow>(2 * row + (negative ? 1 : 0));
}
inline Index RowOf(SignedRow signed_row) {
  return static_cast<Index>(signed_row >> 1);
}
inline double SignOf(SignedRow signed_row) {
  constexpr double kSigns[] = {1.0, -1.0};
  return kSigns[signed_row & 1];
}

// Row i of `sums` += the rows of the strips in list[offsets[i]], ...,
// list[offsets[i + 1] - 1], one after the other. `sums` is as wide as the
// strips, or ends within the last one.
void AddSignedRows(StripBlock<const double> strips,
                   const std::uint32_t* offsets, const SignedRow* list,
                   Block<double> sums);

// Row i of a strip of `rows` lines goes to the line that targets[i] names, with
// its sign.
void PlaceRows(const double* strip, Index rows, const SignedRow* targets,
               double* out);

// The Hadamard transform, +-1 and not scaled, of every column of a strip of
// `rows` lines, a power of two; in place.
void TransformRows(double* strip, Index rows);

// even[i] and odd[i]: independent standard normals by Box and Muller from 64
// bits for the radius and 64 for the angle.
void NormalPairs(const std::uint64_t* radius, const std::uint64_t* angle,
                 Index count, double* even, double* odd);

}  // namespace steelyard
