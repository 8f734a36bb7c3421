#include "queries/scored_keys.h"

#include <algorithm>

#include "linalg/blas.h"

namespace steelyard {

Block<const double> ScoredKeys::Load(Index first, Index count,
                                     double* work) const {
  if (stored_ != nullptr) {
    return BlockOf(*stored_).Part(first, 0, count, stored_->cols());
  }
  const Index d = rows_->cols();
  if (indices_ == nullptr) {
    rows_->Load(first, 0, {work, count, d, d});
  } else {
    for (Index u = 0; u < count; ++u) {
      rows_->Load(index(first + u), 0, {work + u * d, 1, d, d});
    }
  }
  return {work, count, d, d};
}

Index ProductScratch(Index d) {
  return kKeyBlock * d + kQueryBlock * kKeyBlock;
}

void ForEachProduct(const ScoredKeys& keys, Index first, Index last,
                    const QueryBlock& block, Index d, const StopToken& stop,
                    double* work,
                    absl::FunctionRef<void(const ProductBlock&)> body) {
  double* products = work + kKeyBlock * d;
  double norms[kKeyBlock];
  for (Index begin = first; begin < last; begin += kKeyBlock) {
    if (stop.stop_requested()) return;
    const Index count = std::min(kKeyBlock, last - begin);
    const Block<const double> rows = keys.Load(begin, count, work);
    for (Index u = 0; u < count; ++u) {
      norms[u] = EuclideanNorm(rows.row(u), d);
    }
    Gemm(1.0, Block<double>{block.scaled, block.count, d, d}, Transposed(rows),
         0.0, {products, block.count, count, count});
    body({begin, count, products, norms});
  }
}

double ProductRounding(Index d) {
  return (static_cast<double>(d) + 2.0) * 0x1p-53;
}

}  // namespace steelyard
