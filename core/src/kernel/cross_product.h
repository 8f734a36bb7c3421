// Weighted sums of exp(logit) over the keys, for rows that are not keys:
//
//     y_i = e^{outside_i} sum_j exp(s (q_i - c).(a_j - c) + o_j) x_j
//
//   NONE           o_j = s c.(a_j - c),       outside_i = s c.q_i
//   UNIT_DIAGONAL  o_j = -s|a_j - c|^2 / 2,   outside_i = -s|q_i - c|^2 / 2
//   SOFTMAX_ROWS   that of NONE over the same sum for x = 1
//
// METHOD  A tile of queries at a time. Where |q_i - c| max_j |a_j - c| proves
//   that the logits of a tile are at most 300 apart, exponentials are taken
//   below that bound and serve every column of x: what underflows then is below
//   rounding; tiles do not leave the registers (fused_tile.h). Elsewhere the
//   columns go in groups that share the exponents e_j of their entries row by
//   row, and every group has a running maximum of logit_ij + e_j ln 2, over
//   tiles of a GEMM: a column whose largest logits meet zeros keeps its digits.
//
// SOURCE  NUMERICS N3.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "kernel/scaled_vector.h"
#include "steelyard/attention_kernel_regression.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// Queries that are multiplied together. A row's bits depend on the rows of its
// tile, so tiles begin at multiples of this.
inline constexpr Index kCrossTileRows = 72;

class CrossProduct {
 public:
  // x is k x n, one vector a row; x_exponents empty or n x k, entry j k + c
  // that of x(c, j). `keys` must outlive the product.
  // ERRORS  of Make and PrepareWide: the stop token, looked at between vectors.
  static absl::StatusOr<CrossProduct> Make(const KernelRows& keys,
                                           KernelNormalization normalization,
                                           Matrix<double> x,
                                           std::vector<int> x_exponents,
                                           const ComputeContext& context);

  // k.
  Index vectors() const { return vectors_; }

  // Whether the logits of these queries need running maxima.
  bool Wide(const QueryRows& queries) const;
  // To be called once before Multiply meets wide queries. Cost O(n k).
  absl::Status PrepareWide(const ComputeContext& context);

  // out[i * k + c] := y_ic; 0 below e^-1e10. At most kCrossTileRows queries.
  // Looks at the token between tiles of keys; stopped, `out` has no meaning.
  void Multiply(const QueryRows& queries, const StopToken& stop,
                ScaledNumber* out) const;

  // Beyond the arguments, both roads included; and of one Multiply.
  static double Bytes(Index n, Index d, Index k);
  static double WorkBytes(Index d, Index k);

 private:
  // Vectors with a common exponent for every key.
  struct Group {
    std::vector<Index> vectors;
    std::vector<double> offset;  // o_j + e_j ln 2
    Matrix<double> z;            // x 2^-e_j, in [2^-201, 2^201], or 0
  };
  struct Sums;

  CrossProduct(const KernelRows& keys, KernelNormalization normalization,
               Matrix<double> x, std::vector<int> x_exponents);
  // Row `vector` of z_.
  void Scale(Index vector);
  void PackStrip(Index strip);
  ScaledNumber Entry(Index vector, Index key) const;
  bool Joins(const Group& group, Index vector) const;
  Group OpenGroup(Index vector) const;
  void MultiplyNarrow(const QueryRows& queries, const StopToken& stop,
                      Sums& sums) const;
  void MultiplyWide(const QueryRows& queries, const StopToken& stop,
                    Sums& sums) const;
  double TopBound(double centred_square) const;

  const KernelRows& keys_;
  KernelNormalization normalization_;
  Index vectors_ = 0;
  // SOFTMAX_ROWS: a vector of ones before those of x.
  Index ones_ = 0;
  // Keys for fused tiles, and their o_j log2 e; whole strips.
  Index strips_ = 0;
  std::vector<double, UnsetAllocator<double>> packed_;
  std::vector<double> packed_offset_;
  Matrix<double> z_;                     // (ones + k) x rows: x 2^-exponent
  std::vector<std::int64_t> exponents_;  // of each vector
  std::vector<int> entry_exponents_;     // as x_exponents
  Matrix<double> x_;                     // as given
  std::vector<double> offset_;           // o_j
  double offset_most_ = 0.0;
  double offset_least_ = 0.0;
  double square_most_ = 0.0;  // s|a - c|^2
  std::vector<Group> groups_;
};

}  // namespace steelyard
