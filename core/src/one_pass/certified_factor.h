// A triangle that was not made in one go, with what is known of its error: the
// Factor that scores are taken by.
//
// SOURCE  NUMERICS N4 (guard), N5.
#pragma once

#include "absl/status/statusor.h"
#include "factor/factor.h"

namespace steelyard {

// Three bounds, each good for what it stands for:
//   R'R = (X + D)'(X + D) + E,
//   (1 - relative) K'K <= X'X <= (1 + relative) K'K   as symmetric matrices,
//   ||D||_F <= householder,   ||E|| <= gram.
// `relative` stays true when keys are added exactly and when columns are
// scaled; the other two stay true when columns are scaled down.
struct TriangleError {
  double relative = 0.0;
  double householder = 0.0;
  double gram = 0.0;
};

// ||D||_F of one run of Householder QR over rows of this Frobenius norm: the
// f = 40 sqrt(d) u ||K||_F ||R^-1||_F of N4 is 2 ||D||_F ||R^-1||_F.
double HouseholderError(Index d, double frobenius_norm);

// Largest relative error of k'(R'R)^-1 k against k'(K'K)^-1 k in either
// direction, for ||R^-1||_F <= inverse_norm: f of N4. Infinite: no bound.
double GramErrorOf(const TriangleError& error, double inverse_norm);

// `relative` of an R whose f is this: then the other two errors are in it.
double RelativeOf(double gram_error);

enum class FactorDetail {
  kScores,  // what scoring needs
  kAnswer   // and the condition number
};

// SHAPES  r: d x d upper, of K times 2^-scales. `keys`: rows of K, which bound
//         the rank. `method`: how R was made last.
// COST    d^3 / 3 flops; the SVD where full rank is not proven.
// ERRORS  Cancelled, DeadlineExceeded, Aborted.
struct Triangle {
  Matrix<double> r;
  ColumnScales scales;
  TriangleError error;
  Index keys = 0;
  FactorMethod method = FactorMethod::kQr;
};
absl::StatusOr<Factor> CertifiedFactor(Triangle triangle, FactorDetail detail,
                                       const ComputeContext& context);

}  // namespace steelyard
