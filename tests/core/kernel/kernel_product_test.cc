#include "kernel/kernel_product.h"

#include <cmath>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "kernel/certificate.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/kernel_cases.h"
#include "tests/support/kernel_oracle.h"

namespace steelyard {
namespace {

class KernelProductTest : public testing::Test {
 protected:
  // G of rows of this length.
  void Load(Index n, Index d, double norm) {
    system_.a = test::RowsOfNorm(n, d, norm, 1);
    system_.normalization = KernelNormalization::kUnitDiagonal;
    auto rows = LoadKernelRows(system_.a.view(), 1.0,
                               KernelNormalization::kUnitDiagonal, context_);
    ASSERT_TRUE(rows.ok()) << rows.status();
    rows_ = *std::move(rows);
  }

  KernelProduct Product() const {
    std::vector<double> offsets;
    for (const double q : rows_.centred_square) offsets.push_back(-0.5 * q);
    return KernelProduct(rows_, offsets, true);
  }

  // max over entries of |out - truth| / (G|v|), and that bound.
  void ExpectClose(const Matrix<double>& v, const Matrix<double>& out,
                   double roundoff) {
    const Matrix<double> truth = test::UnitKernelProduct(system_, v);
    Matrix<double> sizes(v.rows(), v.cols());
    for (Index i = 0; i < v.size(); ++i)
      sizes.data()[i] = std::abs(v.data()[i]);
    const Matrix<double> scale = test::UnitKernelProduct(system_, sizes);
    double longest = 0.0;
    for (const double q : rows_.centred_square) longest = std::max(longest, q);
    // Sums, dots, and 4 u s|a - c|^2 of N3 with the constant of d terms.
    const double bound =
        roundoff * (SumErrorConstant(v.cols()) +
                    2.0 * DotErrorConstant(rows_.cols()) * longest);
    for (Index i = 0; i < v.size(); ++i) {
      EXPECT_NEAR(out.data()[i], truth.data()[i], bound * scale.data()[i]);
    }
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
  test::KernelSystem system_;
  KernelRows rows_;
};

TEST_F(KernelProductTest, AgreesWithLongDoubleInBothPrecisions) {
  for (const Index n : {1, 3, 95, 96, 97, 300}) {
    for (const double norm : {1e-3, 1.0, 5.0}) {
      Load(n, 7, norm);
      KernelProduct product = Product();
      // More vectors than one pass takes.
      const Matrix<double> v = test::RowsOfNorm(18, n, 1.0, 2);
      Matrix<double> out(18, n);
      ASSERT_TRUE(product.Multiply(v, out, context_).ok());
      ExpectClose(v, out, kUnitRoundoff);
      ASSERT_TRUE(product.MultiplyFloat32(v, out, context_).ok());
      ExpectClose(v, out, 0x1p-24);
    }
  }
}

TEST_F(KernelProductTest, SameBitsForAnyNumberOfWorkers) {
  Load(1100, 16, 2.0);
  KernelProduct product = Product();
  const Matrix<double> v = test::RowsOfNorm(2, 1100, 1.0, 3);
  Matrix<double> two(2, 1100);
  Matrix<double> two32(2, 1100);
  ASSERT_TRUE(product.Multiply(v, two, context_).ok());
  ASSERT_TRUE(product.MultiplyFloat32(v, two32, context_).ok());
  for (const int count : {1, 3, 4}) {
    const Workers workers(count);
    const ComputeContext context{.workers = workers};
    Matrix<double> out(2, 1100);
    ASSERT_TRUE(product.Multiply(v, out, context).ok());
    for (Index i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out.data()[i], two.data()[i]);
    }
    ASSERT_TRUE(product.MultiplyFloat32(v, out, context).ok());
    for (Index i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out.data()[i], two32.data()[i]);
    }
  }
}

TEST_F(KernelProductTest, LargeTilesAndManyCoordinatesAgreeRowByRow) {
  struct Shape {
    Index n, d;
  };
  // Eleven blocks of 240 rows; an even number of blocks; coordinates in rounds.
  for (const Shape& shape :
       {Shape{2500, 3}, Shape{2600, 2}, Shape{200, 300}, Shape{100, 1100}}) {
    Load(shape.n, shape.d, 2.0);
    const KernelProduct product = Product();
    const Matrix<double> v = test::RowsOfNorm(3, shape.n, 1.0, 5);
    Matrix<double> out(3, shape.n);
    Matrix<double> out32(3, shape.n);
    ASSERT_TRUE(product.Multiply(v, out, context_).ok());
    ASSERT_TRUE(product.MultiplyFloat32(v, out32, context_).ok());
    double longest = 0.0;
    for (const double q : rows_.centred_square) longest = std::max(longest, q);
    const double bound =
        SumErrorConstant(shape.n) + 2.0 * DotErrorConstant(shape.d) * longest;
    for (const Index i :
         {Index{0}, shape.n / 2, 240 % shape.n, 239 % shape.n, shape.n - 1}) {
      for (Index c = 0; c < 3; ++c) {
        long double sum = 0.0L, size = 0.0L;
        for (Index j = 0; j < shape.n; ++j) {
          long double square = 0.0L;
          for (Index k = 0; k < shape.d; ++k) {
            const long double gap =
                static_cast<long double>(system_.a(i, k)) - system_.a(j, k);
            square += gap * gap;
          }
          const long double term = std::exp(-0.5L * square) * v(c, j);
          sum += term;
          size += std::abs(term);
        }
        EXPECT_LE(std::abs(out(c, i) - sum), kUnitRoundoff * bound * size);
        EXPECT_LE(std::abs(out32(c, i) - sum), 0x1p-24 * bound * size);
      }
    }
  }
}

TEST_F(KernelProductTest, AfterAStopEveryWorkerEndsItsTileAndNoMore) {
  // 15 blocks of rows, 120 tiles.
  Load(15 * 240, 4, 1.0);
  const KernelProduct product = Product();
  const Matrix<double> v = test::RowsOfNorm(1, 15 * 240, 1.0, 4);
  Matrix<double> out(1, 15 * 240);
  StopSource source;
  source.StopAtLook(50);
  const ComputeContext context{.workers = workers_, .stop = source.token()};
  EXPECT_EQ(product.Multiply(v, out, context).code(),
            absl::StatusCode::kCancelled);
  // Each of the 15 tasks that had not begun looks once, each that ran looks
  // once more; then the caller looks.
  EXPECT_LE(context.stop.looks_after_stop(), 15 + 2 + 1);
}

TEST_F(KernelProductTest, TilesThatAreKeptChangeNoBit) {
  struct Shape {
    Index n, d;
  };
  // One tile; an even and an odd number of blocks, the last one short;
  // coordinates in rounds.
  for (const Shape& shape : {Shape{5, 48}, Shape{2500, 48}, Shape{2650, 64},
                             Shape{700, 300}, Shape{100, 1100}}) {
    Load(shape.n, shape.d, 2.0);
    const KernelProduct plain = Product();
    const KernelProduct keeping = Product();
    ASSERT_GT(KernelProduct::KeptBytes(shape.n, shape.d), 0.0);
    keeping.KeepTiles();
    // Made by the first of these, in two passes; read by the others.
    for (const Index k : {18, 1, 3}) {
      const Matrix<double> v = test::RowsOfNorm(k, shape.n, 1.0, 5);
      Matrix<double> out(k, shape.n);
      Matrix<double> kept(k, shape.n);
      ASSERT_TRUE(plain.MultiplyFloat32(v, out, context_).ok());
      ASSERT_TRUE(keeping.MultiplyFloat32(v, kept, context_).ok());
      for (Index i = 0; i < v.size(); ++i) {
        ASSERT_EQ(kept.data()[i], out.data()[i]) << shape.n << " " << k;
      }
    }
  }
}

TEST_F(KernelProductTest, TilesOfAProductThatWasStoppedAreMadeAnew) {
  Load(2500, 50, 2.0);
  const KernelProduct plain = Product();
  const KernelProduct keeping = Product();
  keeping.KeepTiles();
  const Matrix<double> v = test::RowsOfNorm(1, 2500, 1.0, 5);
  Matrix<double> out(1, 2500);
  ASSERT_TRUE(plain.MultiplyFloat32(v, out, context_).ok());
  StopSource source;
  source.StopAtLook(30);
  const ComputeContext stopped{.workers = workers_, .stop = source.token()};
  Matrix<double> kept(1, 2500);
  EXPECT_EQ(keeping.MultiplyFloat32(v, kept, stopped).code(),
            absl::StatusCode::kCancelled);
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(keeping.MultiplyFloat32(v, kept, context_).ok());
    for (Index i = 0; i < out.size(); ++i) {
      ASSERT_EQ(kept(0, i), out(0, i)) << i;
    }
  }
}

