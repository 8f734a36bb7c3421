// What the four sketches have in common: blocks of rows of A go in, and add to
// sums that are S A, but for a weight of every row, once all have been in.
//
// A new kind is a source of its own with a class below RandomSketch, and a line
// in DrawSketch and NameOf (sketch.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/macros.h"
#include "factor/row_loader.h"
#include "linalg/block.h"
#include "sketch/sketch_kernels.h"
#include "sparse/sparse_rows.h"
#include "steelyard/matrix.h"
#include "steelyard/sketch.h"

namespace steelyard {

// How S A is cut into tasks, by the sizes of the problem alone: parts of the
// rows of A (each with sums of its own), of the columns of A and of the rows of
// S.
struct SketchCut {
  Index block_rows = 1;     // rows of A between two looks at the stop token
  Index block_entries = 0;  // sparse A: entries
  Index slots = 1;          // parts of the rows of A
  Index groups = 1;         // parts of the columns of A
  Index tiles = 1;          // parts of the rows of S
  double scratch = 0.0;     // bytes that a task holds
};

// [begin, end)
struct IndexRange {
  Index begin = 0;
  Index end = 0;
  Index size() const { return end - begin; }
};

// Buffers of one task; they grow when they are first used.
struct SketchScratch {
  AlignedVector<double> rows;
  AlignedVector<double> random;
  std::vector<std::uint32_t> targets;
  std::vector<std::uint32_t> offsets;
  std::vector<SignedRow> list;
};

// Room for rows x cols numbers in scratch.rows.
StripBlock<double> StripsOf(Index rows, Index cols, SketchScratch& scratch);
double BytesOfStrips(Index rows, Index cols);

// One S, s x n. Safe from several threads.
class RandomSketch {
 public:
  virtual ~RandomSketch() = default;

  virtual SketchCut CutOfDense(Index n, Index d) const = 0;
  // Sparse matrices: of kinds that CanSketch allows for them.
  virtual SketchCut CutOfCsr(Index n, Index d, Index) const {
    return CutOfDense(n, d);
  }

  // sums += S(tile, rows) A(rows, columns), weights left out. Tiles are those
  // of the cut: [t s / tiles, (t + 1) s / tiles).
  virtual void AddDense(const RowLoader& a, IndexRange rows, IndexRange columns,
                        IndexRange tile, Block<double> sums,
                        SketchScratch& scratch) const = 0;
  virtual void AddCsr(const SparseBlock&, IndexRange, Block<double>,
                      SketchScratch&) const {
    ABSL_ASSERT(false);
  }

  // A dense where nonzeros = n d.
  virtual double Flops(Index n, Index d, Index nonzeros) const = 0;

  // Row i of S A is that of the sums times this.
  virtual double Weight(Index i) const = 0;
};

// Slots for s x d sums: enough for the workers there may be, few enough that
// their sums take some 64 MiB and cost little beside what goes into them.
Index SketchSlots(Index n, Index s, Index d);

// ERRORS  none: `plan` has been checked. n: rows of A.
std::unique_ptr<RandomSketch> DrawSketch(const SketchPlan& plan, Index n);

}  // namespace steelyard
