// A block of queries in the coordinates of the scaled keys, and their Z_2.
//
// SOURCE  NUMERICS N8.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "factor/factor.h"
#include "steelyard/heavy_scores.h"
#include "steelyard/matrix_view.h"
#include "steelyard/stop_token.h"

namespace steelyard {

// Queries that one task takes.
inline constexpr Index kQueryBlock = 64;

// Columns of R taken at a time: one BLAS call stays within milliseconds.
inline constexpr Index kFactorColumns = 512;

// Each query is brought near 1 by a power of two: q_s = 2^-exponent D q, so
// that <q_s, k_s> = 2^-exponent <q, k> and nothing overflows.
struct QueryBlock {
  Index first = 0;
  Index count = 0;
  double* scaled = nullptr;  // count x d
  int exponents[kQueryBlock] = {};
  double norms[kQueryBlock] = {};  // of q_s
  double z[kQueryBlock] = {};      // ||R q_s||^2
  double delta[kQueryBlock] = {};  // true Z_2 lies within 1 + delta of z
};

double EuclideanNorm(const double* x, Index length);

// The block of at most kQueryBlock queries that starts at row `first`;
// key_exponents are those of the keys' columns. `scaled` has room for it.
QueryBlock LoadQueries(const AnyMatrixView& queries, Index first,
                       const std::vector<int>& key_exponents, double* scaled);

// The same of the rows given, at most kQueryBlock; `first` stays 0.
QueryBlock LoadQueries(const AnyMatrixView& queries,
                       absl::Span<const Index> rows,
                       const std::vector<int>& key_exponents, double* scaled);

// Fills z and delta, without n. `work`: kQueryBlock x kFactorColumns numbers.
// COST  d^2 flops a query. Looks at `stop` between blocks of R.
void ComputeNormalizers(const Factor& factor, const StopToken& stop,
                        double* work, QueryBlock* block);

// Z_2 counts as 0 when rounding alone could have made it:
// Z_2 <= (4 d u ||K|| ||q||)^2.
bool IsUndefined(double z, double query_norm, double key_norm, Index d);

// Z = z 2^exponent: as a double where that is normal.
void SetNormalizer(double z, int exponent, HeavyRow* row);

}  // namespace steelyard
