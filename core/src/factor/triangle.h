// What is known of an upper triangle R with R'R = A'A, however it was made: its
// norms, its rank, its condition number, the guard of N4. `factor.r`,
// `factor.method` and `factor.description` are there already.
//
// SOURCE  NUMERICS N1 (4), N4 (guard).
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
#pragma once

#include "absl/status/status.h"
#include "factor/factor.h"

namespace steelyard {

// theta of N1: singular values above theta sigma_1 count.
double RankThreshold(Index d);

double FrobeniusNorm(const Matrix<double>& r);

// Upper bound on the norm of the true inverse from that of the computed one, X:
// |X R - I| <= d u |X||R| (Higham, 14.3), so R^-1 = (I + D)^-1 X with
// ||D|| <= d u ||X||_F ||R||_F. `norm`: ||R||_F.
double InverseNormBound(Index d, double computed, double norm);

// ||R||_F, ||R^-1||_F and what follows from them, for the R of n rows.
absl::Status MeasureTriangle(Index n, const ComputeContext& context,
                             Factor& factor);

// The condition number of a full R: from its singular values while these are
// cheap, else an estimate.
absl::Status AddCondition(const ComputeContext& context, Factor& factor);

// The error of R'R that a Gram really has: its roundings are as good as
// independent, so sqrt(d) instead of the panel rows and d of the bound. Beyond
// 1/2 the smallest eigenvalues, and with them the condition number, are noise.
bool GramLooksSound(const Factor& factor);

// After MeasureTriangle: is R of full rank? The SVD only where the norms cannot
// tell, or where it is asked for. Singular values beyond `most_rank` of them
// are noise.
absl::Status SettleRank(Index most_rank, bool svd_wanted,
                        const ComputeContext& context, Factor& factor);

}  // namespace steelyard
