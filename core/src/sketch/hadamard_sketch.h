// SRHT: rows of a Hadamard transform of A with random signs.
//
//     S A = W P H D Pi A,   H of order N = 2^k >= n, entries +-1
//
// METHOD  H_N = H_(N/B) (x) H_B, so a block of B rows of A is transformed by
//   itself in cache, and adds +- one row of the result to every row of S A: the
//   sign is an entry of H_(N/B). Nothing of the size of A is kept. Rows that
//   are not there (n < N) are zero.
//   Pi shuffles the rows of each block; without it, rows that are heavy and
//   next to each other would meet in few rows of H D A. P takes one row from
//   each of s strata of nearly equal size, and W, the roots of their shares,
//   makes (S A)'(S A) unbiased; independent draws: the matrix Chernoff bound of
//   uniform sampling holds.
//
// SOURCE  Tropp, Improved analysis of the subsampled randomized Hadamard
//   transform, 2011; Martinsson, Tropp, section 9.3.
#pragma once

#include "sketch/random_sketch.h"

namespace steelyard {

class HadamardSketch : public RandomSketch {
 public:
  // n: rows of A.
  HadamardSketch(Index n, Index s, Seed seed);

  SketchCut CutOfDense(Index n, Index d) const override;
  void AddDense(const RowLoader& a, IndexRange rows, IndexRange columns,
                IndexRange tile, Block<double> sums,
                SketchScratch& scratch) const override;
  double Flops(Index n, Index d, Index nonzeros) const override;
  double Weight(Index i) const override;

 private:
  // scratch.targets[j] := where row j of the block goes, and its sign.
  void Shuffle(Index first, SketchScratch& scratch) const;
  // scratch.list := row of the transformed block for every row of S.
  void Choose(Index block, IndexRange tile, SketchScratch& scratch) const;

  IndexRange Stratum(Index i) const {
    return {i * order_ / s_, (i + 1) * order_ / s_};
  }

  Index s_;
  Index order_;  // N
  Index block_;  // B
  RandomStream rows_;
  RandomStream shuffles_;
};

}  // namespace steelyard
