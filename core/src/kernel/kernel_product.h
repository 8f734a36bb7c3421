// Products with symmetric kernels whose entries are made anew every time, or
// kept as float32 tiles where there is room and it pays:
//
//     E_ij = exp(min(0, s (a_i - c).(a_j - c) + offset_i + offset_j))
//
//   G of N3 has offset_i = -s|a_i - c|^2 / 2 and a diagonal of exactly 1; the
//   symmetric form of softmax rows has other offsets.
//
// METHOD  Tiles that are made, turned into exponentials and multiplied in
//   registers (fused_tile.h), each used for both of its blocks of rows. Rows
//   are packed by the first product, and kept. Of B blocks of rows, block i
//   meets the blocks i, i + 1, ..., i + B/2 (modulo B), a few of these
//   distances at a time: what is added to block i comes from one task, and what
//   is added to block j at one distance, too. Every sum has its own place and
//   its order: the bits do not depend on the number of threads.
//
// COST    n^2 (d + 2k) flops and n^2 / 2 exponentials; memory for the packed
//         rows and five times n x min(k, 16) numbers. With tiles that are kept:
//         2 n^2 k flops, 2 n^2 bytes that are read, and held.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between tiles (a millisecond, or 5 ms at d = 8192).
#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Memory that tiles may be kept in: some 17,000 rows.
inline constexpr double kKeptTilesBytes = 576.0 * 1024.0 * 1024.0;

class KernelProduct {
 public:
  // `rows` must outlive the product.
  KernelProduct(const KernelRows& rows, std::vector<double> offsets,
                bool unit_diagonal);
  ~KernelProduct();
  KernelProduct(KernelProduct&&) noexcept;

  Index size() const { return rows_.rows(); }

  // out := E V. One vector a row: v and out are k x n. A sum over j is off by
  // at most some 64 u |E||v| beside the errors of the entries. May be called
  // from several threads.
  absl::Status Multiply(const Matrix<double>& v, Matrix<double>& out,
                        const ComputeContext& context) const;

  // The same with float32 tiles: entries off by 4 u_32 s|a - c|^2 more. Only
  // for steps whose residual is recomputed with Multiply.
  absl::Status MultiplyFloat32(const Matrix<double>& v, Matrix<double>& out,
                               const ComputeContext& context) const;

  // Entries of the next MultiplyFloat32 are kept, if KeptBytes() says so, and
  // read by those after it: every product has the same bits as without them.
  void KeepTiles() const;

  // The upper triangle of E (what lies below is left as it is), the very
  // entries that Multiply uses.
  absl::Status FillUpper(Block<double> out,
                         const ComputeContext& context) const;

  // E_ii.
  double Diagonal(Index i) const;

  // Memory of one product with k vectors beyond its arguments, bytes.
  static double WorkBytes(Index n, Index k, int workers);

  // Of the packed rows in both precisions.
  static double PackedBytes(Index n, Index d);

  // Of tiles that are kept; 0: there are too many for kKeptTilesBytes, or rows
  // are so short that entries are made as fast as they are read.
  static double KeptBytes(Index n, Index d);

 private:
  template <typename T>
  struct Packed;
  template <typename T>
  struct Pass;
  // What a product does with the tiles that are kept.
  enum class Kept { kIgnore, kMake, kRead };
  template <typename T>
  absl::Status Pack(Packed<T>& packed, const ComputeContext& context) const;
  template <typename T>
  Kept TakeKept(Packed<T>& packed) const;
  template <typename T>
  absl::Status MultiplyPacked(Packed<T>& packed, const Matrix<double>& v,
                              Matrix<double>& out,
                              const ComputeContext& context) const;

  const KernelRows& rows_;
  std::vector<double> offsets_;
  bool unit_diagonal_;
  std::unique_ptr<Packed<double>> packed_;
  std::unique_ptr<Packed<float>> packed32_;
};

// Tiles of at most this many rows and columns where a GEMM makes the logits.
Index KernelTileRows(Index d);

}  // namespace steelyard
