// Which way to R, or around it, takes least work for a sparse A.
//
//   Gram      pairs of entries of every row, Cholesky in double-double: d^3 / 6
//   rows      blocks of rows made dense for Householder QR: 2 n d^2
//   sketch    QR of a sketch of A: 2 s d^2; then steps that read A, some 60 a
//             level (power/sketched_least_squares.h)
//
// METHOD  Sums of counts times what one of each takes. The counts alone decide,
//   never the clock: same road, same bits, everywhere.
//
// SOURCE  NUMERICS N1 (ladder, 3). Measured on one core, AVX-512 at some 3 GHz,
//   by GramOfCsr, DoubleDoubleCholesky, TallSkinnyQr, ApplySketch and
//   CsrResidualPass alone: d = 500, 1000, 2000, 2 to 100 entries a row. Whole
//   least-squares solves of 40,000 rows, one core, seconds (model beside them;
//   columns x entries a row: Gram, rows, sketch):
//     800 x 80     0.34 (0.36), 1.61 (1.42), 0.99
//     800 x 200    1.36 (2.05), 1.68 (1.42), 2.01
//     1500 x 60    1.18 (0.93), 4.91 (4.98), 1.85
//     1500 x 150   4.57 (4.75), 4.94 (4.98), 2.87
#pragma once

#include "steelyard/matrix_view.h"

namespace steelyard {

struct CsrCounts {
  Index n = 1;
  Index d = 1;
  double nonzeros = 0.0;
  double pairs = 0.0;  // CountPairs: sum of c (c + 1) / 2
};

// Nanoseconds on that core; only their ratios count.
double WorkOfGram(const CsrCounts& a);
double WorkOfRows(const CsrCounts& a);
// A sketch of `sketch_rows` rows, then `steps` steps.
double WorkOfSketch(const CsrCounts& a, Index sketch_rows, double steps);

}  // namespace steelyard
