// Preconditioners of an attention kernel, as a caller names them and as a
// report tells what was tried.
//
// SOURCE  NUMERICS N3; [SYZ24] arXiv 2308.14304; randomly pivoted Cholesky:
//   Chen, Epperly, Tropp, Webber, arXiv 2207.06503; polynomial sketch: Ahle et
//   al., arXiv 1909.01410.
#pragma once

#include "steelyard/matrix_view.h"

namespace steelyard {

enum class KernelPreconditioner {
  kNone,              // the matrix as its normalisation defines it
  kJacobi,            // scaled by its own diagonal
  kRpCholesky,        // randomly pivoted Cholesky of the scaled form
  kPolynomialSketch,  // sketched Taylor features; s|a - c|^2 <= 30 only
};

// "none", "Jacobi", "randomly pivoted Cholesky", "polynomial sketch".
const char* NameOf(KernelPreconditioner preconditioner);

// One candidate that was tried on some steps of the iteration before one was
// chosen.
struct PreconditionerTrial {
  KernelPreconditioner preconditioner = KernelPreconditioner::kJacobi;
  Index rank = 0;  // columns of the factor; 0: a diagonal
  int iterations = 0;
  double contraction = 1.0;  // residual ratio per iteration; >= 1: no progress
  // By the clock, for the reader alone: no choice depends on it.
  double build_seconds = 0.0;
};

}  // namespace steelyard
