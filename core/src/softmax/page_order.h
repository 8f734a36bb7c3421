// Which keys share a page: keys that lie close together, so that one bound
// speaks for all of them.
//
// METHOD  Halve the keys at the median along a direction of large spread
//   (power steps of the covariance of a sample, from the key farthest from
//   their mean) until one page is left. No random choice.
#pragma once

#include <vector>

#include "linalg/block.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// order[i] is the row of `keys` at place i; places [p kPageKeys, (p + 1)
// kPageKeys) are page p, its rows ascending. All pages but the last are full.
// COST   about 4 d flops a key and level, and 12 d a key on the last levels.
// A stop leaves some order.
std::vector<Index> OrderIntoPages(Block<const double> keys,
                                  const StopToken &stop);

}  // namespace steelyard
