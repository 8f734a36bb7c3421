#include "sketch/gaussian_sketch.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "linalg/blas.h"

namespace steelyard {
namespace {

constexpr Index kTileRows = 512;
constexpr Index kBlockRowsMax = 512;
// 2 of these flops each: some 20 ms.
constexpr Index kBlockProducts = Index{1} << 28;
constexpr Index kBlockEntries = Index{1} << 14;
// Tiles are tasks too.
constexpr Index kEnoughTasks = 16;
constexpr std::uint64_t kStream = 0x474155;
// What drawing a normal number costs.
constexpr double kDrawFlops = 40.0;
// Normals that are made of bits at a time.
constexpr Index kChunk = 256;

Index Tiles(Index s) { return (s + kTileRows - 1) / kTileRows; }

}  // namespace

GaussianSketch::GaussianSketch(Index s, Seed seed)
    : s_(s), stream_{seed, kStream} {}

SketchCut GaussianSketch::CutOfDense(Index n, Index d) const {
  SketchCut cut;
  cut.tiles = Tiles(s_);
  cut.slots = std::min(SketchSlots(n, s_, d),
                       std::max<Index>(1, kEnoughTasks / cut.tiles));
  const Index tile = std::min(s_, kTileRows);
  cut.block_rows = std::min(
      n, std::clamp<Index>(kBlockProducts / (tile * d), 16, kBlockRowsMax));
  cut.scratch = 8.0 * static_cast<double>(cut.block_rows * d) +
                8.0 * static_cast<double>((cut.block_rows + 2) * tile);
  return cut;
}

SketchCut GaussianSketch::CutOfCsr(Index n, Index d, Index nonzeros) const {
  SketchCut cut = CutOfDense(n, d);
  cut.block_rows = std::min(n, kBlockRowsMax);
  cut.block_entries = kBlockEntries;
  cut.scratch =
      8.0 * static_cast<double>(std::min(nonzeros, std::max(kBlockEntries, d)) +
                                (cut.block_rows + 2) * std::min(s_, kTileRows));
  return cut;
}

Block<const double> GaussianSketch::Draw(IndexRange rows, IndexRange tile,
                                         SketchScratch& scratch) const {
  // Whole pairs of columns of S.
  const Index first = rows.begin / 2;
  const Index last = (rows.end + 1) / 2;
  const Index width = tile.size();
  const auto size = static_cast<std::size_t>(2 * (last - first) * width);
  if (scratch.random.size() < size) scratch.random.resize(size);
  std::array<std::uint64_t, kChunk> radius;
  std::array<std::uint64_t, kChunk> angle;
  for (Index pair = first; pair < last; ++pair) {
    double* const even = scratch.random.data() + 2 * (pair - first) * width;
    for (Index i = 0; i < width; i += kChunk) {
      const Index count = std::min(kChunk, width - i);
      for (Index e = 0; e < count; ++e) {
        const auto at = static_cast<std::size_t>(e);
        const RandomBits bits = stream_.BitPair(
            static_cast<std::uint64_t>(pair * s_ + tile.begin + i + e));
        radius[at] = bits.first;
        angle[at] = bits.second;
      }
      NormalPairs(radius.data(), angle.data(), count, even + i,
                  even + width + i);
    }
  }
  return {scratch.random.data() + (rows.begin - 2 * first) * width, rows.size(),
          width, width};
}

void GaussianSketch::AddDense(const RowLoader& a, IndexRange rows,
                              IndexRange columns, IndexRange tile,
                              Block<double> sums,
                              SketchScratch& scratch) const {
  const Block<const double> s = Draw(rows, tile, scratch);
  const Index width = columns.size();
  const auto size = static_cast<std::size_t>(rows.size() * width);
  if (scratch.rows.size() < size) scratch.rows.resize(size);
  const Block<double> block{scratch.rows.data(), rows.size(), width, width};
  a.Load(rows.begin, columns.begin, block);
  Gemm(1.0, Transposed(s), block, 1.0, sums);
}

void GaussianSketch::AddCsr(const SparseBlock& a, IndexRange tile,
                            Block<double> sums, SketchScratch& scratch) const {
  const Block<const double> s =
      Draw({a.first, a.first + a.count}, tile, scratch);
  for (Index i = 0; i < sums.rows; ++i) {
    double* const out = sums.row(i);
    for (Index j = 0; j < a.count; ++j) {
      const double factor = s(j, i);
      for (Index e = a.begin(j); e < a.end(j); ++e) {
        out[a.columns[e]] += factor * a.values[e];
      }
    }
  }
}

double GaussianSketch::Flops(Index n, Index, Index nonzeros) const {
  return static_cast<double>(s_) * (2.0 * static_cast<double>(nonzeros) +
                                    kDrawFlops * static_cast<double>(n));
}

double GaussianSketch::Weight(Index) const {
  return 1.0 / std::sqrt(static_cast<double>(s_));
}

}  // namespace steelyard
