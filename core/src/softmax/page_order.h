// Which keys share a page: keys that lie close together, so that one bound
// speaks for all of them.
//
// METHOD  Cut the keys in two along a direction of large spread (power steps of
//   the covariance of a sample, from the key farthest from their mean) until
//   one page is left: at the median, so that pages are full, or, in small
//   parts, between two groups that lie clearly apart. No random choice.
#pragma once

#include <vector>

#include "linalg/block.h"
#include "steelyard/compute_context.h"

namespace steelyard {

struct PageOrder {
  // order[i] is the row of the keys at place i.
  std::vector<Index> order;
  // Page p holds places begins[p] to begins[p + 1] - 1, at least one and at
  // most kPageKeys, their rows ascending.
  std::vector<Index> begins;
};

// At most twice as many pages as full pages would be.
// COST   about 4 d flops a key and level, and 12 d a key on the last levels.
// A stop leaves some order.
PageOrder OrderIntoPages(Block<const double> keys,
                         const ComputeContext& context);

// Rows stay where they are: full pages of neighbours.
PageOrder NaturalPages(Index keys);

}  // namespace steelyard
