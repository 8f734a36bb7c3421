#include "sparse/csr_gram.h"

#include <algorithm>

#include "linalg/stopped.h"
#include "sparse/csr_kernels.h"

namespace steelyard {
namespace {

constexpr Index kMostSlots = 16;
constexpr Index kBlockRows = 8192;
// A row of this many entries has two million pairs: some 10 ms.
constexpr Index kBlockEntries = 2048;
constexpr double kBytesOfEntry = 12.0;
constexpr double kBytesOfRow = 8.0;

Index TriangleSize(Index d) { return d * (d + 1) / 2; }

Index SlotsFor(Index n, Index d, Index nonzeros) {
  const double matrix = kBytesOfEntry * static_cast<double>(nonzeros) +
                        kBytesOfRow * static_cast<double>(n);
  const double slot = 16.0 * static_cast<double>(TriangleSize(d));
  return std::clamp<Index>(static_cast<Index>(matrix / slot), 1, kMostSlots);
}

// The rows of an upper triangle one after the other.
class Triangles {
 public:
  Triangles(Index d, Index count)
      : size_(TriangleSize(d)),
        starts_(static_cast<std::size_t>(d)),
        slots_(static_cast<std::size_t>(count)) {
    Index start = 0;
    for (Index row = 0; row < d; ++row) {
      starts_[static_cast<std::size_t>(row)] = start - row;
      start += d - row;
    }
  }

  // Where column 0 of every row would be.
  const Index* starts() const { return starts_.data(); }

  DoubleDouble* Begin(Index slot) {
    auto& numbers = slots_[static_cast<std::size_t>(slot)];
    numbers.resize(static_cast<std::size_t>(size_));
    return numbers.data();
  }

  // Row `row` of all slots into slot 0, by a binary tree.
  void AddRow(Index row, Index d) {
    const auto slots = static_cast<Index>(slots_.size());
    for (Index step = 1; step < slots; step *= 2) {
      for (Index s = 0; s + step < slots; s += 2 * step) {
        for (Index column = row; column < d; ++column) {
          DoubleDouble& to = At(s, row, column);
          const DoubleDouble& from = At(s + step, row, column);
          to = Add(TwoSum(to.hi, to.lo), TwoSum(from.hi, from.lo));
        }
      }
    }
  }

  DoubleDouble& At(Index slot, Index row, Index column) {
    return slots_[static_cast<std::size_t>(slot)][static_cast<std::size_t>(
        starts_[static_cast<std::size_t>(row)] + column)];
  }

 private:
  Index size_;
  std::vector<Index> starts_;
  std::vector<AlignedVector<DoubleDouble>> slots_;
};

void FillSlot(const SparseRows& a, const SparseCut& cut, Index slot,
              const StopToken& stop, Triangles& triangles) {
  DoubleDouble* const gram = triangles.Begin(slot);
  AlignedVector<double> values;
  const Index end = cut.SlotBegin(slot + 1);
  for (Index row = cut.SlotBegin(slot); row < end;) {
    const Index next = cut.BlockEnd(row, end);
    const SparseBlock block = a.Load(row, next - row, values);
    if (stop.stop_requested()) return;
    for (Index from = 0; from < block.entries(); from += kBlockEntries) {
      if (from > 0 && stop.stop_requested()) return;
      AddGramTwice(block, {from, from + kBlockEntries, triangles.starts()},
                   gram);
    }
    row = next;
  }
}

}  // namespace

absl::StatusOr<TwiceGram> GramOfCsr(const SparseRows& a,
                                    const ComputeContext& context) {
  const Index d = a.cols();
  const SparseCut cut(a, SlotsFor(a.rows(), d, a.nonzeros()), kBlockRows,
                      kBlockEntries);
  Triangles triangles(d, cut.slots());
  context.workers.ParallelFor(cut.slots(), context.stop, [&](Index slot) {
    FillSlot(a, cut, slot, context.stop, triangles);
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  TwiceGram gram{Matrix<double>(d, d), Matrix<double>(d, d)};
  context.workers.ParallelFor(d, context.stop, [&](Index row) {
    triangles.AddRow(row, d);
    for (Index column = row; column < d; ++column) {
      const DoubleDouble& sum = triangles.At(0, row, column);
      const DoubleDouble normal = TwoSum(sum.hi, sum.lo);
      gram.hi(row, column) = normal.hi;
      gram.lo(row, column) = normal.lo;
    }
  });
  if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
  return gram;
}

double CountPairs(const SparseRows& a) {
  double pairs = 0.0;
  for (Index i = 0; i < a.rows(); ++i) {
    const auto count = static_cast<double>(a.offsets()[i + 1] - a.offsets()[i]);
    pairs += 0.5 * count * (count + 1.0);
  }
  return pairs;
}

Cost CostOfCsrGram(Index n, Index d, Index nonzeros, int workers) {
  const double slots = static_cast<double>(SlotsFor(n, d, nonzeros));
  const double blocks = std::min<double>(workers, slots);
  const double block = static_cast<double>(std::max(kBlockEntries, d));
  const double columns = static_cast<double>(d);
  // The most pairs that so many entries can make: rows as full as they can be.
  return {.flops = 16.0 * static_cast<double>(nonzeros) * (columns + 1.0) / 2.0,
          .bytes = slots * 8.0 * columns * (columns + 1.0) +
                   16.0 * columns * columns + 8.0 * columns +
                   8.0 * blocks * block};
}

}  // namespace steelyard
