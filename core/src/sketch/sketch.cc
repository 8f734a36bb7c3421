#include "steelyard/sketch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

#include "linalg/stopped.h"
#include "sketch/gaussian_sketch.h"
#include "sketch/hadamard_sketch.h"
#include "sketch/random_sketch.h"
#include "sketch/sparse_sketch.h"
#include "steelyard/status.h"

namespace steelyard {
namespace {

constexpr Index kSparseSignEntries = 8;
// Of all slots of a sketch together: 64 MiB.
constexpr Index kSlotEntries = Index{1} << 23;
constexpr Index kSlotsMax = 16;
// Numbers that one task of the merge adds up in each slot.
constexpr Index kMergeEntries = Index{1} << 16;

// Rows of S for each column of A.
constexpr Index kRowsMin = 4;
constexpr Index kRowsMax = 12;
// CountSketch: d^2 rows keep any subspace; fewer do where no row is heavy.
constexpr Index kCountSketchRowsMax = 32;
// What reading one entry of A twice costs, in flops of a QR.
constexpr double kPassFlops = 20.0;

// Scratch of tasks: as many as run at once.
class ScratchShelf {
 public:
  std::unique_ptr<SketchScratch> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Room for every one that is out, so that giving back cannot throw.
    if (free_.empty()) {
      free_.reserve(++made_);
      return std::make_unique<SketchScratch>();
    }
    std::unique_ptr<SketchScratch> scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void GiveBack(std::unique_ptr<SketchScratch> scratch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::size_t made_ = 0;
  std::vector<std::unique_ptr<SketchScratch>> free_;
};

// S A of one matrix.
template <class Source>
class SketchRun {
 public:
  SketchRun(const RandomSketch& sketch, const SketchCut& cut, Index s,
            const Source& a)
      : sketch_(sketch), cut_(cut), s_(s), a_(a) {}

  absl::StatusOr<Matrix<double>> Run(const ComputeContext& context) {
    for (Index slot = 0; slot < cut_.slots; ++slot) {
      slots_.push_back(Matrix<double>::Unset(s_, a_.cols()));
    }
    context.workers.ParallelFor(
        cut_.slots * cut_.groups * cut_.tiles, context.stop,
        [&](Index task) { RunTask(task, context.stop); });
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    const Index chunk = std::max<Index>(1, kMergeEntries / a_.cols());
    context.workers.ParallelFor(
        (s_ + chunk - 1) / chunk, context.stop, [&](Index task) {
          for (Index i = task * chunk; i < std::min(s_, (task + 1) * chunk);
               ++i) {
            MergeRow(i);
          }
        });
    if (absl::Status s = CheckStop(context.stop); !s.ok()) return s;
    return std::move(slots_.front());
  }

 private:
  static IndexRange Part(Index size, Index part, Index parts) {
    return {part * size / parts, (part + 1) * size / parts};
  }

  void RunTask(Index task, const StopToken& stop) {
    const Index tile_at = task % cut_.tiles;
    const Index group = task / cut_.tiles % cut_.groups;
    const Index slot = task / cut_.tiles / cut_.groups;
    // Whole blocks.
    const Index blocks = (a_.rows() + cut_.block_rows - 1) / cut_.block_rows;
    const IndexRange part = Part(blocks, slot, cut_.slots);
    const IndexRange rows{part.begin * cut_.block_rows,
                          std::min(a_.rows(), part.end * cut_.block_rows)};
    const IndexRange columns = Part(a_.cols(), group, cut_.groups);
    const IndexRange tile = Part(s_, tile_at, cut_.tiles);
    const Block<double> sums =
        BlockOf(slots_[static_cast<std::size_t>(slot)])
            .Part(tile.begin, columns.begin, tile.size(), columns.size());
    for (Index i = 0; i < sums.rows; ++i) {
      std::fill_n(sums.row(i), sums.cols, 0.0);
    }
    std::unique_ptr<SketchScratch> scratch = shelf_.Take();
    for (Index row = rows.begin; row < rows.end;) {
      // ParallelFor has looked before the first block.
      if (row != rows.begin && stop.stop_requested()) break;
      row = AddBlock({row, rows.end}, columns, tile, sums, *scratch);
    }
    shelf_.GiveBack(std::move(scratch));
  }

