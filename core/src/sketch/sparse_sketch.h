// Sparse sketches: z entries +-1/sqrt(z) in every column of S. z = 8 is the
// sparse sign sketch, z = 1 is CountSketch.
//
// METHOD  The rows of S are z parts of nearly equal size, and a column has one
//   entry in each: rows are distinct by themselves, and z parts are z
//   CountSketches. For a block of rows of A the entries are sorted by the row
//   of S (a counting sort), so that every row of the sums is read and written
//   once a block; columns go in strips that stay in cache. For z = 1 rows go
//   straight to their row of S.
//
// SOURCE  Kane, Nelson, Sparser Johnson-Lindenstrauss transforms, J. ACM 2014
//   (the block construction); Charikar, Chen, Farach-Colton, 2002, for z = 1.
#pragma once

#include "sketch/random_sketch.h"

namespace steelyard {

class SparseSketch : public RandomSketch {
 public:
  // min(entries, s) entries a column.
  SparseSketch(Index s, Index entries, Seed seed);

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
  // Fills scratch.offsets and scratch.list with what rows of A go into which
  // row of the tile.
  void Sort(IndexRange rows, IndexRange tile, SketchScratch& scratch) const;
  // One entry a column, one part, one tile: rows of A go straight to where
  // scratch.targets say.
  void AddRows(const RowLoader& a, IndexRange rows, IndexRange columns,
               Block<double> sums, SketchScratch& scratch) const;
  Index PartBegin(Index part) const { return part * s_ / entries_; }

  Index s_;
  Index entries_;
  RandomStream stream_;
};

}  // namespace steelyard
