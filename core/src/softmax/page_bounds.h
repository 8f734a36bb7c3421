// A block of queries, brought to the keys' scale, and what bounds its logits on
// every page.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "softmax/softmax_pages.h"
#include "steelyard/matrix.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// Queries [first, first + count) of one head.
struct QueryRange {
  const AnyMatrixView& queries;
  Index first = 0;
  Index count = 0;
  // Of the whole head: the last key that each query sees. Empty: all keys.
  absl::Span<const Index> positions = {};
};

struct PageBounds {
  // count x d: scaled so that <q', k'> = scale <q, k> for the keys k' that the
  // pages hold.
  Matrix<double> scaled;
  std::vector<double> norms;         // of its rows, rounded up
  std::vector<double> logit_errors;  // of every computed logit
  // Of <q', mean>: log_mass lies below |P| exp <q', mean> by at most twice
  // that.
  std::vector<double> mean_errors;
  // count x pages: no key of the page has a logit above it; -infinity where the
  // query sees no key of the page.
  Matrix<double> upper;
  // count x pages: the log of no more than what the page's keys add to Z;
  // -infinity where the query does not see the whole page.
  Matrix<double> log_mass;
};

// How many queries are bounded at once: a function of the sizes alone.
Index QueryBlockRows(Index pages);

// ln of no less than what the closed pages of query i, those with a finite
// `upper`, add to Z. With s = <q', mean> and R = ||q'|| radius,
//     sum_P e^<q', k> <= |P| e^s (1 + b (e^R - 1 - R)),   b = spread,
// as e^x - 1 - x <= (x / R)^2 (e^R - 1 - R) for x <= R (Bennett) and the mean
// of x^2 = <q', k - mean>^2 is at most b R^2. `about`: ln Z, roughly.
double LogOfClosedMass(const SoftmaxPages& pages, const PageBounds& bounds,
                       Index i, double about);

// COST  3 d flops a page and query, as GEMMs. A stop leaves numbers without
// meaning.
PageBounds BoundPages(const SoftmaxPages& pages, double scale,
                      const QueryRange& range, const StopToken& stop);

}  // namespace steelyard
