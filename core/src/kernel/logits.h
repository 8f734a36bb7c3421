// The rows of A, ready for logits s a_i.a_j that keep their digits.
//
// METHOD  s = t 4^e with t in [1, 4): rows are scaled by 2^e, exactly, and the
//   logits by t alone, so that neither a tiny nor a huge s leaves the format.
//   Rows are then taken relative to a centre c: distances do not change, and
//   the error of a distance is 4 u s|a - c|^2 in place of 4 u s|a|^2. The
//   centre is the median of the rows, coordinate by coordinate, not their mean:
//   one huge row would drag the mean along and cost all others their digits.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Largest s|a|^2 that is answered: e^{logit} of it still has three digits in
// float64, and x of NONE has exponents that fit 32 bits.
inline constexpr double kLogitMax = 1e9;

struct KernelRows {
  double scale = 1.0;                  // t, in [1, 4)
  int exponent = 0;                    // e
  std::vector<double> centre;          // c, in the units of 2^e a
  Matrix<double> centred;              // n x d: 2^e a_i - c
  std::vector<double> centred_square;  // q_i = s|a_i - c|^2
  std::vector<double> half_square;     // h_i = s|a_i|^2 / 2
  std::vector<double> centre_logit;    // s c.(a_i - c)
  double centre_square = 0.0;          // s|c|^2
  double logit_max = 0.0;              // L = max(1, s|a_i||a_j|)

  Index rows() const { return centred.rows(); }
  Index cols() const { return centred.cols(); }
};

// Copies and centres the rows.
// COST    O(n d) time and memory. RANDOM none.
// ERRORS  InvalidArgument FIELD_OUT_OF_RANGE, field "a": a row whose s|a|^2 is
//         above kLogitMax (unit_diagonal: more than one row whose s|a - c|^2
//         is, or one whose s|a|^2 leaves float64).
//         Cancelled, DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<KernelRows> LoadKernelRows(const AnyMatrixView& a, double scale,
                                          KernelNormalization normalization,
                                          const ComputeContext& context);

// Some rows of another matrix, relative to the centre of the first.
struct QueryRows {
  Matrix<double> centred;              // 2^e q_i - c
  std::vector<double> square;          // s|q_i|^2, infinity beyond float64
  std::vector<double> centred_square;  // s|q_i - c|^2
  std::vector<double> centre_logit;    // s c.(q_i - c)
};

// Rows [first, first + count) of `queries`, as wide as those of `keys`.
QueryRows LoadQueryRows(const AnyMatrixView& queries, Index first, Index count,
                        const KernelRows& keys);

}  // namespace steelyard
