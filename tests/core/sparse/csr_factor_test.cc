#include "sparse/csr_factor.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sparse/csr_scan.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"
#include "tests/support/bounds.h"
#include "tests/support/long_double_householder.h"

namespace steelyard::test {
namespace {

constexpr double kGramConditionMax = 1e7;

template <KeyScalar T>
absl::StatusOr<Factor> FactorSparse(const SparseMatrix<T>& a,
                                    const FactorOptions& options,
                                    int workers = 2, StopToken stop = {}) {
  const Workers pool(workers);
  const auto scales = ScanColumns(a.view(), "a", {pool});
  if (!scales.ok()) return scales.status();
  return FactorCsr(a.view(), *scales, options, {pool, stop});
}

template <typename T>
class CsrFactorTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(CsrFactorTest, Storages);

// Every route against long double, for every storage type and kappa to 1e12.
TYPED_TEST(CsrFactorTest, ErrorOfTheGramIsWithinItsBound) {
  for (const double cond : {1.0, 30.0, 1e3, 1e6, 1e9, 1e12}) {
    // Beyond, rounding to the storage type may leave dependent columns.
    if (cond * StorageRoundoff<TypeParam>() > 0.2) continue;
    const auto sparse =
        SparseOf<TypeParam>(SparseNumbers(200, 14, 0.15, cond, Seed{1}), true);
    const Matrix<double> dense = sparse.Dense();
    for (const auto& options :
         {FactorOptions{.gram_condition_max = kGramConditionMax},
          FactorOptions{}, FactorOptions{.method = FactorMethod::kQr},
          FactorOptions{.method = FactorMethod::kSvd}}) {
      const auto factor = FactorSparse(sparse, options);
      ASSERT_TRUE(factor.ok()) << factor.status();
      EXPECT_EQ(factor->rank, 14) << factor->description << ", " << cond;
      const auto error = static_cast<double>(LongDoubleGramError(
          dense.view(), factor->scales.exponents, factor->r));
      EXPECT_LE(error, factor->gram_error) << factor->description;
      EXPECT_EQ(factor->singular_values.empty() && options.method.has_value() &&
                    *options.method == FactorMethod::kSvd,
                false);
    }
  }
}

TEST(CsrFactorLadderTest, TakesTheGramUntilItIsNoLongerSound) {
  const FactorOptions options{.gram_condition_max = kGramConditionMax};
  const auto easy = FactorSparse(
      SparseOf<double>(SparseNumbers(200, 14, 0.15, 1e3, Seed{1})), options);
  ASSERT_TRUE(easy.ok());
  EXPECT_EQ(easy->method, FactorMethod::kGram);
  const auto hard = FactorSparse(
      SparseOf<double>(SparseNumbers(200, 14, 0.15, 1e9, Seed{1})), options);
  ASSERT_TRUE(hard.ok());
  EXPECT_EQ(hard->method, FactorMethod::kQr);
  EXPECT_NE(hard->description.find("double-double"), std::string::npos);
  // Full rows are cheaper as blocks.
  const auto full =
      FactorSparse(SparseOf<double>(NormalMatrix(3000, 40, Seed{1})), options);
  ASSERT_TRUE(full.ok());
  EXPECT_NE(full->description.find("made dense"), std::string::npos);
}

TEST(CsrFactorLadderTest, ConditionIsThatOfTheScaledMatrix) {
  const auto sparse =
      SparseOf<double>(SparseNumbers(150, 10, 0.4, 1e8, Seed{2}));
  const auto factor = FactorSparse(sparse, {});
  ASSERT_TRUE(factor.ok());
  Matrix<double> scaled = sparse.Dense();
  for (Index i = 0; i < scaled.rows(); ++i) {
    for (Index j = 0; j < scaled.cols(); ++j) {
      scaled(i, j) = std::ldexp(
          scaled(i, j), -factor->scales.exponents[static_cast<std::size_t>(j)]);
    }
  }
  const auto values = LongDoubleSingularValues(scaled.view());
  const auto kappa = static_cast<double>(values.front() / values.back());
  EXPECT_NEAR(factor->condition, kappa, HouseholderBound(10, kappa) * kappa);
}

// Dependent columns, columns without entries, fewer rows than columns.
TEST(CsrFactorRankTest, IsThatOfTheMatrix) {
  Matrix<double> numbers = SparseNumbers(120, 12, 0.3, 1e4, Seed{3});
  for (Index i = 0; i < 120; ++i) {
    numbers(i, 7) = 2.0 * numbers(i, 2) - numbers(i, 5);
    numbers(i, 9) = 0.0;
  }
  for (const auto method :
       {std::optional<FactorMethod>(), std::optional(FactorMethod::kGram),
        std::optional(FactorMethod::kQr)}) {
    const auto factor =
        FactorSparse(SparseOf<double>(numbers), {.method = method});
    ASSERT_TRUE(factor.ok()) << factor.status();
    EXPECT_EQ(factor->rank, 10) << factor->description;
    EXPECT_LE(factor->rank_gap, HouseholderBound(12, 1e4));
    EXPECT_EQ(factor->v_transposed.rows(), 12);
  }
  for (const Index n : {1, 3, 11}) {
    const auto wide = SparseOf<double>(SparseNumbers(n, 12, 0.9, 1.0, Seed{4}));
    const auto factor =
        FactorSparse(wide, {.gram_condition_max = kGramConditionMax});
    ASSERT_TRUE(factor.ok()) << factor.status();
    EXPECT_EQ(factor->rank, n) << factor->description;
  }
  SparseMatrix<double> empty;
  empty.rows = 3;
  empty.cols = 2;
  empty.offsets = {0, 0, 0, 0};
  const auto factor = FactorSparse(empty, {});
  ASSERT_TRUE(factor.ok()) << factor.status();
  EXPECT_EQ(factor->rank, 0);
}

TEST(CsrFactorRidgeTest, IsThatOfTheLongerMatrix) {
  for (const double ridge : {1e-30, 1e-3, 1e8}) {
    Matrix<double> numbers = SparseNumbers(60, 6, 0.4, 1e3, Seed{5});
    for (Index i = 0; i < 60; ++i) numbers(i, 3) = 0.0;
    Matrix<double> longer(66, 6);
    std::copy_n(numbers.data(), numbers.size(), longer.data());
    for (Index j = 0; j < 6; ++j) longer(60 + j, j) = std::sqrt(ridge);
    for (const auto method :
         {std::optional<FactorMethod>(), std::optional(FactorMethod::kQr)}) {
      const auto factor = FactorSparse(SparseOf<double>(numbers),
                                       {.method = method, .ridge = ridge});
      ASSERT_TRUE(factor.ok()) << factor.status();
      EXPECT_EQ(factor->rank, 6);
      const auto error = static_cast<double>(LongDoubleGramError(
          longer.view(), factor->scales.exponents, factor->r));
      // sqrt(ridge) is rounded in the oracle's matrix.
      EXPECT_LE(error, factor->gram_error + Gamma(4)) << ridge;
    }
  }
}

TEST(CsrFactorBitsTest, SameForAnyNumberOfWorkers) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(4000, 70, 0.05, 1e9, Seed{6}));
  for (const auto& options :
       {FactorOptions{.method = FactorMethod::kGram}, FactorOptions{},
        FactorOptions{.method = FactorMethod::kQr}}) {
    const auto expected = FactorSparse(sparse, options, 1);
    ASSERT_TRUE(expected.ok());
    for (const int workers : {2, 3, 4}) {
      const auto factor = FactorSparse(sparse, options, workers);
      ASSERT_TRUE(factor.ok());
      for (Index e = 0; e < factor->r.size(); ++e) {
        EXPECT_EQ(factor->r.data()[e], expected->r.data()[e]);
      }
    }
  }
}

