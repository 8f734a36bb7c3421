// The first pass over admitted numbers of a sparse matrix.
#pragma once

#include <string_view>

#include "factor/factor.h"
#include "steelyard/csr_view.h"

namespace steelyard {

// As ScanColumns of factor.h. CheckCsr was OK.
// ERRORS  InvalidArgument NOT_FINITE: field `field`.values, metadata `index`
//         the position of the first bad number among the values. Cancelled,
//         DeadlineExceeded, Aborted: the stop token.
absl::StatusOr<ColumnScales> ScanColumns(const AnyCsrView& a,
                                         std::string_view field,
                                         const ComputeContext& context);

double BytesOfCsrScan(Index n, Index d, Index nonzeros, int workers);

}  // namespace steelyard
