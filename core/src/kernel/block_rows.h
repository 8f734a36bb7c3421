// Some columns of S against all of its rows: what a step on a block of unknowns
// needs.
//
//     out := out + S_:B d,   S_BB
//
// METHOD  The tiles of fused_tile.h, each row of all against the block: rows
//   are packed by the first use of a precision, the block is packed as it
//   comes. Every sum has its own place and its order: the bits do not depend on
//   the number of threads.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between tiles.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "kernel/scaled_system.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

class BlockRows {
 public:
  // Both must outlive it.
  BlockRows(const KernelRows& rows, const SymmetricForm& form);

  // out (k x n) += S_:B d, d is k x |B|, k <= 16. Entries as those of
  // KernelProduct, but for a diagonal that is 1 in exact arithmetic alone.
  // COST    n |B| (2 d + 2 k) flops and n |B| exponentials.
  absl::Status AddColumns(const std::vector<Index>& block,
                          const Matrix<double>& d, TilePrecision precision,
                          Matrix<double>& out, const ComputeContext& context);

  // S_BB, the upper triangle of whole tiles; the diagonal is exactly 1.
  // T: float, double.
  template <typename T>
  absl::StatusOr<Matrix<T>> Square(const std::vector<Index>& block,
                                   const ComputeContext& context) const;

 private:
  // Strips of rows, and their offsets in units of log 2.
  template <typename T>
  struct Packed {
    std::vector<T, UnsetAllocator<T>> rows;
    std::vector<T, UnsetAllocator<T>> offsets;
    Index strips = 0;
  };
  template <typename T>
  struct Columns;
  template <typename T>
  struct Squared;
  template <typename T>
  absl::Status PackAll(Packed<T>& packed, const ComputeContext& context) const;
  template <typename T>
  absl::StatusOr<Packed<T>> PackBlock(const std::vector<Index>& block,
                                      const ComputeContext& context) const;
  template <typename T>
  absl::Status AddColumnsIn(Packed<T>& all, const std::vector<Index>& block,
                            const Matrix<double>& d, Matrix<double>& out,
                            const ComputeContext& context) const;
  template <typename T>
  T scale() const;

  const KernelRows& rows_;
  const SymmetricForm& form_;
  Packed<double> packed_;
  Packed<float> packed32_;
};

}  // namespace steelyard