  // The next block of `rows`; where it ends.
  Index AddBlock(IndexRange rows, IndexRange columns, IndexRange tile,
                 Block<double> sums, SketchScratch& scratch) const {
    if constexpr (std::is_same_v<Source, SparseRows>) {
      const Index count = SparseRowsOfBlock(rows);
      sketch_.AddCsr(a_.Load(rows.begin, count, scratch.rows), tile, sums,
                     scratch);
      return rows.begin + count;
    } else {
      const Index end = std::min(rows.end, rows.begin + cut_.block_rows);
      sketch_.AddDense(a_, {rows.begin, end}, columns, tile, sums, scratch);
      return end;
    }
  }

  // At most block_rows of `rows` and block_entries entries, but one row at the
  // least.
  Index SparseRowsOfBlock(
      IndexRange rows) const requires std::is_same_v<Source, SparseRows> {
    const std::int64_t* const first = a_.offsets() + rows.begin;
    const Index most = std::min(cut_.block_rows, rows.size());
    const std::int64_t* const past = std::upper_bound(
        first + 1, first + most + 1, *first + cut_.block_entries);
    return std::max<Index>(past - 1 - first, 1);
  }

  // Row i of all slots into that of slot 0, by a binary tree, and its weight.
  void MergeRow(Index i) {
    const Index d = a_.cols();
    for (std::size_t step = 1; step < slots_.size(); step *= 2) {
      for (std::size_t to = 0; to + step < slots_.size(); to += 2 * step) {
        double* const sum = slots_[to].row(i);
        const double* const term = slots_[to + step].row(i);
        for (Index c = 0; c < d; ++c) sum[c] += term[c];
      }
    }
    const double weight = sketch_.Weight(i);
    double* const row = slots_.front().row(i);
    for (Index c = 0; c < d; ++c) row[c] *= weight;
  }

