// Products of a tall matrix X, n x r, with vectors and of X' diag(s) X: what
// every step of a refinement is made of.
//
// METHOD  Rows in chunks of at most 1024; sums run within a chunk, chunks are
//   added in order: |error| <= (1024 + n / 1024) u of the sum of magnitudes,
//   the r roundings of a dot product apart. The stop token is looked at between
//   chunks; what a stopped product leaves is unfinished, and callers look, too.
#pragma once

#include <algorithm>

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Rows of one block of triangular solves: half of a level-2 cache, and a look
// at the stop token comes within milliseconds.
inline Index TallBlockRows(Index d) {
  return std::clamp<Index>((Index{1} << 18) / d, 64, 1024);
}

// t := X y.
void MultiplyTall(const Matrix<double>& x, const double* y,
                  const StopToken& stop, double* t);

// v := X' z.
void MultiplyTallTransposed(const Matrix<double>& x, const double* z,
                            const StopToken& stop, double* v);

// Bound on the relative error of a sum of MultiplyTallTransposed.
double TallSumError(Index n);

// H = X' diag(s) X, s >= 0, and R with R'R = H. The products run on the calling
// thread: callers refine several keys side by side.
class WeightedSystem {
 public:
  explicit WeightedSystem(const Matrix<double>& x);

  // False when H is not positive definite, to rounding, or on a stop. Where
  // rounding is all that is missing, a ridge of 1e-14 of the largest diagonal
  // entry keeps H usable: what depends on H is certified afterwards.
  bool Factor(const double* s, const ComputeContext& context);

  // v := H^-1 v.
  void Solve(double* v) const;

 private:
  const Matrix<double>& x_;
  Matrix<double> h_;
  Matrix<double> r_;
  Matrix<double> panel_;
};

// Upper triangle of X' diag(s) X over all workers, zeros below; same bits for
// any number of them. `additions`: the c of the bound c u ||sqrt(s) X||_F^2.
struct WeightedGram {
  Matrix<double> gram;
  double additions = 0.0;
};
absl::StatusOr<WeightedGram> ComputeWeightedGram(const Matrix<double>& x,
                                                 const double* s,
                                                 const ComputeContext& context);

}  // namespace steelyard