TEST_F(KernelProductTest, ProductsAtTheSameTimeShareTheTiles) {
  Load(1500, 64, 2.0);
  const KernelProduct plain = Product();
  const KernelProduct keeping = Product();
  keeping.KeepTiles();
  const Matrix<double> v = test::RowsOfNorm(1, 1500, 1.0, 5);
  Matrix<double> out(1, 1500);
  ASSERT_TRUE(plain.MultiplyFloat32(v, out, context_).ok());
  std::vector<Matrix<double>> kept(4, Matrix<double>(1, 1500));
  std::vector<std::thread> threads;
  for (Matrix<double>& mine : kept) {
    threads.emplace_back([&] {
      for (int time = 0; time < 3; ++time) {
        EXPECT_TRUE(keeping.MultiplyFloat32(v, mine, context_).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Matrix<double>& mine : kept) {
    for (Index i = 0; i < out.size(); ++i) EXPECT_EQ(mine(0, i), out(0, i));
  }
}

TEST_F(KernelProductTest, TilesAreKeptWhereTheyFitAndPay) {
  EXPECT_EQ(KernelProduct::KeptBytes(4000, 32), 0.0);
  EXPECT_GT(KernelProduct::KeptBytes(17040, 64), 0.0);
  EXPECT_EQ(KernelProduct::KeptBytes(17041, 64), 0.0);
  EXPECT_EQ(KernelProduct::KeptBytes(Index{1} << 40, 64), 0.0);
  EXPECT_LE(KernelProduct::KeptBytes(16384, 64), kKeptTilesBytes);
  // 2 n^2 bytes and what tiles have beyond the edge.
  EXPECT_GE(KernelProduct::KeptBytes(16384, 64), 2.0 * 16384.0 * 16384.0);
  EXPECT_LE(KernelProduct::KeptBytes(16384, 64), 2.2 * 16384.0 * 16384.0);
  Load(2500, 64, 1.0);
  const KernelProduct product = Product();
  product.KeepTiles();
  const Matrix<double> v = test::RowsOfNorm(1, 2500, 1.0, 6);
  Matrix<double> out(1, 2500);
  const test::AllocationPeak peak;
  ASSERT_TRUE(product.MultiplyFloat32(v, out, context_).ok());
  const auto taken = static_cast<double>(peak.bytes());
  EXPECT_GE(taken, KernelProduct::KeptBytes(2500, 64));
  EXPECT_LE(taken, KernelProduct::KeptBytes(2500, 64) +
                       KernelProduct::WorkBytes(2500, 1, 2) +
                       KernelProduct::PackedBytes(2500, 64));
}

TEST_F(KernelProductTest, FilledEntriesAreThoseOfTheProduct) {
  Load(300, 6, 2.0);
  const KernelProduct product = Product();
  Matrix<double> g(300, 300);
  ASSERT_TRUE(product.FillUpper(BlockOf(g), context_).ok());
  Matrix<double> unit(1, 300);
  unit(0, 270) = 1.0;
  Matrix<double> column(1, 300);
  ASSERT_TRUE(product.Multiply(unit, column, context_).ok());
  for (Index i = 0; i < 300; ++i) {
    EXPECT_EQ(g(i, i), 1.0);
    EXPECT_EQ(column(0, i), i <= 270 ? g(i, 270) : g(270, i)) << i;
  }
  EXPECT_EQ(g(5, 2), 0.0);
  EXPECT_EQ(product.Diagonal(5), 1.0);
}

TEST_F(KernelProductTest, MemoryIsWithinWhatIsSaid) {
  const Workers one(1);
  const ComputeContext context{.workers = one};
  for (const Index d : {5, 260}) {
    for (const Index k : {1, 20}) {
      Load(2500, d, 1.0);
      const KernelProduct product = Product();
      const Matrix<double> v = test::RowsOfNorm(k, 2500, 1.0, 6);
      Matrix<double> out(k, 2500);
      const test::AllocationPeak peak;
      ASSERT_TRUE(product.Multiply(v, out, context).ok());
      ASSERT_TRUE(product.MultiplyFloat32(v, out, context).ok());
      const auto taken = static_cast<double>(peak.bytes());
      const double said = KernelProduct::WorkBytes(2500, k, 1) +
                          KernelProduct::PackedBytes(2500, d);
      EXPECT_LE(taken, said) << "d " << d << " k " << k;
      EXPECT_GE(2.0 * taken, said - KernelProduct::WorkBytes(1, 1, 1));
    }
  }
}

}  // namespace
}  // namespace steelyard
