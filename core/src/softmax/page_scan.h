// Opens pages for a block of queries until every score >= epsilon is proven to
// be found, and a little longer where that decides keys cheaply.
//
// SOURCE  NUMERICS N7; softmax_index.h tells the method.
#pragma once

#include "softmax/page_bounds.h"
#include "softmax/softmax_pages.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// rows[0 .. range.count) := the heavy keys of the queries. A stop leaves rows
// without meaning: the caller looks, too.
void ScanPages(const SoftmaxPages& pages, double scale, double epsilon,
               const QueryRange& range, const StopToken& stop, HeavyRow* rows);

}  // namespace steelyard
