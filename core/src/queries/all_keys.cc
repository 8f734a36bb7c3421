#include "queries/all_keys.h"

#include <algorithm>
#include <cmath>

#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

// Blocks of queries in flight: what is kept between the passes is theirs.
constexpr Index kBlocksAtOnce = 16;
constexpr Index kSlotKeys = 4096;
constexpr Index kSlotsMax = 16;

std::size_t At(Index index) { return static_cast<std::size_t>(index); }

// One block of queries of one head, and what is known of it between passes.
struct QueryTask {
  const AnyMatrixView* queries;
  const AnyMatrixView* keys;
  const std::vector<int>* exponents;
  Index first;                      // query
  HeavyRow* rows;                   // of the head
  std::vector<PowerSums> sums;      // slots x kQueryBlock; merged in slot 0
  std::vector<double> bounds;       // blocks of keys x kQueryBlock
  std::vector<HeavyRow> slot_rows;  // slots x kQueryBlock
};

class Pass {
 public:
  Pass(std::vector<PowerTerm> terms, const HeavyOptions& options, Index d,
       const ComputeContext& context)
      : terms_(std::move(terms)),
        options_(options),
        d_(d),
        context_(context),
        pool_(kQueryBlock * d + ProductScratch(d)) {}

  absl::Status Run(std::vector<QueryTask>* tasks) {
    for (QueryTask& task : *tasks) Prepare(&task);
    ForEachSlot(tasks, [&](QueryTask* task, Index slot, double* work) {
      SumSlot(task, slot, work);
    });
    context_.workers.ParallelFor(
        static_cast<Index>(tasks->size()), context_.stop,
        [&](Index task) { MergeSums(&(*tasks)[At(task)]); });
    ForEachSlot(tasks, [&](QueryTask* task, Index slot, double* work) {
      FindInSlot(task, slot, work);
    });
    const absl::Status stopped = CheckStop(context_.stop);
    if (!stopped.ok()) return stopped;
    for (QueryTask& task : *tasks) Finish(&task);
    return absl::OkStatus();
  }

 private:
  template <typename Body>
  void ForEachSlot(std::vector<QueryTask>* tasks, const Body& body) {
    // Heads may differ in length, and so in slots.
    std::vector<std::pair<QueryTask*, Index>> all;
    for (QueryTask& task : *tasks) {
      const Index count = KeySlots(Rows(*task.keys)).count;
      for (Index slot = 0; slot < count; ++slot) all.push_back({&task, slot});
    }
    context_.workers.ParallelFor(
        static_cast<Index>(all.size()), context_.stop, [&](Index at) {
          ScratchPool::Lease work = pool_.Borrow();
          body(all[At(at)].first, all[At(at)].second, work.data());
        });
  }

  Visibility VisibilityOf(const QueryTask& task) const {
    return {Rows(*task.keys), options_.causal ? &options_.positions : nullptr};
  }

  void Prepare(QueryTask* task) const {
    const Index n = Rows(*task->keys);
    const Index slots = KeySlots(n).count;
    const Index blocks = (n + kKeyBlock - 1) / kKeyBlock;
    task->sums.assign(At(slots * kQueryBlock), {});
    task->bounds.assign(At(blocks * kQueryBlock), 0.0);
    task->slot_rows.assign(At(slots * kQueryBlock), {});
  }

  void SumSlot(QueryTask* task, Index slot, double* work) const {
    const QueryBlock block =
        LoadQueries(*task->queries, task->first, *task->exponents, work);
    const Index n = Rows(*task->keys);
    const KeySlots slots(n);
    const ScoredKeys keys(*task->keys, *task->exponents, nullptr);
    SumVisible(terms_, keys, slot * slots.size,
               std::min(n, (slot + 1) * slots.size), block, d_,
               VisibilityOf(*task), context_.stop, work + kQueryBlock * d_,
               task->sums.data() + slot * kQueryBlock, task->bounds.data());
  }

  void MergeSums(QueryTask* task) const {
    const Index slots = KeySlots(Rows(*task->keys)).count;
    for (Index slot = 1; slot < slots; ++slot) {
      for (Index i = 0; i < kQueryBlock; ++i) {
        MergePowers(terms_, task->sums[At(slot * kQueryBlock + i)],
                    &task->sums[At(i)]);
      }
    }
  }

  // Z <= (4 d u ||K|| ||q||)^2 by the squares of the keys that are seen.
  bool Undefined(const PowerSums& sums, double query_norm) const {
    const double z = std::ldexp(sums.squares(terms_), 2 * sums.shift);
    return IsUndefined(z, query_norm, std::sqrt(sums.key_square), d_);
  }

