#include "queries/query_block.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "factor/row_loader.h"
#include "linalg/blas.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr int kNothing = std::numeric_limits<int>::min();

// Brings the rows of the block, loaded as they are, near 1.
void ScaleQueries(const std::vector<int>& key_exponents, Index d,
                  QueryBlock* block) {
  for (Index i = 0; i < block->count; ++i) {
    double* q = block->scaled + i * d;
    int largest = kNothing;
    for (Index c = 0; c < d; ++c) {
      if (q[c] == 0.0) continue;
      largest = std::max(
          largest, std::ilogb(q[c]) + key_exponents[static_cast<size_t>(c)]);
    }
    block->exponents[i] = largest == kNothing ? 0 : largest;
    for (Index c = 0; c < d; ++c) {
      q[c] = std::ldexp(
          q[c], key_exponents[static_cast<size_t>(c)] - block->exponents[i]);
    }
    block->norms[i] = EuclideanNorm(q, d);
  }
}

}  // namespace

double EuclideanNorm(const double* x, Index length) {
  double square = 0.0;
  for (Index c = 0; c < length; ++c) square += x[c] * x[c];
  return std::sqrt(square);
}

QueryBlock LoadQueries(const AnyMatrixView& queries, Index first,
                       const std::vector<int>& key_exponents, double* scaled) {
  QueryBlock block;
  block.first = first;
  block.count = std::min(kQueryBlock, Rows(queries) - first);
  block.scaled = scaled;
  LoadScaledRows(queries, block.first, block.count, {}, block.scaled);
  ScaleQueries(key_exponents, Cols(queries), &block);
  return block;
}

QueryBlock LoadQueries(const AnyMatrixView& queries,
                       absl::Span<const Index> rows,
                       const std::vector<int>& key_exponents, double* scaled) {
  const Index d = Cols(queries);
  QueryBlock block;
  block.count = static_cast<Index>(rows.size());
  block.scaled = scaled;
  const RowLoader loader(queries, {});
  for (Index i = 0; i < block.count; ++i) {
    loader.Load(rows[static_cast<std::size_t>(i)], 0,
                {scaled + i * d, 1, d, d});
  }
  ScaleQueries(key_exponents, d, &block);
  return block;
}

void ComputeNormalizers(const Factor& factor, const StopToken& stop,
                        double* work, QueryBlock* block) {
  const Index d = factor.r.cols();
  for (Index i = 0; i < block->count; ++i) block->z[i] = 0.0;
  for (Index j = 0; j < d; j += kFactorColumns) {
    if (stop.stop_requested()) return;
    const Index width = std::min(kFactorColumns, d - j);
    // Y = Q R_j', R_j = rows j .. j + width of R, zero left of column j.
    const Block<double> q{block->scaled, block->count, d, d};
    const Block<const double> r_j = BlockOf(factor.r).Part(j, j, width, d - j);
    Gemm(1.0, q.Part(0, j, block->count, d - j), Transposed(r_j), 0.0,
         {work, block->count, width, width});
    for (Index i = 0; i < block->count; ++i) {
      const double* y = work + i * width;
      for (Index c = 0; c < width; ++c) block->z[i] += y[c] * y[c];
    }
  }
  // Full rank: delta of N4 bounds ||Rq||^2 / ||Kq||^2 for every q. Else the
  // backward error of Householder QR, 40 sqrt(d) u ||K||_F ||q||, against
  // ||Rq|| of this query.
  const auto columns = static_cast<double>(d);
  for (Index i = 0; i < block->count; ++i) {
    block->delta[i] = factor.delta;
    if (factor.rank < d && block->z[i] > 0.0) {
      const double e = 40.0 * std::sqrt(columns) * kUnitRoundoff *
                       factor.frobenius_norm * block->norms[i] /
                       std::sqrt(block->z[i]);
      block->delta[i] = e < 0.5 ? 1.0 / ((1.0 - e) * (1.0 - e)) - 1.0
                                : std::numeric_limits<double>::infinity();
    }
  }
}

bool IsUndefined(double z, double query_norm, double key_norm, Index d) {
  const double rounding =
      4.0 * static_cast<double>(d) * kUnitRoundoff * key_norm * query_norm;
  return z <= rounding * rounding;
}

void SetNormalizer(double z, int exponent, HeavyRow* row) {
  const double plain = std::ldexp(z, exponent);
  const bool fits = std::isnormal(plain) || z == 0.0;
  row->normalizer = fits ? plain : z;
  row->normalizer_exponent = fits ? 0 : exponent;
}

}  // namespace steelyard
