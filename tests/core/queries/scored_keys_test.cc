#include "queries/scored_keys.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/bounds.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

// Products of every kind of source, each within the rounding it promises.
TEST(ScoredKeysTest, EverySourceGivesTheSameProducts) {
  const Index n = 600, d = 7;
  const Matrix<double> keys = test::NormalMatrix(n, d, Seed{1});
  const Matrix<double> queries = test::NormalMatrix(5, d, Seed{2});
  const std::vector<int> exponents(static_cast<std::size_t>(d), 3);
  std::vector<Index> some;
  for (Index j = 1; j < n; j += 2) some.push_back(j);
  QueryableSetData data;
  data.indices = some;
  data.keys = Matrix<double>(static_cast<Index>(some.size()), d);
  for (Index u = 0; u < data.keys.rows(); ++u) {
    for (Index c = 0; c < d; ++c) {
      data.keys(u, c) = keys(2 * u + 1, c) / 8.0;
    }
  }
  AlignedVector<double> scaled(kQueryBlock * d);
  AlignedVector<double> work(static_cast<std::size_t>(ProductScratch(d)));
  const QueryBlock block =
      LoadQueries(queries.view(), 0, exponents, scaled.data());
  for (const ScoredKeys& source :
       {ScoredKeys(data), ScoredKeys(keys.view(), exponents, &some),
        ScoredKeys(keys.view(), exponents, nullptr)}) {
    Index seen = 3;
    ForEachProduct(
        source, 3, source.count(), block, d, {}, work.data(),
        [&](const ProductBlock& products) {
          ASSERT_EQ(products.first, seen);
          seen += products.count;
          for (Index u = 0; u < products.count; ++u) {
            const Index j = source.index(products.first + u);
            for (Index i = 0; i < 5; ++i) {
              long double t = 0.0L;
              for (Index c = 0; c < d; ++c) {
                t += static_cast<long double>(queries(i, c)) * keys(j, c);
              }
              const double ours =
                  std::ldexp(products.product(i, u), block.exponents[i]);
              const double rounding =
                  ProductRounding(d) * block.norms[i] * products.key_norms[u];
              EXPECT_NEAR(ours, static_cast<double>(t),
                          std::ldexp(rounding, block.exponents[i]));
            }
          }
        });
    EXPECT_EQ(seen, source.count());
  }
}

TEST(ScoredKeysTest, AStopEndsTheSweep) {
  const Matrix<double> keys = test::NormalMatrix(1000, 2, Seed{3});
  AlignedVector<double> scaled(kQueryBlock * 2);
  AlignedVector<double> work(static_cast<std::size_t>(ProductScratch(2)));
  const QueryBlock block = LoadQueries(keys.view(), 0, {0, 0}, scaled.data());
  const ScoredKeys source(keys.view(), {0, 0}, nullptr);
  StopSource stop;
  stop.StopAtLook(3);
  int blocks = 0;
  ForEachProduct(source, 0, 1000, block, 2, stop.token(), work.data(),
                 [&](const ProductBlock&) { ++blocks; });
  EXPECT_EQ(blocks, 2);
}

}  // namespace
}  // namespace steelyard