  void FindInSlot(QueryTask* task, Index slot, double* work) const;
  void Finish(QueryTask* task) const;

  const std::vector<PowerTerm> terms_;
  const HeavyOptions& options_;
  const Index d_;
  const ComputeContext& context_;
  ScratchPool pool_;
};

void Pass::FindInSlot(QueryTask* task, Index slot, double* work) const {
  const QueryBlock block =
      LoadQueries(*task->queries, task->first, *task->exponents, work);
  const Visibility visibility = VisibilityOf(*task);
  const Index n = Rows(*task->keys);
  const KeySlots slots(n);
  const ScoredKeys keys(*task->keys, *task->exponents, nullptr);
  HeavyRow* rows = task->slot_rows.data() + slot * kQueryBlock;
  std::vector<ScaledFunction> functions;
  std::vector<SumOfScores> totals;
  for (Index i = 0; i < block.count; ++i) {
    const PowerSums& sums = task->sums[At(i)];
    functions.emplace_back(terms_, block.exponents[i], sums.shift);
    totals.push_back(
        ScoresOf(sums, functions.back(), ProductRounding(d_) * block.norms[i]));
    if (Undefined(sums, block.norms[i])) totals.back().value = 0.0;
  }
  // f of an upper end, rounding included.
  const auto upper = [&](Index i, double t) {
    return functions[At(i)](t) * (1.0 + functions[At(i)].roundoff());
  };
  const auto reaches = [&](Index i, double t) {
    const SumOfScores& total = totals[At(i)];
    // Beyond float64 `upper` may be no number at all: then nothing is excluded.
    return total.value > 0.0 &&
           !(upper(i, t) < options_.epsilon * total.interval.lower);
  };
  const Index last = std::min(n, (slot + 1) * slots.size);
  for (Index first = slot * slots.size; first < last; first += kKeyBlock) {
    const double* bounds =
        task->bounds.data() + first / kKeyBlock * kQueryBlock;
    bool wanted[kQueryBlock];
    bool any = false;
    for (Index i = 0; i < block.count; ++i) {
      wanted[i] = bounds[i] > 0.0 && reaches(i, bounds[i]);
      any = any || wanted[i];
    }
    if (!any) continue;
    ForEachProduct(
        keys, first, std::min(last, first + kKeyBlock), block, d_,
        context_.stop, work + kQueryBlock * d_,
        [&](const ProductBlock& products) {
          for (Index i = 0; i < block.count; ++i) {
            if (!wanted[i]) continue;
            const double rounding = ProductRounding(d_) * block.norms[i];
            const Index count =
                std::min(products.count,
                         visibility.Of(block.first + i) - products.first);
            for (Index u = 0; u < count; ++u) {
              const double t = std::abs(products.product(i, u));
              const double end = t + rounding * products.key_norms[u];
              if (end == 0.0 || !reaches(i, end)) continue;
              const double score = functions[At(i)](t) / totals[At(i)].value;
              rows[i].indices.push_back(products.first + u);
              rows[i].scores.push_back(std::min(1.0, score));
            }
          }
        });
  }
}

void Pass::Finish(QueryTask* task) const {
  AlignedVector<double> scaled(At(kQueryBlock * d_));
  const QueryBlock block =
      LoadQueries(*task->queries, task->first, *task->exponents, scaled.data());
  const Index slots = KeySlots(Rows(*task->keys)).count;
  for (Index i = 0; i < block.count; ++i) {
    HeavyRow& row = task->rows[block.first + i];
    const PowerSums& sums = task->sums[At(i)];
    row.undefined = Undefined(sums, block.norms[i]);
    if (row.undefined) continue;
    const ScaledFunction function(terms_, block.exponents[i], sums.shift);
    const double z = ScoresOf(sums, function, 0.0).value;
    SetNormalizer(z, function.exponent(), &row);
    for (Index slot = 0; slot < slots; ++slot) {
      const HeavyRow& part = task->slot_rows[At(slot * kQueryBlock + i)];
      row.indices.insert(row.indices.end(), part.indices.begin(),
                         part.indices.end());
      row.scores.insert(row.scores.end(), part.scores.begin(),
                        part.scores.end());
    }
    for (const double score : row.scores) row.captured_mass += score;
    row.captured_mass = std::min(1.0, row.captured_mass);
  }
}

}  // namespace