  const RandomSketch& sketch_;
  const SketchCut cut_;
  const Index s_;
  const Source& a_;
  std::vector<Matrix<double>> slots_;
  ScratchShelf shelf_;
};

// Rows of S by what solving with it costs: a QR of S A, and passes over A until
// u is reached, each smaller by sqrt(d / s).
Index RowsByCost(Index d, double nonzeros) {
  const auto columns = static_cast<double>(d);
  Index best = kRowsMin;
  double least = std::numeric_limits<double>::infinity();
  for (Index m = kRowsMin; m <= kRowsMax; ++m) {
    const auto ratio = static_cast<double>(m);
    const double passes = 2.0 * 53.0 * std::log(2.0) / std::log(ratio);
    const double cost = 2.0 * ratio * columns * columns * columns +
                        kPassFlops * nonzeros * passes;
    if (cost < least) {
      least = cost;
      best = m;
    }
  }
  return best * d;
}

double BytesOfCut(const SketchCut& cut, Index s, Index d, int workers) {
  const Index tasks = cut.slots * cut.groups * cut.tiles;
  return 8.0 * static_cast<double>(cut.slots) * static_cast<double>(s) *
             static_cast<double>(d) +
         static_cast<double>(std::min<Index>(workers, tasks)) * cut.scratch +
         65536.0;
}

}  // namespace

Index SketchSlots(Index n, Index s, Index d) {
  return std::clamp<Index>(std::min(kSlotEntries / (s * d), n / (2 * s)), 1,
                           kSlotsMax);
}

StripBlock<double> StripsOf(Index rows, Index cols, SketchScratch& scratch) {
  const StripBlock<double> strips{nullptr, StripRows(rows),
                                  StripsFor<double>(cols)};
  const Index size = StripSize<double>(strips.rows, strips.strips);
  if (static_cast<Index>(scratch.rows.size()) < size) {
    scratch.rows.resize(static_cast<std::size_t>(size));
  }
  return {scratch.rows.data(), strips.rows, strips.strips};
}

double BytesOfStrips(Index rows, Index cols) {
  return 8.0 * static_cast<double>(
                   StripSize<double>(StripRows(rows), StripsFor<double>(cols)));
}

std::unique_ptr<RandomSketch> DrawSketch(const SketchPlan& plan, Index n) {
  switch (plan.kind) {
    case SketchKind::kGaussian:
      return std::make_unique<GaussianSketch>(plan.rows, plan.seed);
    case SketchKind::kSrht:
      return std::make_unique<HadamardSketch>(n, plan.rows, plan.seed);
    case SketchKind::kCountSketch:
      return std::make_unique<SparseSketch>(plan.rows, 1, plan.seed);
    case SketchKind::kSparseSign:
      return std::make_unique<SparseSketch>(plan.rows, kSparseSignEntries,
                                            plan.seed);
  }
  return nullptr;
}

const char* NameOf(SketchKind kind) {
  switch (kind) {
    case SketchKind::kGaussian:
      return "Gaussian";
    case SketchKind::kSrht:
      return "SRHT";
    case SketchKind::kCountSketch:
      return "CountSketch";
    case SketchKind::kSparseSign:
      return "sparse sign";
  }
  return "";
}

bool CanSketch(SketchKind kind, const DenseOrCsr& a) {
  return kind != SketchKind::kSrht || std::holds_alternative<AnyMatrixView>(a);
}

SketchPlan SketchFor(const DenseOrCsr& a, const SketchOptions& options,
                     Seed seed) {
  return SketchFor(Rows(a), Cols(a), Nonzeros(a), options, seed);
}

SketchPlan SketchFor(Index n, Index d, Index nonzeros,
                     const SketchOptions& options, Seed seed) {
  SketchPlan plan{.kind = options.kind.value_or(SketchKind::kSparseSign),
                  .seed = seed};
  Index rows = RowsByCost(d, static_cast<double>(nonzeros));
  if (plan.kind == SketchKind::kCountSketch) {
    rows = std::clamp(d * d, kRowsMax * d, kCountSketchRowsMax * d);
  }
  plan.rows = options.rows.value_or(std::min(n, rows));
  return plan;
}

absl::StatusOr<Matrix<double>> ApplySketch(const SketchPlan& plan,
                                           const DenseOrCsr& a,
                                           const std::vector<int>& exponents,
                                           const ComputeContext& context) {
  if (!CanSketch(plan.kind, a)) {
    return ErrorWithDetail(
        absl::StatusCode::kInvalidArgument,
        "sketch.kind is SRHT, and a is sparse: it would be made dense",
        {.reason = "CONFLICTING_FIELDS",
         .field = "sketch.kind",
         .metadata = {}});
  }
  const Index n = Rows(a);
  const Index d = Cols(a);
  const std::unique_ptr<RandomSketch> sketch = DrawSketch(plan, n);
  if (const auto* const csr = std::get_if<AnyCsrView>(&a)) {
    const SparseRows rows(*csr, exponents);
    const SketchCut cut = sketch->CutOfCsr(n, d, Nonzeros(*csr));
    return SketchRun<SparseRows>(*sketch, cut, plan.rows, rows).Run(context);
  }
  const RowLoader rows(std::get<AnyMatrixView>(a), exponents);
  const SketchCut cut = sketch->CutOfDense(n, d);
  return SketchRun<RowLoader>(*sketch, cut, plan.rows, rows).Run(context);
}

Cost CostOfSketch(const SketchPlan& plan, Index n, Index d, Index nonzeros,
                  int workers) {
  const std::unique_ptr<RandomSketch> sketch = DrawSketch(plan, n);
  const SketchCut dense = sketch->CutOfDense(n, d);
  Cost cost{.flops = sketch->Flops(n, d, nonzeros),
            .bytes = BytesOfCut(dense, plan.rows, d, workers)};
  if (plan.kind != SketchKind::kSrht) {
    const SketchCut csr = sketch->CutOfCsr(n, d, nonzeros);
    cost.bytes = std::max(cost.bytes, BytesOfCut(csr, plan.rows, d, workers));
  }
  return cost;
}

}  // namespace steelyard
