#include "steelyard/heavy_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "linalg/blas.h"
#include "linalg/stopped.h"
#include "parallel/scratch_pool.h"
#include "universal_set/keys.h"

namespace steelyard {
namespace {

constexpr double kUnitRoundoff = 0x1p-53;
constexpr Index kQueryBlock = 64;
constexpr Index kKeyBlock = 256;
// Columns of R taken at a time: one BLAS call stays within milliseconds.
constexpr Index kColumnBlock = 512;

// One head of keys with the only keys that can be heavy.
struct HeavyKeys {
  AnyMatrixView keys;
  FactoredKeys factored;
  std::vector<Index> members;
};

// A block of queries in the coordinates of the scaled keys, each brought near 1
// by a power of two: q_s = 2^-exponent D q, so that <q_s, k_s> = 2^-exponent
// <q, k> and nothing overflows.
struct QueryBlock {
  Index first = 0;
  Index count = 0;
  double* scaled = nullptr;  // count x d
  int exponents[kQueryBlock] = {};
  double norms[kQueryBlock] = {};  // of q_s
  double z[kQueryBlock] = {};      // ||R q_s||^2
  double delta[kQueryBlock] = {};  // true Z lies within 1 + delta of z
};

// The sensitivity that no key left out may reach, so that no score of epsilon
// is missed. Full rank: epsilon. Rank r < d: a key may leave the row space by
//   |k_out| <= 4 d u |k| + theta s_1 sqrt(tau)
// before the rank rule of N4 sees it, and a query near the null space weighs
// that: with Z > (4 d u ||K|| ||q||)^2 (else the row is undefined)
//   |<q, k>| <= sqrt(tau Z) + |k_out| ||q||
//            <= sqrt(tau Z) (2 + theta / (4 d u)).
double EpsilonOfMembers(const Factor& factor, double epsilon) {
  const auto d = static_cast<double>(factor.r.cols());
  if (factor.rank == factor.r.cols()) return epsilon;
  const double theta = std::max(30.0, 2.0 * std::sqrt(d));  // over u
  const double most = 2.0 + theta / (4.0 * d);
  return epsilon / (most * most);
}

double Norm(const double* x, Index length) {
  double square = 0.0;
  for (Index c = 0; c < length; ++c) square += x[c] * x[c];
  return std::sqrt(square);
}

void LoadQueries(const AnyMatrixView& queries, const Factor& factor,
                 QueryBlock* block) {
  const Index d = Cols(queries);
  LoadScaledRows(queries, block->first, block->count, {}, block->scaled);
  const std::vector<int>& key_exponents = factor.scales.exponents;
  for (Index i = 0; i < block->count; ++i) {
    double* q = block->scaled + i * d;
    int largest = std::numeric_limits<int>::min();
    for (Index c = 0; c < d; ++c) {
      if (q[c] == 0.0) continue;
      largest = std::max(largest, std::ilogb(q[c]) +
                                      key_exponents[static_cast<size_t>(c)]);
    }
    const bool zero = largest == std::numeric_limits<int>::min();
    block->exponents[i] = zero ? 0 : largest;
    for (Index c = 0; c < d; ++c) {
      q[c] = std::ldexp(q[c], key_exponents[static_cast<size_t>(c)] -
                                  block->exponents[i]);
    }
    block->norms[i] = Norm(q, d);
  }
}

// Z = ||R q||^2 by block rows of R, without n.
void ComputeNormalizers(const Factor& factor, const StopToken& stop,
                        double* work, QueryBlock* block) {
  const Index d = factor.r.cols();
  for (Index i = 0; i < block->count; ++i) block->z[i] = 0.0;
  for (Index j = 0; j < d; j += kColumnBlock) {
    if (stop.stop_requested()) return;
    const Index width = std::min(kColumnBlock, d - j);
    // Y = Q R_j', R_j = rows j .. j + width of R, zero left of column j.
    const Block<double> q{block->scaled, block->count, d, d};
    const Block<const double> r_j =
        BlockOf(factor.r).Part(j, j, width, d - j);
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

// Z counts as 0 when rounding alone could have made it:
// Z <= (4 d u ||K|| ||q||)^2.
bool IsUndefined(const QueryBlock& block, Index i, const Factor& factor) {
  const double rounding = 4.0 * static_cast<double>(factor.r.cols()) *
                          kUnitRoundoff * factor.frobenius_norm *
                          block.norms[i];
  return block.z[i] <= rounding * rounding;
}

void SetNormalizer(double z, int query_exponent, HeavyRow* row) {
  const int exponent = 2 * query_exponent;
  const double plain = std::ldexp(z, exponent);
  const bool fits = std::isnormal(plain) || z == 0.0;
  row->normalizer = fits ? plain : z;
  row->normalizer_exponent = fits ? 0 : exponent;
}

// Scores of one block of queries against the members, 256 at a time.
void ScoreMembers(const HeavyKeys& head, const QueryBlock& block,
                  double epsilon, const StopToken& stop, double* keys,
                  double* products, HeavyRow* rows) {
  const Index d = Cols(head.keys);
  const auto rounding = (static_cast<double>(d) + 2.0) * kUnitRoundoff;
  const auto members = static_cast<Index>(head.members.size());
  for (Index first = 0; first < members; first += kKeyBlock) {
    if (stop.stop_requested()) return;
    const Index count = std::min(kKeyBlock, members - first);
    double key_norms[kKeyBlock];
    for (Index u = 0; u < count; ++u) {
      double* k = keys + u * d;
      LoadScaledRows(head.keys,
                     head.members[static_cast<std::size_t>(first + u)], 1,
                     head.factored.factor.scales.exponents, k);
      key_norms[u] = Norm(k, d);
    }
    Gemm(1.0, Block<double>{block.scaled, block.count, d, d},
         Transposed(Block<double>{keys, count, d, d}), 0.0,
         {products, block.count, count, count});
    for (Index i = 0; i < block.count; ++i) {
      if (rows[i].undefined) continue;
      const double z = block.z[i];
      for (Index u = 0; u < count; ++u) {
        const double t = std::abs(products[i * count + u]);
        const double upper = t + rounding * block.norms[i] * key_norms[u];
        if (upper == 0.0) continue;
        if (upper * upper * (1.0 + block.delta[i]) < epsilon * z) continue;
        const double score = std::min(1.0, t * t / z);
        rows[i].indices.push_back(
            head.members[static_cast<std::size_t>(first + u)]);
        rows[i].scores.push_back(score);
        rows[i].captured_mass += score;
      }
    }
  }
  for (Index i = 0; i < block.count; ++i) {
    rows[i].captured_mass = std::min(1.0, rows[i].captured_mass);
  }
}

// Numbers that one block of queries needs.
Index ScratchSize(Index d) {
  return kQueryBlock * d + kKeyBlock * d + kQueryBlock * kColumnBlock;
}

void ScoreQueries(const HeavyKeys& head, const AnyMatrixView& queries,
                  Index first, double epsilon, const StopToken& stop,
                  double* work, HeavyRow* rows) {
  const Index d = Cols(queries);
  const Factor& factor = head.factored.factor;
  QueryBlock block;
  block.first = first;
  block.count = std::min(kQueryBlock, Rows(queries) - first);
  block.scaled = work;
  double* keys = work + kQueryBlock * d;
  double* products = keys + kKeyBlock * d;
  LoadQueries(queries, factor, &block);
  ComputeNormalizers(factor, stop, products, &block);
  for (Index i = 0; i < block.count; ++i) {
    HeavyRow& row = rows[first + i];
    row.undefined = IsUndefined(block, i, factor);
    if (row.undefined) continue;
    SetNormalizer(block.z[i], block.exponents[i], &row);
  }
  ScoreMembers(head, block, epsilon, stop, keys, products, rows + first);
}

}  // namespace

absl::StatusOr<std::vector<HeavyRow>> FindHeavyScores(
    absl::Span<const AnyMatrixView> key_heads,
    absl::Span<const AnyMatrixView> query_heads, const HeavyOptions& options,
    const ComputeContext& context) {
  const auto heads = static_cast<Index>(key_heads.size());
  const auto query_count = static_cast<Index>(query_heads.size());
  const Index m = Rows(query_heads.front());
  for (Index g = 0; g < query_count; ++g) {
    const absl::Status finite = CheckFinite(
        query_heads[static_cast<std::size_t>(g)], "queries", context, g * m);
    if (!finite.ok()) return finite;
  }

  // No key outside the universal set can be heavy.
  absl::StatusOr<std::vector<HeavyKeys>> keys = ForEachHead<HeavyKeys>(
      heads, context,
      [&](Index h, const ComputeContext& quiet) -> absl::StatusOr<HeavyKeys> {
        const AnyMatrixView& view = key_heads[static_cast<std::size_t>(h)];
        absl::StatusOr<FactoredKeys> factored = FactorKeys(view, h, quiet);
        if (!factored.ok()) return factored.status();
        UniversalSet set = SelectSet(
            *factored,
            {.epsilon = EpsilonOfMembers(factored->factor, options.epsilon)});
        factored->scores.tau = {};
        return HeavyKeys{view, *std::move(factored), std::move(set.indices)};
      });
  if (!keys.ok()) return keys.status();

  std::vector<HeavyRow> rows(static_cast<std::size_t>(query_count * m));
  const Index blocks = (m + kQueryBlock - 1) / kQueryBlock;
  ScratchPool pool(ScratchSize(Cols(key_heads.front())));
  context.workers.ParallelFor(
      query_count * blocks, context.stop, [&](Index task) {
        const Index g = task / blocks;
        const Index h = g * heads / query_count;
        ScratchPool::Lease work = pool.Borrow();
        ScoreQueries((*keys)[static_cast<std::size_t>(h)],
                     query_heads[static_cast<std::size_t>(g)],
                     (task % blocks) * kQueryBlock, options.epsilon,
                     context.stop, work.data(), rows.data() + g * m);
      });
  const absl::Status stopped = CheckStop(context.stop);
  if (!stopped.ok()) return stopped;
  return rows;
}

Cost CostOfHeavyScores(Index key_heads, Index n, Index d, Index query_heads,
                       Index m, double epsilon, int workers) {
  Cost cost = CostOfUniversalSet(key_heads, n, d, workers);
  const auto columns = static_cast<double>(d);
  const auto queries =
      static_cast<double>(query_heads) * static_cast<double>(m);
  const double members = std::min(static_cast<double>(n), columns / epsilon);
  // Scores of one query sum to 1: at most 1 / epsilon reach epsilon, vectors
  // double as they grow.
  const double heavy = std::min(members, 1.0 / epsilon + 1.0);
  cost.flops += 2.0 * queries * columns * (columns + members);
  cost.bytes += static_cast<double>(key_heads) * 3.0 * columns * columns *
                    sizeof(double) +
                static_cast<double>(ScratchSize(d)) * sizeof(double) *
                    static_cast<double>(workers) +
                queries * (sizeof(HeavyRow) + 2.0 * heavy * 16.0);
  return cost;
}

}  // namespace steelyard