TEST(CsrFactorStopTest, EndsAtTheLookThatSaysStop) {
  const auto sparse =
      SparseOf<double>(SparseNumbers(3000, 90, 0.05, 1e9, Seed{7}));
  for (const auto& options :
       {FactorOptions{.method = FactorMethod::kGram}, FactorOptions{},
        FactorOptions{.method = FactorMethod::kQr}}) {
    StopSource whole;
    ASSERT_TRUE(FactorSparse(sparse, options, 2, whole.token()).ok());
    const std::int64_t looks = whole.token().looks();
    for (const std::int64_t look : {std::int64_t{1}, looks / 2, looks}) {
      StopSource source;
      source.StopAtLook(look);
      EXPECT_EQ(
          FactorSparse(sparse, options, 2, source.token()).status().code(),
          absl::StatusCode::kCancelled);
    }
    StopSource draining;
    draining.RequestStop(StopReason::kDraining);
    EXPECT_EQ(
        FactorSparse(sparse, options, 2, draining.token()).status().code(),
        absl::StatusCode::kAborted);
  }
}

TEST(CsrFactorCostTest, BoundsWhatIsAllocated) {
  struct Shape {
    Index n;
    Index d;
    double density;
  };
  for (const Shape shape :
       {Shape{3, 40, 0.2}, Shape{20000, 4, 0.3}, Shape{5000, 64, 0.02},
        Shape{700, 130, 0.05}, Shape{2000, 300, 0.01}}) {
    const auto sparse = SparseOf<double>(
        SparseNumbers(shape.n, shape.d, shape.density, 1e9, Seed{8}));
    for (const int count : {1, 4}) {
      const Workers workers(count);
      const auto scales = ScanColumns(sparse.view(), "a", {workers});
      ASSERT_TRUE(scales.ok());
      const Cost cost =
          CostOfCsrFactor(shape.n, shape.d, sparse.view().nonzeros(), count);
      for (const auto& options :
           {FactorOptions{.gram_condition_max = kGramConditionMax},
            FactorOptions{.method = FactorMethod::kQr}}) {
        const AllocationPeak peak;
        {
          auto factor = FactorCsr(sparse.view(), *scales, options, {workers});
          ASSERT_TRUE(factor.ok());
          ASSERT_TRUE(AddSvd(&*factor, {workers}).ok());
        }
        EXPECT_LE(static_cast<double>(peak.bytes()), cost.bytes)
            << shape.n << " x " << shape.d << ", " << count;
      }
    }
  }
}

}  // namespace
}  // namespace steelyard::test
