#include "steelyard/softmax_index.h"

#include <algorithm>
#include <variant>

#include "factor/factor.h"
#include "linalg/stopped.h"
#include "softmax/page_bounds.h"
#include "softmax/page_kernel.h"
#include "softmax/page_scan.h"
#include "softmax/softmax_pages.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

// At the worst: twice as many as full pages.
double MostPages(Index n) {
  return 2.0 * static_cast<double>((n + kPageKeys - 1) / kPageKeys);
}

double BytesOfPages(double pages, Index n, Index d, bool wide) {
  const double copies = static_cast<double>(kPageKeys) * (wide ? 8.0 : 4.0);
  return pages * (static_cast<double>(d) * (copies + 3.0 * 8.0) + 24.0) +
         static_cast<double>(n) * 8.0;
}

}  // namespace

Index SoftmaxIndex::keys() const { return pages_->keys; }

Index SoftmaxIndex::columns() const { return pages_->columns; }

double SoftmaxIndex::bytes() const {
  return BytesOfPages(static_cast<double>(pages_->pages()), keys(), columns(),
                      !pages_->wide.empty());
}

absl::StatusOr<std::vector<SoftmaxIndex>> BuildSoftmaxIndexes(
    absl::Span<const AnyMatrixView> heads, const SoftmaxIndexOptions& options,
    const ComputeContext& context) {
  std::vector<Index> first_rows;
  Index rows = 0;
  for (const AnyMatrixView& head : heads) {
    first_rows.push_back(rows);
    rows += Rows(head);
  }
  return ForEachHead<SoftmaxIndex>(
      static_cast<Index>(heads.size()), context,
      [&](Index h,
          const ComputeContext& quiet) -> absl::StatusOr<SoftmaxIndex> {
        const auto at = static_cast<std::size_t>(h);
        const absl::Status finite =
            CheckFinite(heads[at], "keys", quiet, first_rows[at]);
        if (!finite.ok()) return finite;
        absl::StatusOr<SoftmaxPages> pages =
            MakeSoftmaxPages(heads[at], {}, options, quiet);
        if (!pages.ok()) return pages.status();
        return SoftmaxIndex(
            std::make_shared<const SoftmaxPages>(*std::move(pages)));
      });
}

absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const SoftmaxIndex> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const auto heads = static_cast<Index>(key_heads.size());
  const auto query_count = static_cast<Index>(query_heads.size());
  const Index m = Rows(query_heads.front());
  for (Index g = 0; g < query_count; ++g) {
    const absl::Status finite = CheckFinite(
        query_heads[static_cast<std::size_t>(g)], "queries", context, g * m);
    if (!finite.ok()) return finite;
  }
  // Blocks of queries side by side; how many a block holds depends on its head.
  struct Task {
    Index query_head;
    Index first;
    Index count;
  };
  std::vector<Task> tasks;
  const auto pages_of = [&](Index g) -> const SoftmaxPages& {
    return key_heads[static_cast<std::size_t>(g * heads / query_count)].pages();
  };
  for (Index g = 0; g < query_count; ++g) {
    const Index block = QueryBlockRows(pages_of(g).pages());
    for (Index i = 0; i < m; i += block) {
      tasks.push_back({g, i, std::min(block, m - i)});
    }
  }
  const double scale = std::get<Softmax>(options.function).scale;
  const absl::Span<const Index> positions =
      options.causal ? absl::MakeConstSpan(options.positions)
                     : absl::Span<const Index>();
  std::vector<HeavyRow> rows(static_cast<std::size_t>(query_count * m));
  context.workers.ParallelFor(
      static_cast<Index>(tasks.size()), context.stop, [&](Index t) {
        const Task& task = tasks[static_cast<std::size_t>(t)];
        const QueryRange range{
            query_heads[static_cast<std::size_t>(task.query_head)], task.first,
            task.count, positions};
        ScanPages(pages_of(task.query_head), scale, options.epsilon, range,
                  context.stop, rows.data() + task.query_head * m + task.first);
      });
  const absl::Status stopped = CheckStop(context.stop);
  if (!stopped.ok()) return stopped;
  return rows;
}

Cost CostOfSoftmaxIndex(Index heads, Index n, Index d, int workers) {
  const double count = static_cast<double>(heads);
  const double numbers = static_cast<double>(n) * static_cast<double>(d);
  // Heads are made side by side: a segment of float64 keys each, a page a
  // worker, and the order of the keys, some 64 bytes of it a key.
  const double at_once = std::min(count, static_cast<double>(workers));
  const double page = static_cast<double>(kPageKeys) * static_cast<double>(d);
  const double segment = std::min(numbers, std::max(0x1p24, page));
  return {.flops = 60.0 * count * numbers,
          .bytes = count * BytesOfPages(MostPages(n), n, d, true) +
                   at_once * (8.0 * segment + 64.0 * static_cast<double>(n)) +
                   8.0 * page * static_cast<double>(workers)};
}

Cost CostOfSoftmaxScores(Index n, Index d, Index query_heads, Index m,
                         double epsilon, int workers) {
  const double queries =
      static_cast<double>(query_heads) * static_cast<double>(m);
  const double pages = MostPages(n);
  const auto columns = static_cast<double>(d);
  const auto block = static_cast<double>(
      QueryBlockRows(static_cast<Index>(MostPages(n) / 2.0)));
  // An exponential counts as 32 flops. Scores of one query sum to 1.
  const double heavy = std::min(static_cast<double>(n), 2.0 / epsilon + 64.0);
  return {.flops = queries * (static_cast<double>(n) * (2.0 * columns + 32.0) +
                              pages * (6.0 * columns + 64.0)),
          .bytes = static_cast<double>(workers) * block *
                       (pages * (16.0 + 16.0) + 8.0 * (3.0 * columns + 32.0)) +
                   queries * (sizeof(HeavyRow) + 2.0 * 24.0 * heavy)};
}

}  // namespace steelyard
