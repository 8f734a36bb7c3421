#include "softmax/softmax_pages.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "factor/factor.h"
#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "softmax/page_kernel.h"
#include "softmax/page_order.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
// Keys are ordered by segments, one after the other: at most so many numbers
// (128 MiB of float64) and keys (so that a median takes some milliseconds).
constexpr Index kSegmentNumbers = Index{1} << 24;
constexpr Index kSegmentKeys = Index{1} << 18;
// Causal queries see parts of pages that mix positions; few pages lie across
// the end of what a query sees when segments are short.
constexpr Index kCausalSegmentKeys = 1024;
// Fewer queries of a key head than this do not pay for ordering.
constexpr Index kWorthOrdering = 64;
// Of numbers that one task loads or writes: below a millisecond.
constexpr Index kTaskNumbers = Index{1} << 18;

Index SegmentKeys(Index d, bool causal) {
  const Index most = causal ? kCausalSegmentKeys : kSegmentKeys;
  return std::clamp(kSegmentNumbers / d, kPageKeys, most);
}

// body(begin, end) over [0, count) in blocks of rows of d numbers.
template <typename Body>
absl::Status ForBlocks(Index count, Index d, const ComputeContext& context,
                       const Body& body) {
  const Index rows = std::clamp<Index>(kTaskNumbers / d, 1, count);
  context.workers.ParallelFor(
      (count + rows - 1) / rows, context.stop, [&](Index task) {
        body(task * rows, std::min(count, (task + 1) * rows));
      });
  return CheckStop(context.stop);
}

// Order of all keys, segment by segment.
absl::StatusOr<PageOrder> OrderAll(const AnyMatrixView& keys,
                                   const std::vector<int>& exponents,
                                   const SoftmaxIndexOptions& options,
                                   const ComputeContext& context) {
  const Index n = Rows(keys);
  const Index d = Cols(keys);
  if (options.expected_queries < kWorthOrdering) return NaturalPages(n);
  const Index segment = std::min(n, SegmentKeys(d, options.causal));
  auto rows = Matrix<double>::Unset(segment, d);
  PageOrder all;
  for (Index first = 0; first < n; first += segment) {
    const Index count = std::min(segment, n - first);
    const absl::Status loaded =
        ForBlocks(count, d, context, [&](Index begin, Index end) {
          LoadScaledRows(keys, first + begin, end - begin, exponents,
                         rows.row(begin));
        });
    if (!loaded.ok()) return loaded;
    PageOrder part =
        OrderIntoPages(BlockOf(rows).Part(0, 0, count, d), context);
    const absl::Status stopped = CheckStop(context.stop);
    if (!stopped.ok()) return stopped;
    part.begins.pop_back();
    for (const Index row : part.order) all.order.push_back(first + row);
    for (const Index begin : part.begins) all.begins.push_back(first + begin);
  }
  all.begins.push_back(n);
  return all;
}

// Writes one page after the other.
class PageWriter {
 public:
  PageWriter(const AnyMatrixView& keys, SoftmaxPages* pages)
      : keys_(keys),
        pages_(pages),
        rows_(Matrix<double>::Unset(kPageKeys, Cols(keys))),
        products_(kPageKeys, kPageKeys) {}

  // `rows` are the page's rows of the keys.
  void Write(Index page, const Index* rows) {
    const Index count = pages_->Count(page);
    for (Index l = 0; l < count; ++l) {
      LoadScaledRows(keys_, rows[l], 1, pages_->exponents, rows_.row(l));
    }
    Copy(page, count);
    Bound(page, count);
  }

  // Of the pages written.
  double LargestNorm() const { return largest_norm_; }

 private:
  void Copy(Index page, Index count) {
    const bool wide = !pages_->wide.empty();
    for (Index c = 0; c < rows_.cols(); ++c) {
      for (Index l = 0; l < kPageKeys; ++l) {
        const double k = l < count ? rows_(l, c) : 0.0;
        if (wide) {
          pages_->wide(page, c * kPageKeys + l) = k;
        } else {  // exact: that is where it came from
          pages_->narrow(page, c * kPageKeys + l) = static_cast<float>(k);
        }
      }
    }
  }

