// Gaussian sketch: independent entries N(0, 1/s).
//
// METHOD  Entries of S are drawn again wherever they are needed, a block of
//   columns of S at a time (Box-Muller, columns 2 p and 2 p + 1 from one
//   counter), and multiplied by the block of A. Rows of S go in tiles.
//
// SOURCE  Martinsson, Tropp, section 8.3.
#pragma once

#include "sketch/random_sketch.h"

namespace steelyard {

class GaussianSketch : public RandomSketch {
 public:
  GaussianSketch(Index s, Seed seed);

  SketchCut CutOfDense(Index n, Index d) const override;
  SketchCut CutOfCsr(Index n, Index d, Index nonzeros) const override;
  void AddDense(const RowLoader& a, IndexRange rows, IndexRange columns,
                IndexRange tile, Block<double> sums,
                SketchScratch& scratch) const override;
  void AddCsr(const SparseBlock& a, IndexRange tile, Block<double> sums,
              SketchScratch& scratch) const override;
  double Flops(Index n, Index d, Index nonzeros) const override;
  double Weight(Index i) const override;

 private:
  // The transposed block of S: row j - rows.begin holds sqrt(s) S(tile, j).
  Block<const double> Draw(IndexRange rows, IndexRange tile,
                           SketchScratch& scratch) const;

  Index s_;
  RandomStream stream_;
};

}  // namespace steelyard
