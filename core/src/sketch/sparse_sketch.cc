#include "sketch/sparse_sketch.h"

#include <algorithm>
#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

// Two strips of a block are 256 KiB.
constexpr Index kBlockRows = 2048;
// Columns of a group, where slots alone are too few tasks.
constexpr Index kGroupColumns = 128;
constexpr Index kEnoughTasks = 8;
// Rows that are widened together where each goes to one row of S.
constexpr Index kRowsAtOnce = 32;
// Entries of a sparse block: eight updates each are some milliseconds.
constexpr Index kBlockEntries = Index{1} << 17;
constexpr std::uint64_t kStream = 0x535041;

// Two entries of a column share 64 random bits: 31 for the row, 1 for the sign.
constexpr Index kEntriesAWord = 2;

}  // namespace

SparseSketch::SparseSketch(Index s, Index entries, Seed seed)
    : s_(s),
      entries_(std::min(entries, s)),
      stream_{seed, kStream + static_cast<std::uint64_t>(entries)} {}

SketchCut SparseSketch::CutOfDense(Index n, Index d) const {
  SketchCut cut;
  cut.block_rows = std::min(n, kBlockRows);
  cut.slots = SketchSlots(n, s_, d);
  if (cut.slots < kEnoughTasks) {
    cut.groups = (d + kGroupColumns - 1) / kGroupColumns;
  }
  cut.scratch =
      BytesOfStrips(cut.block_rows, (d + cut.groups - 1) / cut.groups) +
      static_cast<double>(cut.block_rows) * 8.0 *
          static_cast<double>(entries_) +
      4.0 * static_cast<double>(s_ + 1);
  return cut;
}

SketchCut SparseSketch::CutOfCsr(Index n, Index d, Index nonzeros) const {
  SketchCut cut;
  cut.block_rows = std::min(n, std::max(kBlockRows, s_));
  cut.block_entries = kBlockEntries;
  cut.slots = SketchSlots(n, s_, d);
  // Entries of other tiles are never drawn.
  if (cut.slots < kEnoughTasks) cut.tiles = entries_;
  cut.scratch = 8.0 * static_cast<double>(
                          std::min(nonzeros, std::max(kBlockEntries, d))) +
                8.0 * static_cast<double>(cut.block_rows * entries_) +
                4.0 * static_cast<double>(s_ + 1);
  return cut;
}

void SparseSketch::Sort(IndexRange rows, IndexRange tile,
                        SketchScratch& scratch) const {
  // Parts that lie in the tile.
  Index first = 0;
  while (PartBegin(first) < tile.begin) ++first;
  Index last = first;
  while (last < entries_ && PartBegin(last) < tile.end) ++last;
  const Index parts = last - first;
  scratch.targets.resize(static_cast<std::size_t>(rows.size() * parts));
  scratch.list.resize(scratch.targets.size());
  scratch.offsets.assign(static_cast<std::size_t>(tile.size() + 1), 0);
  const Index words = (entries_ + kEntriesAWord - 1) / kEntriesAWord;
  std::uint32_t* target = scratch.targets.data();
  std::uint32_t* const counts = scratch.offsets.data();
  for (Index row = rows.begin; row < rows.end; ++row) {
    std::uint64_t bits = 0;
    for (Index part = first; part < last; ++part) {
      if (part == first || part % kEntriesAWord == 0) {
        const Index word = row * words + part / kEntriesAWord;
        bits = stream_.Bits(static_cast<std::uint64_t>(word));
      }
      const std::uint64_t half =
          part % kEntriesAWord == 0 ? bits >> 32 : bits & 0xffffffffu;
      const Index begin = PartBegin(part);
      const auto size = static_cast<std::uint64_t>(PartBegin(part + 1) - begin);
      const auto i =
          static_cast<Index>(((half >> 1) * size) >> 31) + begin - tile.begin;
      *target++ = SignedRowOf(i, (half & 1) != 0);
      ++counts[i + 1];
    }
  }
  for (Index i = 0; i < tile.size(); ++i) counts[i + 1] += counts[i];
  // Each row of S takes its rows of A in their order; afterwards counts[i] is
  // where row i ends, which is where row i + 1 begins.
  target = scratch.targets.data();
  for (Index j = 0; j < rows.size(); ++j) {
    for (Index part = 0; part < parts; ++part) {
      const SignedRow to = *target++;
      scratch.list[counts[RowOf(to)]++] = SignedRowOf(j, (to & 1) != 0);
    }
  }
  for (Index i = tile.size(); i > 0; --i) counts[i] = counts[i - 1];
  counts[0] = 0;
}

void SparseSketch::AddRows(const RowLoader& a, IndexRange rows,
                           IndexRange columns, Block<double> sums,
                           SketchScratch& scratch) const {
  const Index width = columns.size();
  const auto size =
      static_cast<std::size_t>(std::min(kRowsAtOnce, rows.size()) * width);
  if (scratch.rows.size() < size) scratch.rows.resize(size);
  for (Index first = rows.begin; first < rows.end; first += kRowsAtOnce) {
    const Block<double> block{scratch.rows.data(),
                              std::min(kRowsAtOnce, rows.end - first), width,
                              width};
    a.Load(first, columns.begin, block);
    for (Index j = 0; j < block.rows; ++j) {
      const SignedRow to =
          scratch.targets[static_cast<std::size_t>(first - rows.begin + j)];
      AddScaled(SignOf(to), block.row(j), sums.row(RowOf(to)), width);
    }
  }
}

void SparseSketch::AddDense(const RowLoader& a, IndexRange rows,
                            IndexRange columns, IndexRange tile,
                            Block<double> sums, SketchScratch& scratch) const {
  Sort(rows, tile, scratch);
  if (entries_ == 1) {
    AddRows(a, rows, columns, sums, scratch);
    return;
  }
  const StripBlock<double> strips =
      StripsOf(rows.size(), columns.size(), scratch);
  a.LoadStrips(rows.begin, columns.begin, rows.size(), columns.size(), strips);
  AddSignedRows(strips, scratch.offsets.data(), scratch.list.data(), sums);
}

void SparseSketch::AddCsr(const SparseBlock& a, IndexRange tile,
                          Block<double> sums, SketchScratch& scratch) const {
  Sort({a.first, a.first + a.count}, tile, scratch);
  for (Index i = 0; i < sums.rows; ++i) {
    double* const out = sums.row(i);
    const auto at = static_cast<std::size_t>(i);
    for (std::uint32_t e = scratch.offsets[at]; e < scratch.offsets[at + 1];
         ++e) {
      const Index j = RowOf(scratch.list[e]);
      const double sign = SignOf(scratch.list[e]);
      for (Index v = a.begin(j); v < a.end(j); ++v) {
        out[a.columns[v]] += sign * a.values[v];
      }
    }
  }
}

double SparseSketch::Flops(Index n, Index, Index nonzeros) const {
  // Drawing and sorting an entry of S costs some ten updates.
  return static_cast<double>(entries_) *
         (2.0 * static_cast<double>(nonzeros) + 20.0 * static_cast<double>(n));
}

double SparseSketch::Weight(Index) const {
  return 1.0 / std::sqrt(static_cast<double>(entries_));
}

}  // namespace steelyard
