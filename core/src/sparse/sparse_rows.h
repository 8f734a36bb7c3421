// Blocks of rows of a sparse matrix as scaled float64, and how the rows are cut
// into work.
//
// METHOD  Rows are cut where rows and entries together are enough work: a cut
//   depends on the matrix alone, never on the workers, and a few long rows do
//   not make a long block.
#pragma once

#include <cstdint>
#include <vector>

#include "steelyard/csr_view.h"
#include "steelyard/matrix.h"

namespace steelyard {

// Rows [first, first + count). Entries of row first + i are those from
// offsets[i] - offsets[0] to offsets[i + 1] - offsets[0] of `columns` and
// `values`.
struct SparseBlock {
  Index first = 0;
  Index count = 0;
  const std::int64_t* offsets = nullptr;
  const std::int32_t* columns = nullptr;
  const double* values = nullptr;

  Index begin(Index i) const { return offsets[i] - offsets[0]; }
  Index end(Index i) const { return offsets[i + 1] - offsets[0]; }
  Index entries() const { return offsets[count] - offsets[0]; }
};

// Keeps the view, not the data. Safe from several threads.
class SparseRows {
 public:
  // Column c is multiplied by 2^-exponents[c]; empty: by 1.
  SparseRows(const AnyCsrView& a, const std::vector<int>& exponents);

  Index rows() const { return rows_; }
  Index cols() const { return cols_; }
  Index nonzeros() const { return nonzeros_; }
  const std::int64_t* offsets() const { return offsets_; }

  // `values` (grown where it is too small) holds the numbers of the block.
  // Exact, but for entries that land below the normal range.
  SparseBlock Load(Index first, Index count,
                   AlignedVector<double>& values) const;

 private:
  AnyCsrView a_;
  Index rows_, cols_, nonzeros_;
  const std::int64_t* offsets_;
  const std::int32_t* columns_;
  // 2^-e = first * second; empty where all are 1.
  std::vector<double> first_;
  std::vector<double> second_;
};

// Slots of rows with about as many rows + entries each, cut into blocks of at
// most `block_rows` rows and, but for a single row, `block_entries` entries.
class SparseCut {
 public:
  SparseCut(const SparseRows& a, Index slots, Index block_rows,
            Index block_entries);

  Index slots() const { return slots_; }
  Index SlotBegin(Index slot) const;
  // Of the block that starts at `first` in a slot that ends at `end`.
  Index BlockEnd(Index first, Index end) const;
  // No block of any matrix has more entries.
  Index MostEntries() const;

 private:
  const std::int64_t* offsets_;
  Index rows_, cols_, slots_, block_rows_, block_entries_;
};

}  // namespace steelyard
