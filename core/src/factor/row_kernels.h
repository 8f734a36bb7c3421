// The loops that touch every entry of a matrix: widening, scaling, squares,
// finiteness, compensated sums. Vectors of whatever this processor has, chosen
// at run time; the same order of additions within one processor type.
#pragma once

#include "linalg/block.h"
#include "steelyard/matrix_view.h"

namespace steelyard {

// `out` := rows x cols entries of `in`, `in_stride` apart, as float64, column c
// times factors[c]. Products are exact unless they leave the normal range.
void WidenRows(const double* in, Index in_stride, const double* factors,
               Block<double> out);
void WidenRows(const float* in, Index in_stride, const double* factors,
               Block<double> out);
void WidenRows(const Half* in, Index in_stride, const double* factors,
               Block<double> out);
void WidenRows(const BFloat16* in, Index in_stride, const double* factors,
               Block<double> out);

// sums[c] += square of every entry of column c, rows in order.
void AddSquares(const double* in, Index rows, Index cols, double* sums);
void AddSquares(const float* in, Index rows, Index cols, double* sums);
void AddSquares(const Half* in, Index rows, Index cols, double* sums);
void AddSquares(const BFloat16* in, Index rows, Index cols, double* sums);

// Neither NaN nor infinity among `count` numbers.
bool AllFinite(const double* in, Index count);
bool AllFinite(const float* in, Index count);
bool AllFinite(const Half* in, Index count);
bool AllFinite(const BFloat16* in, Index count);

// (hi, lo) += x, entry by entry: hi + lo is the sum of all x so far to about
// u + (number of x) u^2. Knuth's TwoSum.
void AddCompensated(Block<const double> x, Block<double> hi, Block<double> lo);

}  // namespace steelyard
