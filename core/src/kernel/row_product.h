// Products with kernels that are not symmetric, or whose rows have no known
// scale: row i of the answer comes from row i of the kernel alone.
//
// METHOD  Tiles of a GEMM, exponentials in registers; blocks of rows side by
//   side, each summing its tiles in order: the bits do not depend on the number
//   of threads.
//
// COST    2 n^2 (d + k) flops and n^2 exponentials; memory a tile a worker.
// ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//         between tiles.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/logits.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"

namespace steelyard {

// out_i := sum_j exp(min(0, s (a_i-c).(a_j-c) + row_offset_i + col_offset_j))
// v_j. v and out are k x n.
absl::Status MultiplyRows(const KernelRows& rows,
                          const std::vector<double>& row_offset,
                          const std::vector<double>& col_offset,
                          const Matrix<double>& v, Matrix<double>& out,
                          const ComputeContext& context);

struct RunningRowSums {
  // m_i = max_j s (a_i-c).(a_j-c) + col_offset_j
  std::vector<double> top;
  // k x rows: sum_j exp(s (a_i-c).(a_j-c) + col_offset_j - m_i) v_j
  Matrix<double> sums;
};

// [first, first + count)
struct RowRange {
  Index first = 0;
  Index count = 0;
};

// With a running maximum of each row: no overflow at any logit. Rows i in
// `left`, sums over j in `right`; offsets and v are those of all rows.
absl::StatusOr<RunningRowSums> SumRows(const KernelRows& rows, RowRange left,
                                       RowRange right,
                                       const std::vector<double>& col_offset,
                                       const Matrix<double>& v,
                                       const ComputeContext& context);
// Of all rows.
absl::StatusOr<RunningRowSums> SumRows(const KernelRows& rows,
                                       const std::vector<double>& col_offset,
                                       const Matrix<double>& v,
                                       const ComputeContext& context);

}  // namespace steelyard