  void Bound(Index page, Index count) {
    const Index d = rows_.cols();
    double* mean = pages_->means.row(page);
    double* low = pages_->lows.row(page);
    double* high = pages_->highs.row(page);
    std::copy_n(rows_.row(0), d, mean);
    std::copy_n(rows_.row(0), d, low);
    std::copy_n(rows_.row(0), d, high);
    for (Index l = 1; l < count; ++l) {
      for (Index c = 0; c < d; ++c) {
        const double k = rows_(l, c);
        low[c] = std::min(low[c], k);
        high[c] = std::max(high[c], k);
        mean[c] += k;
      }
    }
    double box = 0.0;
    for (Index c = 0; c < d; ++c) {
      mean[c] /= static_cast<double>(count);
      const double most = std::max(std::abs(low[c]), std::abs(high[c]));
      box += most * most;
    }
    for (Index l = 0; l < count; ++l) {
      for (Index c = 0; c < d; ++c) rows_(l, c) -= mean[c];
    }
    const Block<const double> x = BlockOf(rows_).Part(0, 0, count, d);
    Gemm(1.0, x, Transposed(x), 0.0,
         BlockOf(products_).Part(0, 0, count, count));
    double radius = 0.0;
    for (Index l = 0; l < count; ++l) {
      radius = std::max(radius, products_(l, l));
    }
    // Up: d squares of once rounded differences, their sum, a root.
    const double up = 1.0 + (static_cast<double>(d) + 8.0) * kUnitRoundoff;
    pages_->radii[static_cast<std::size_t>(page)] = std::sqrt(radius) * up;
    pages_->spreads[static_cast<std::size_t>(page)] = Spread(count, radius);
    largest_norm_ = std::max(largest_norm_, std::sqrt(box) * up);
  }

  // The eigenvalues of the covariance X'X / count are those of XX' / count. Of
  // k numbers with mean a and mean square b, none exceeds
  //   a + sqrt((k - 1) (b - a^2))      (Samuelson).
  double Spread(Index count, double radius_square) const {
    if (radius_square == 0.0) return 0.0;
    double sum = 0.0;
    double squares = 0.0;
    for (Index i = 0; i < count; ++i) {
      sum += products_(i, i) / radius_square;
      for (Index j = 0; j < count; ++j) {
        const double x = products_(i, j) / radius_square;
        squares += x * x;
      }
    }
    const auto k = static_cast<double>(std::min(count, rows_.cols()));
    const double a = sum / k;
    const double b = squares / k;
    // Up, also where b - a^2 cancels.
    const double largest =
        a + std::sqrt((k - 1.0) * (std::max(0.0, b - a * a) + 0x1p-30 * b));
    return largest / static_cast<double>(count) * (1.0 + 0x1p-20);
  }

  const AnyMatrixView& keys_;
  SoftmaxPages* pages_;
  Matrix<double> rows_;
  Matrix<double> products_;
  double largest_norm_ = 0.0;
};

// Room for the pages of `order`; labels are filled in.
void Allocate(const AnyMatrixView& keys, absl::Span<const Index> labels,
              PageOrder order, SoftmaxPages* result) {
  const Index d = Cols(keys);
  const auto pages = static_cast<Index>(order.begins.size()) - 1;
  if (std::holds_alternative<MatrixView<double>>(keys)) {
    result->wide = Matrix<double>::Unset(pages, d * kPageKeys);
  } else {
    result->narrow = Matrix<float>::Unset(pages, d * kPageKeys);
  }
  result->means = Matrix<double>::Unset(pages, d);
  result->lows = Matrix<double>::Unset(pages, d);
  result->highs = Matrix<double>::Unset(pages, d);
  result->radii.resize(static_cast<std::size_t>(pages));
  result->spreads.resize(static_cast<std::size_t>(pages));
  result->begins = std::move(order.begins);
  for (Index& row : order.order) {
    if (!labels.empty()) row = labels[static_cast<std::size_t>(row)];
  }
  result->labels = std::move(order.order);
}

}  // namespace

Index SoftmaxPages::CountUpTo(Index page, Index last) const {
  const auto begin = labels.begin() + begins[static_cast<std::size_t>(page)];
  const auto end = begin + Count(page);
  return std::upper_bound(begin, end, last) - begin;
}

absl::StatusOr<SoftmaxPages> MakeSoftmaxPages(
    const AnyMatrixView& keys, absl::Span<const Index> labels,
    const SoftmaxIndexOptions& options, const ComputeContext& context) {
  SoftmaxPages pages;
  pages.keys = Rows(keys);
  pages.columns = Cols(keys);
  if (std::holds_alternative<MatrixView<double>>(keys)) {
    // No product of entries may overflow: columns to norm 1.
    absl::StatusOr<ColumnScales> scales = ScanColumns(keys, "keys", context);
    if (!scales.ok()) return scales.status();
    pages.exponents = std::move(scales->exponents);
  }
  absl::StatusOr<PageOrder> order =
      OrderAll(keys, pages.exponents, options, context);
  if (!order.ok()) return order.status();
  const std::vector<Index> rows = order->order;
  Allocate(keys, labels, *std::move(order), &pages);

  std::vector<double> norms(static_cast<std::size_t>(pages.pages()));
  const absl::Status written =
      ForBlocks(pages.pages(), pages.columns * kPageKeys, context,
                [&](Index begin, Index end) {
                  PageWriter writer(keys, &pages);
                  for (Index p = begin; p < end; ++p) {
                    const auto at = static_cast<std::size_t>(p);
                    writer.Write(p, rows.data() + pages.begins[at]);
                    norms[at] = writer.LargestNorm();
                  }
                });
  if (!written.ok()) return written;
  pages.largest_norm = *std::max_element(norms.begin(), norms.end());
  return pages;
}

}  // namespace steelyard
