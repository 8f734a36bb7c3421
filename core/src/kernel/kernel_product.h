// Products with symmetric kernels whose entries are never stored:
//
//     E_ij = exp(min(0, s (a_i - c).(a_j - c) + offset_i + offset_j))
//
//   G of N3 has offset_i = -s|a_i - c|^2 / 2 and a diagonal of exactly 1; the
//   symmetric form of softmax rows has other offsets.
//
// METHOD  Tiles of a GEMM, exponentials in registers, each tile used for both
//   of its blocks of rows. Tiles are dealt to at most 32 slots by n alone; a
//   slot adds up its own n x k result in tile order, and slots are added pair
//   by pair: the bits do not depend on the number of threads.
//
// COST    n^2 (d + 2k) flops and n^2 / 2 exponentials; memory for at most 32
//         slots of n x min(k, 16) words.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between tiles (a millisecond, or 7 ms at d = 8192).
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "kernel/logits.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

class KernelProduct {
 public:
  // `rows` must outlive the product.
  KernelProduct(const KernelRows& rows, std::vector<double> offsets,
                bool unit_diagonal);

  Index size() const { return rows_.rows(); }

  // out := E V. One vector a row: v and out are k x n. A sum over j is off by
  // at most some 64 u |E||v| beside the errors of the entries.
  absl::Status Multiply(const Matrix<double>& v, Matrix<double>& out,
                        const ComputeContext& context) const;

  // The same with float32 tiles: entries off by 4 u_32 s|a - c|^2 more. Only
  // for steps whose residual is recomputed with Multiply.
  absl::Status MultiplyFloat32(const Matrix<double>& v, Matrix<double>& out,
                               const ComputeContext& context);

  // The upper triangle of E (what lies below is left as it is), the very
  // entries that Multiply uses, but for the rounding of E_ij and E_ji.
  absl::Status FillUpper(Block<double> out,
                         const ComputeContext& context) const;

  // E_ii.
  double Diagonal(Index i) const;

  // Memory of one product with k vectors beyond its arguments, bytes.
  static double WorkBytes(Index n, Index k, int workers);

 private:
  template <typename T>
  struct Operands;
  struct Pass;
  template <typename T>
  absl::Status MultiplyPass(const Operands<T>& operands,
                            const Matrix<double>& v, Matrix<double>& out,
                            const ComputeContext& context) const;
  Operands<double> Double() const;

  const KernelRows& rows_;
  std::vector<double> offsets_;
  bool unit_diagonal_;
  // Copies for float32 tiles, made by the first use.
  AlignedVector<float> rows32_;
  std::vector<float> offsets32_;
};

// Tiles of at most this many rows and columns, by d.
Index KernelTileRows(Index d);

}  // namespace steelyard
