#include "sparse/csr_gram.h"

#include <gtest/gtest.h>

#include "linalg/double_double.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"

namespace steelyard::test {
namespace {

TEST(CsrGramTest, AgreesWithScalarDoubleDouble) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(700, 12, 0.3, 1e3, Seed{1}), true);
  const Matrix<double> a = sparse.Dense();
  const SparseRows rows(sparse.view(), std::vector<int>(12, 2));
  const Workers workers(2);
  const auto gram = GramOfCsr(rows, {workers});
  ASSERT_TRUE(gram.ok()) << gram.status();
  for (Index i = 0; i < 12; ++i) {
    for (Index j = 0; j < 12; ++j) {
      DoubleDouble expected;
      double size = 0.0;
      for (Index row = 0; i <= j && row < 700; ++row) {
        const DoubleDouble product = TwoProduct(a(row, i), a(row, j));
        expected = Add(expected, product);
        size += std::abs(product.hi);
      }
      // Scaled by 2^-2 twice. 700 terms, in practice sqrt of that.
      const DoubleDouble scaled{expected.hi / 16.0, expected.lo / 16.0};
      EXPECT_NEAR(Subtract({gram->hi(i, j), gram->lo(i, j)}, scaled).hi, 0.0,
                  700.0 * 0x1p-105 * size / 16.0);
      EXPECT_EQ(gram->hi(i, j) + gram->lo(i, j), gram->hi(i, j));
    }
  }
}

TEST(CsrGramTest, SameBitsForAnyNumberOfWorkers) {
  const auto sparse =
      SparseOf<double>(SparseNumbers(20000, 20, 0.15, 1e3, Seed{2}));
  const SparseRows rows(sparse.view(), {});
  const Workers one(1);
  const auto expected = GramOfCsr(rows, {one});
  ASSERT_TRUE(expected.ok());
  for (const int count : {2, 3, 4}) {
    const Workers workers(count);
    const auto gram = GramOfCsr(rows, {workers});
    ASSERT_TRUE(gram.ok());
    for (Index e = 0; e < gram->hi.size(); ++e) {
      EXPECT_EQ(gram->hi.data()[e], expected->hi.data()[e]);
      EXPECT_EQ(gram->lo.data()[e], expected->lo.data()[e]);
    }
  }
}

// A row of all columns is more than a block: in parts, between which a stop is
// seen.
TEST(CsrGramTest, FullRowsAreStoppedInside) {
  constexpr Index kCols = 5000;
  Matrix<double> dense(1, kCols);
  for (Index j = 0; j < kCols; ++j) dense(0, j) = 1.0;
  const auto sparse = SparseOf<double>(dense);
  const SparseRows rows(sparse.view(), {});
  const Workers workers(1);
  StopSource source;
  source.StopAtLook(4);
  EXPECT_EQ(GramOfCsr(rows, {workers, source.token()}).status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(CountPairs(rows), 0.5 * kCols * (kCols + 1.0));
}

TEST(CsrGramTest, CostBoundsWhatIsAllocated) {
  for (const Index d : {3, 60, 300}) {
    const auto sparse =
        SparseOf<double>(SparseNumbers(3000, d, 0.05, 1.0, Seed{3}));
    const SparseRows rows(sparse.view(), {});
    for (const int count : {1, 4}) {
      const Workers workers(count);
      const AllocationPeak peak;
      ASSERT_TRUE(GramOfCsr(rows, {workers}).ok());
      EXPECT_LE(static_cast<double>(peak.bytes()),
                CostOfCsrGram(3000, d, rows.nonzeros(), count).bytes + 8192.0);
    }
    EXPECT_GE(CostOfCsrGram(3000, d, rows.nonzeros(), 1).flops,
              CountPairs(rows));
  }
}

}  // namespace
}  // namespace steelyard::test
