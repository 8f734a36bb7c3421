#include "power/power_shape.h"

#include <algorithm>

#include "factor/factor.h"
#include "power/csr_pass.h"
#include "power/residual_pass.h"
#include "sparse/csr_factor.h"
#include "sparse/csr_scan.h"

namespace steelyard {

Cost CostOfFactor(const PowerShape& shape, int workers) {
  if (!shape.nonzeros) return CostOfFactor(shape.n, shape.d, workers);
  Cost cost = CostOfCsrFactor(shape.n, shape.d, *shape.nonzeros, workers);
  cost.bytes = std::max(
      cost.bytes, BytesOfCsrScan(shape.n, shape.d, *shape.nonzeros, workers));
  return cost;
}

double BytesOfPass(const PowerShape& shape, Index k, int workers) {
  if (!shape.nonzeros) return BytesOfPass(shape.n, shape.d, k, workers);
  return BytesOfCsrPass(shape.n, shape.d, *shape.nonzeros, k, workers);
}

double EntriesOf(const PowerShape& shape) {
  if (shape.nonzeros) return static_cast<double>(*shape.nonzeros);
  return static_cast<double>(shape.n) * static_cast<double>(shape.d);
}

}  // namespace steelyard
