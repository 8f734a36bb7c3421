// What a power regression costs by the extents of A, dense or sparse.
#pragma once

#include "steelyard/cost.h"
#include "steelyard/power_regression.h"

namespace steelyard {

// Of the scan and of the way to R, whichever the ladder takes or options.method
// asks for; one SVD of R and the Factor itself included.
Cost CostOfFactor(const PowerShape& shape,
                  const PowerRegressionOptions& options, int workers);

// What kSketch adds to the levels of shape.k columns, `slice` at a time: the
// iteration of every solve (sketched_least_squares.h). Nothing for other
// methods.
Cost CostOfIteration(const PowerShape& shape,
                     const PowerRegressionOptions& options, Index slice);

// Memory of ResidualPass with k columns.
double BytesOfPass(const PowerShape& shape, Index k, int workers);

// Entries that a pass over A reads.
double EntriesOf(const PowerShape& shape);

}  // namespace steelyard
