#include "preconditioner/low_rank_preconditioner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "gtest/gtest.h"
#include "tests/core/preconditioner/preconditioner_cases.h"
#include "tests/support/bounds.h"

namespace steelyard {
namespace {

class LowRankPreconditionerTest : public testing::Test {
 protected:
  // F' in blocks of odd sizes, entries of about `size`; the last block has
  // rows that do not count.
  FactorColumns Factor(Index n, Index rank, double size) {
    FactorColumns factor{.size = n, .rank = rank, .blocks = {}};
    Index have = 0;
    for (Index rows = 1; have < rank; rows = 3 * rows + 1) {
      Matrix<double> block =
          test::RowsOfNorm(rows, n, size * std::sqrt(static_cast<double>(n)),
                           static_cast<std::uint64_t>(rows));
      factor.blocks.push_back(
          std::make_shared<const Matrix<double>>(std::move(block)));
      have += rows;
    }
    return factor;
  }

  // max |P^-1 P - I| with P formed in long double.
  double Defect(const LowRankPreconditioner& p, const FactorColumns& factor,
                const std::vector<double>& diagonal) {
    const Index n = factor.size;
    std::vector<double> f(static_cast<std::size_t>(factor.rank * n));
    factor.CopyPart(0, factor.rank, 0, n, f.data());
    Matrix<double> product(n, n);
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) {
        long double sum = 0.0L;
        for (Index c = 0; c < factor.rank; ++c) {
          sum +=
              static_cast<long double>(f[static_cast<std::size_t>(c * n + i)]) *
              f[static_cast<std::size_t>(c * n + j)];
        }
        if (i == j) sum += diagonal[static_cast<std::size_t>(i)];
        product(i, j) = static_cast<double>(sum);
      }
    }
    EXPECT_TRUE(p.Apply(product, context_).ok());
    double worst = 0.0;
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) {
        worst = std::max(worst, std::abs(product(i, j) - (i == j ? 1.0 : 0.0)));
      }
    }
    return worst;
  }

  Workers workers_{2};
  ComputeContext context_{.workers = workers_};
};

TEST_F(LowRankPreconditionerTest, InverseTimesMatrixIsTheIdentity) {
  // Householder from d = 1e-9 on; ranks below and above n, and 0.
  for (const double d : {1.0, 1e-3, 1e-9, 1e-12}) {
    for (const Index rank : {0, 1, 7, 40, 60}) {
      SCOPED_TRACE(std::to_string(d) + " " + std::to_string(rank));
      const Index n = 40;
      const FactorColumns factor = Factor(n, rank, 0.2);
      std::vector<double> diagonal;
      for (Index i = 0; i < n; ++i) {
        diagonal.push_back(d * static_cast<double>(1 + i % 5));
      }
      const auto made = LowRankPreconditioner::Make(
          {.factor = factor, .diagonal = diagonal, .description = "test"},
          context_);
      ASSERT_TRUE(made.ok());
      EXPECT_EQ((*made)->rank(), rank);
      // |P| / min D, sums of n and r terms.
      const double condition = (d + 0.04 * static_cast<double>(rank * n)) / d;
      EXPECT_LE(Defect(**made, factor, diagonal),
                test::Gamma(4 * (n + rank)) * condition);
    }
  }
}

TEST_F(LowRankPreconditionerTest, ARoundedFactorIsAsGood) {
  // |D^-1/2 (F~ - F)|_F <= e = u_32 |D^-1/2 F|_F: x'P^-1 x is off by at most 2
  // e
  // + e^2 of itself, and by what F' D^-1 F is in float32, u_32 times its trace
  // where it is. Vectors of both ends of the spectrum: F y, and anything else.
  constexpr double kUnitRoundoff32 = 0x1p-24;
  const Index n = 300;
  const Index rank = 40;
  const FactorColumns wide = Factor(n, rank, 0.2);
  Matrix<double> f(rank, n);
  wide.CopyPart(0, rank, 0, n, f.data());
  Matrix<float> rounded(rank, n);
  wide.CopyPart(0, rank, 0, n, rounded.data());
  const FactorColumns narrow{
      .size = n,
      .rank = rank,
      .blocks = {std::make_shared<const Matrix<float>>(std::move(rounded))}};
  for (const double d : {10.0, 1e-2, 1e-5, 1e-7}) {
    const std::vector<double> diagonal(static_cast<std::size_t>(n), d);
    double trace = 0.0;
    for (Index i = 0; i < f.size(); ++i) {
      trace += f.data()[i] * f.data()[i] / d;
    }
    const double e = kUnitRoundoff32 * std::sqrt(trace);
    ASSERT_LE(e, 0.02);
    const double squared = kUnitRoundoff32 * trace;
    const double bound = 2.0 * e + e * e + (squared <= 1e-2 ? squared : 0.0);
    Matrix<double> v = test::RowsOfNorm(8, n, 1.0, 3);
    for (Index c = 0; c < 4; ++c) {
      std::copy(f.row(c), f.row(c) + n, v.row(c));
    }
    std::vector<double> squares[2];
    for (const bool half : {false, true}) {
      const auto made =
          LowRankPreconditioner::Make({.factor = half ? narrow : wide,
                                       .diagonal = diagonal,
                                       .description = "test"},
                                      context_);
      ASSERT_TRUE(made.ok());
      Matrix<double> out = v;
      ASSERT_TRUE((*made)->Apply(out, context_).ok());
      for (Index c = 0; c < v.rows(); ++c) {
        double sum = 0.0;
        for (Index i = 0; i < n; ++i) sum += v(c, i) * out(c, i);
        squares[half].push_back(sum);
      }
    }
    for (std::size_t c = 0; c < squares[0].size(); ++c) {
      EXPECT_GT(squares[1][c], 0.0);
      EXPECT_NEAR(squares[1][c] / squares[0][c], 1.0, bound) << d << " " << c;
    }
  }
}

TEST_F(LowRankPreconditionerTest, LargeSumsAreCutAndAddedUp) {
  // Tiles of 256, segments, panels of 2048: against columns of P itself.
  const Index n = 2500;
  const Index rank = 300;
  const FactorColumns factor = Factor(n, rank, 0.1);
  const std::vector<double> diagonal(static_cast<std::size_t>(n), 0.5);
  const auto made = LowRankPreconditioner::Make(
      {.factor = factor, .diagonal = diagonal, .description = "test"},
      context_);
  ASSERT_TRUE(made.ok());
  std::vector<double> f(static_cast<std::size_t>(rank * n));
  factor.CopyPart(0, rank, 0, n, f.data());
  Matrix<double> columns(2, n);
  const Index chosen[] = {3, 2400};
  for (Index c = 0; c < 2; ++c) {
    for (Index i = 0; i < n; ++i) {
      long double sum = i == chosen[c] ? 0.5L : 0.0L;
      for (Index t = 0; t < rank; ++t) {
        sum +=
            static_cast<long double>(f[static_cast<std::size_t>(t * n + i)]) *
            f[static_cast<std::size_t>(t * n + chosen[c])];
      }
      columns(c, i) = static_cast<double>(sum);
    }
  }
  ASSERT_TRUE((*made)->Apply(columns, context_).ok());
  for (Index c = 0; c < 2; ++c) {
    for (Index i = 0; i < n; ++i) {
      // |P| <= (sqrt(n) + sqrt(r))^2 / 100 + 1/2 for normal entries.
      EXPECT_NEAR(columns(c, i), i == chosen[c] ? 1.0 : 0.0,
                  test::Gamma(n + rank) * 100.0);
    }
  }
}

}  // namespace
}  // namespace steelyard
