// Some rows of S against all of them: what a step on a block of unknowns needs.
//
//     out_B = (S V)_B,   S_BB
//
// METHOD  Tiles of a GEMM in float64 or float32, exponentials in registers;
//   columns are dealt to at most 32 slots by n alone, each with sums of its
//   own: the bits do not depend on the number of threads.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between tiles.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "kernel/logits.h"
#include "kernel/scaled_system.h"
#include "kernel/symmetric_form.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

class BlockRows {
 public:
  // Both must outlive it. Keeps a copy of the rows in float32 where that is
  // asked for.
  BlockRows(const KernelRows& rows, const SymmetricForm& form,
            TilePrecision precision);

  // out (k x |B|) := (S V)_B, v is k x n, k <= 16.
  // COST    2 n |B| (d + k) flops and n |B| exponentials.
  absl::Status Multiply(const std::vector<Index>& block,
                        const Matrix<double>& v, Matrix<double>& out,
                        const ComputeContext& context) const;

  // S_BB in float64, the upper triangle.
  absl::StatusOr<Matrix<double>> Square(const std::vector<Index>& block,
                                        const ComputeContext& context) const;

 private:
  template <typename T>
  struct Operands {
    const T* rows;
    const T* offsets;
  };
  template <typename T>
  absl::Status MultiplyIn(const Operands<T>& all,
                          const std::vector<Index>& block,
                          const Matrix<double>& v, Matrix<double>& out,
                          const ComputeContext& context) const;

  const KernelRows& rows_;
  const SymmetricForm& form_;
  TilePrecision precision_;
  AlignedVector<float> rows32_;
  std::vector<float> offsets32_;
};

}  // namespace steelyard
