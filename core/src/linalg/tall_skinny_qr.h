// R of a tall matrix by Householder reflections: R'R = A'A without ever
// squaring the condition number.
//
// METHOD  Rows in at most 64 slots by n and d alone. Each slot holds a
//   triangle and folds blocks of rows into it, [R; B] -> R, 64 columns at a
//   time: reflectors that are the identity above and dense below (V = [I; W],
//   compact WY), found by recursive halving, applied to the columns on the
//   right by products. Slots are folded into each other by a fixed tree. Wide
//   matrices have one slot, and the columns on the right go side by side. Same
//   bits for any thread count.
//
// SOURCE  Demmel, Grigori, Hoemmen, Langou, SIAM J. Sci. Comput. 34 (2012),
//   A206; Higham, ch. 19: each column of R is that of a matrix within
//   gamma_(c n) of the column's norm; in practice 40 sqrt(d) u ||A||_F bounds
//   the whole (NUMERICS N4).
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "linalg/block.h"
#include "steelyard/compute_context.h"
#include "steelyard/cost.h"

namespace steelyard {

// Rows that are read when they are needed.
struct RowSource {
  Index rows = 0;
  Index cols = 0;
  // Rows [first, first + out.rows), all columns, into `out`. Called from
  // several threads.
  std::function<void(Index first, Block<double> out)> load;
};

// SHAPES   a: n x d, entries such that squares neither overflow nor matter when
//          they underflow (columns scaled to norms near 1). `diagonal`: empty,
//          or d numbers: R is that of [A; diag(diagonal)].
//          R: d x d, upper, non-negative diagonal, zeros below; of rank at most
//          n without a diagonal, up to rounding.
// COST     2 n d^2 flops and 2 d^3 for each of log2(slots) levels of the tree;
//          memory: CostOfTallSkinnyQr.
// RANDOM   none.
// ERRORS   Cancelled, DeadlineExceeded, Aborted: the stop token, looked at
//          before each panel of 64 columns.
absl::StatusOr<Matrix<double>> TallSkinnyQr(const RowSource& a,
                                            const std::vector<double>& diagonal,
                                            const ComputeContext& context);

Cost CostOfTallSkinnyQr(Index n, Index d, int workers);

}  // namespace steelyard
