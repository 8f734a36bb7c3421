#include "softmax/softmax_pages.h"

#include <algorithm>
#include <cmath>

#include "factor/factor.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "softmax/page_kernel.h"
#include "softmax/page_order.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// A segment's rows are ordered by one task: at most so many numbers (16 MiB of
// float64 a worker) and keys (so that a median takes below a millisecond).
constexpr Index kSegmentNumbers = Index{1} << 21;
constexpr Index kSegmentPages = 512;
// Causal queries see parts of pages that mix positions; few pages lie across
// the end of what a query sees when segments are short.
constexpr Index kCausalSegmentPages = 32;
// Fewer queries of a key head than this do not pay for finding pages.
constexpr Index kWorthOrdering = 64;

Index SegmentKeys(Index d, bool causal) {
  const Index most = causal ? kCausalSegmentPages : kSegmentPages;
  return kPageKeys *
         std::clamp<Index>(kSegmentNumbers / d / kPageKeys, 1, most);
}

// Rows of one segment, its order found, go to their pages.
class SegmentWriter {
 public:
  SegmentWriter(Index first, Block<const double> rows, SoftmaxPages *pages)
      : first_(first), rows_(rows), pages_(pages) {}

  void Write(const std::vector<Index> &order, absl::Span<const Index> labels,
             Index page_in_segment) {
    const Index begin = page_in_segment * kPageKeys;
    const Index count = std::min(kPageKeys, rows_.rows - begin);
    const Index page = (first_ + begin) / kPageKeys;
    const Index d = rows_.cols;
    for (Index l = 0; l < count; ++l) {
      const Index row = order[static_cast<std::size_t>(begin + l)];
      const auto global = static_cast<std::size_t>(first_ + row);
      pages_->labels[static_cast<std::size_t>(first_ + begin + l)] =
          labels.empty() ? first_ + row : labels[global];
      local_[l] = rows_.row(row);
    }
    Copy(page, count);
    Bound(page, count, d);
  }

  // Of the pages written.
  double LargestNorm() const { return largest_norm_; }

 private:
  void Copy(Index page, Index count) {
    const Index d = rows_.cols;
    const bool wide = !pages_->wide.empty();
    for (Index c = 0; c < d; ++c) {
      for (Index l = 0; l < kPageKeys; ++l) {
        const double k = l < count ? local_[l][c] : 0.0;
        if (wide) {
          pages_->wide(page, c * kPageKeys + l) = k;
        } else {  // exact: that is where it came from
          pages_->narrow(page, c * kPageKeys + l) = static_cast<float>(k);
        }
      }
    }
  }

  void Bound(Index page, Index count, Index d) {
    double *mean = pages_->means.row(page);
    double *low = pages_->lows.row(page);
    double *high = pages_->highs.row(page);
    double box = 0.0;
    for (Index c = 0; c < d; ++c) {
      low[c] = high[c] = local_[0][c];
      double sum = 0.0;
      for (Index l = 0; l < count; ++l) {
        const double k = local_[l][c];
        low[c] = std::min(low[c], k);
        high[c] = std::max(high[c], k);
        sum += k;
      }
      mean[c] = sum / static_cast<double>(count);
      const double most = std::max(std::abs(low[c]), std::abs(high[c]));
      box += most * most;
    }
    double radius = 0.0;
    for (Index l = 0; l < count; ++l) {
      double square = 0.0;
      for (Index c = 0; c < d; ++c) {
        const double t = local_[l][c] - mean[c];
        square += t * t;
      }
      radius = std::max(radius, square);
    }
    // Up: d squares of once rounded differences, their sum, a root.
    const double up = 1.0 + (static_cast<double>(d) + 8.0) * kUnitRoundoff;
    pages_->radii[static_cast<std::size_t>(page)] = std::sqrt(radius) * up;
    largest_norm_ = std::max(largest_norm_, std::sqrt(box) * up);
  }

 private:
  const Index first_;
  const Block<const double> rows_;
  SoftmaxPages *pages_;
  const double *local_[kPageKeys] = {};
  double largest_norm_ = 0.0;
};

SoftmaxPages Allocated(const AnyMatrixView &keys) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  const Index pages = (n + kPageKeys - 1) / kPageKeys;
  SoftmaxPages result;
  result.keys = n;
  result.columns = d;
  if (std::holds_alternative<MatrixView<double>>(keys)) {
    result.wide = Matrix<double>::Unset(pages, d * kPageKeys);
  } else {
    result.narrow = Matrix<float>::Unset(pages, d * kPageKeys);
  }
  result.labels.resize(static_cast<std::size_t>(n));
  result.means = Matrix<double>::Unset(pages, d);
  result.lows = Matrix<double>::Unset(pages, d);
  result.highs = Matrix<double>::Unset(pages, d);
  result.radii.resize(static_cast<std::size_t>(pages));
  return result;
}

}  // namespace

Index SoftmaxPages::Count(Index page) const {
  return std::min(kPageKeys, keys - page * kPageKeys);
}

Index SoftmaxPages::CountUpTo(Index page, Index last) const {
  const auto begin = labels.begin() + page * kPageKeys;
  const auto end = begin + Count(page);
  return std::upper_bound(begin, end, last) - begin;
}

absl::StatusOr<SoftmaxPages> MakeSoftmaxPages(
    const AnyMatrixView &keys, absl::Span<const Index> labels,
    const SoftmaxIndexOptions &options, const ComputeContext &context) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  SoftmaxPages pages = Allocated(keys);
  if (!pages.wide.empty()) {
    // No product of entries may overflow: columns to norm 1.
    absl::StatusOr<ColumnScales> scales = ScanColumns(keys, "keys", context);
    if (!scales.ok()) return scales.status();
    pages.exponents = std::move(scales->exponents);
  }
  const Index segment = SegmentKeys(d, options.causal);
  const Index segments = (n + segment - 1) / segment;
  std::vector<double> norms(static_cast<std::size_t>(segments));
  ScratchPool pool(std::min(segment, n) * d);
  context.workers.ParallelFor(segments, context.stop, [&](Index task) {
    const Index first = task * segment;
    const Index count = std::min(segment, n - first);
    ScratchPool::Lease work = pool.Borrow();
    const Block<double> rows{work.data(), count, d, d};
    LoadScaledRows(keys, first, count, pages.exponents, rows.data);
    std::vector<Index> order(static_cast<std::size_t>(count));
    if (options.expected_queries >= kWorthOrdering) {
      order = OrderIntoPages(rows, context.stop);
    } else {
      for (Index i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
    }
    SegmentWriter writer(first, rows, &pages);
    for (Index p = 0; p * kPageKeys < count; ++p) {
      if (context.stop.stop_requested()) return;
      writer.Write(order, labels, p);
    }
    norms[static_cast<std::size_t>(task)] = writer.LargestNorm();
  });
  const absl::Status stopped = CheckStop(context.stop);
  if (!stopped.ok()) return stopped;
  pages.largest_norm = *std::max_element(norms.begin(), norms.end());
  return pages;
}

}  // namespace steelyard