Index Visibility::OfBlock(const QueryBlock& block) const {
  Index most = 0;
  for (Index i = 0; i < block.count; ++i) {
    most = std::max(most, Of(block.first + i));
  }
  return most;
}

KeySlots::KeySlots(Index n)
    : count(std::clamp<Index>(n / kSlotKeys, 1, kSlotsMax)) {
  const Index blocks = (n + kKeyBlock - 1) / kKeyBlock;
  size = (blocks + count - 1) / count * kKeyBlock;
}

void SumVisible(const std::vector<PowerTerm>& terms, const ScoredKeys& keys,
                Index first, Index last, const QueryBlock& block, Index d,
                const Visibility& visibility, const StopToken& stop,
                double* work, PowerSums* sums, double* bounds) {
  const double rounding = ProductRounding(d);
  ForEachProduct(keys, first, std::min(last, visibility.OfBlock(block)), block,
                 d, stop, work, [&](const ProductBlock& products) {
                   for (Index i = 0; i < block.count; ++i) {
                     const Index count = std::min(
                         products.count,
                         visibility.Of(block.first + i) - products.first);
                     if (count <= 0) continue;
                     const double* t = products.products + i * products.count;
                     AddPowers(terms, t, products.key_norms, count, &sums[i]);
                     if (bounds == nullptr) continue;
                     // Of visible keys: others may be longer by any factor.
                     double largest = 0.0;
                     double longest = 0.0;
                     for (Index u = 0; u < count; ++u) {
                       largest = std::max(largest, std::abs(t[u]));
                       longest = std::max(longest, products.key_norms[u]);
                     }
                     bounds[products.first / kKeyBlock * kQueryBlock + i] =
                         largest + rounding * block.norms[i] * longest;
                   }
                 });
}

absl::StatusOr<std::vector<HeavyRow>> FindHeavyByAllKeys(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const auto key_count = static_cast<Index>(key_heads.size());
  const auto query_count = static_cast<Index>(query_heads.size());
  const Index m = Rows(query_heads.front());
  absl::StatusOr<std::vector<ColumnScales>> scales = ForEachHead<ColumnScales>(
      key_count, context, [&](Index h, const ComputeContext& quiet) {
        const AnyMatrixView& keys = key_heads[At(h)];
        return ScanColumns(keys, "keys", quiet, RowsBefore(key_heads, h));
      });
  if (!scales.ok()) return scales.status();

  std::vector<HeavyRow> rows(At(query_count * m));
  const Index blocks = (m + kQueryBlock - 1) / kQueryBlock;
  Pass pass(TermsOf(options.function), options, Cols(query_heads.front()),
            context);
  std::vector<QueryTask> tasks;
  for (Index task = 0; task < query_count * blocks; ++task) {
    const Index g = task / blocks;
    const Index h = g * key_count / query_count;
    tasks.push_back({&query_heads[At(g)],
                     &key_heads[At(h)],
                     &(*scales)[At(h)].exponents,
                     (task % blocks) * kQueryBlock,
                     rows.data() + g * m,
                     {},
                     {},
                     {}});
    const bool full = static_cast<Index>(tasks.size()) == kBlocksAtOnce;
    if (!full && task + 1 < query_count * blocks) continue;
    const absl::Status done = pass.Run(&tasks);
    if (!done.ok()) return done;
    tasks.clear();
  }
  return rows;
}

Cost CostOfAllKeys(Index key_heads, Index n, Index d, Index query_heads,
                   Index m, int workers) {
  const auto keys = static_cast<double>(n);
  const auto columns = static_cast<double>(d);
  const auto queries = static_cast<double>(query_heads * m);
  const double in_flight =
      std::min(static_cast<double>(kBlocksAtOnce),
               static_cast<double>(query_heads * (m / kQueryBlock + 1)));
  const double slots = static_cast<double>(KeySlots(n).count);
  // Between the passes: sums and rows of every slot, bounds of every block.
  const double kept = static_cast<double>(kQueryBlock) *
                      (slots * (sizeof(PowerSums) + sizeof(HeavyRow)) +
                       8.0 * (keys / static_cast<double>(kKeyBlock) + 1.0));
  const double scratch =
      8.0 * static_cast<double>(kQueryBlock * d + ProductScratch(d)) *
      static_cast<double>(workers + 1);
  return {.flops = 4.0 * queries * keys * columns +
                   2.0 * static_cast<double>(key_heads) * keys * columns,
          .bytes = in_flight * kept + scratch + 65536.0 +
                   static_cast<double>(key_heads) * 4.0 * columns};
}

}  // namespace steelyard
