// Keys in pages, with what bounds a page's logits.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "steelyard/compute_context.h"
#include "steelyard/matrix.h"
#include "steelyard/softmax_index.h"

namespace steelyard {

struct SoftmaxPages {
  Index keys = 0;
  Index columns = 0;
  // Column c of what is held is column c of the keys times 2^-exponents[c];
  // empty: the keys themselves, in `narrow`.
  std::vector<int> exponents;
  // Row p is page p: coordinate c of its keys is entries [c kPageKeys,
  // (c + 1) kPageKeys). One of the two is empty. The last page is filled with
  // 0.
  Matrix<float> narrow;
  Matrix<double> wide;
  // Of every key in page order, ascending in each page: its index. Page p has
  // those from begins[p] to begins[p + 1] - 1.
  std::vector<Index> labels;
  std::vector<Index> begins;
  // Of every page, rows of pages x d: the mean, the least and largest of each
  // coordinate (exact).
  Matrix<double> means;
  Matrix<double> lows;
  Matrix<double> highs;
  // At least the largest distance of a page's key from `means`.
  std::vector<double> radii;
  // At least the largest eigenvalue of the page's covariance over radius^2, at
  // most about 1: how much of the radius a direction uses on average.
  std::vector<double> spreads;
  // At least max over pages of || max_k |k_c| ||_c, so at least every ||k||.
  double largest_norm = 0.0;

  Index pages() const { return means.rows(); }
  // Keys on a page.
  Index Count(Index page) const {
    const auto at = static_cast<std::size_t>(page);
    return begins[at + 1] - begins[at];
  }
  // Of these, with a label of at most `last`: the first ones of the page.
  Index CountUpTo(Index page, Index last) const;
};

// `labels`: ascending, one a row of `keys`; empty: 0, 1, ...
// `keys` are finite.
absl::StatusOr<SoftmaxPages> MakeSoftmaxPages(
    const AnyMatrixView& keys, absl::Span<const Index> labels,
    const SoftmaxIndexOptions& options, const ComputeContext& context);

}  // namespace steelyard
