#include "sketch/hadamard_sketch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace steelyard {
namespace {

// Two strips of the longest block are 512 KiB. Long blocks: fewer additions to
// the rows of S; more rows than columns, so that the shuffle spreads.
constexpr Index kBlockMin = 256;
constexpr Index kBlockMax = 4096;
constexpr Index kGroupColumns = 128;
constexpr Index kStripsAtOnce = 2;
constexpr Index kWidth = kStripColumns<double>;
constexpr std::uint64_t kRowStream = 0x535248;
constexpr std::uint64_t kShuffleStream = 0x535249;

Index PowerAtLeast(Index x) {
  return static_cast<Index>(std::bit_ceil(static_cast<std::uint64_t>(x)));
}

// The upper half of `bits` as a number below `size` < 2^32.
Index Below(std::uint64_t bits, Index size) {
  return static_cast<Index>(((bits >> 32) * static_cast<std::uint64_t>(size)) >>
                            32);
}

}  // namespace

HadamardSketch::HadamardSketch(Index n, Index s, Seed seed)
    : s_(s),
      order_(PowerAtLeast(n)),
      block_(
          std::min(order_, std::clamp(PowerAtLeast(s), kBlockMin, kBlockMax))),
      rows_{seed, kRowStream},
      shuffles_{seed, kShuffleStream} {}

SketchCut HadamardSketch::CutOfDense(Index n, Index d) const {
  SketchCut cut;
  cut.block_rows = block_;
  cut.slots = SketchSlots(n, s_, d);
  cut.groups = (d + kGroupColumns - 1) / kGroupColumns;
  const Index columns = (d + cut.groups - 1) / cut.groups;
  cut.scratch = BytesOfStrips(block_, columns) +
                BytesOfStrips(block_, kStripsAtOnce * kWidth) +
                4.0 * static_cast<double>(block_) +
                8.0 * static_cast<double>(s_ + 1);
  return cut;
}

void HadamardSketch::Shuffle(Index first, SketchScratch& scratch) const {
  scratch.targets.resize(static_cast<std::size_t>(block_));
  for (Index j = 0; j < block_; ++j) {
    const std::uint64_t bits =
        shuffles_.Bits(static_cast<std::uint64_t>(first + j));
    // Fisher and Yates, inside out; the sign is the last bit.
    const Index other = Below(bits, j + 1);
    auto& here = scratch.targets[static_cast<std::size_t>(j)];
    auto& there = scratch.targets[static_cast<std::size_t>(other)];
    here = there;
    there = SignedRowOf(j, (bits & 1) != 0);
  }
}

void HadamardSketch::Choose(Index block, IndexRange tile,
                            SketchScratch& scratch) const {
  scratch.list.resize(static_cast<std::size_t>(tile.size()));
  scratch.offsets.resize(static_cast<std::size_t>(tile.size() + 1));
  std::iota(scratch.offsets.begin(), scratch.offsets.end(), 0u);
  for (Index i = 0; i < tile.size(); ++i) {
    const IndexRange stratum = Stratum(tile.begin + i);
    const std::uint64_t bits =
        rows_.Bits(static_cast<std::uint64_t>(tile.begin + i));
    const Index row = stratum.begin + Below(bits, stratum.size());
    const auto common = static_cast<std::uint64_t>((row / block_) & block);
    scratch.list[static_cast<std::size_t>(i)] =
        SignedRowOf(row % block_, std::popcount(common) % 2 != 0);
  }
}

void HadamardSketch::AddDense(const RowLoader& a, IndexRange rows,
                              IndexRange columns, IndexRange tile,
                              Block<double> sums,
                              SketchScratch& scratch) const {
  Shuffle(rows.begin, scratch);
  Choose(rows.begin / block_, tile, scratch);
  const StripBlock<double> loaded =
      StripsOf(rows.size(), columns.size(), scratch);
  a.LoadStrips(rows.begin, columns.begin, rows.size(), columns.size(), loaded);
  const Index most = std::min(kStripsAtOnce, loaded.strips);
  const auto room =
      static_cast<std::size_t>(StripSize<double>(StripRows(block_), most));
  if (scratch.random.size() < room) scratch.random.resize(room);
  for (Index first = 0; first < loaded.strips; first += kStripsAtOnce) {
    const StripBlock<double> part{
        scratch.random.data(), StripRows(block_),
        std::min(kStripsAtOnce, loaded.strips - first)};
    for (Index s = 0; s < part.strips; ++s) {
      double* const strip = part.strip(s);
      if (rows.size() < block_) std::fill_n(strip, block_ * kWidth, 0.0);
      PlaceRows(loaded.strip(first + s), rows.size(), scratch.targets.data(),
                strip);
      TransformRows(strip, block_);
    }
    const Index begin = first * kWidth;
    const Index width = std::min(part.strips * kWidth, columns.size() - begin);
    AddSignedRows(part, scratch.offsets.data(), scratch.list.data(),
                  sums.Part(0, begin, sums.rows, width));
  }
}

double HadamardSketch::Flops(Index, Index, Index nonzeros) const {
  const auto block = static_cast<double>(block_);
  return static_cast<double>(nonzeros) *
         (2.0 + std::log2(block) + 2.0 * static_cast<double>(s_) / block);
}

double HadamardSketch::Weight(Index i) const {
  return std::sqrt(static_cast<double>(Stratum(i).size()) /
                   static_cast<double>(order_));
}

}  // namespace steelyard
