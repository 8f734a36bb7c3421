#include "sparse/csr_scan.h"

#include <gtest/gtest.h>

#include <limits>

#include "steelyard/status.h"
#include "tests/core/sparse/sparse_matrix.h"
#include "tests/support/allocation_peak.h"

namespace steelyard::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename T>
class CsrScanTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(CsrScanTest, Storages);

TYPED_TEST(CsrScanTest, ScalesAreThoseOfTheDenseMatrix) {
  Matrix<double> numbers = SparseNumbers(400, 11, 0.3, 1.0, Seed{3});
  for (Index i = 0; i < 400; ++i) {
    numbers(i, 4) = 0.0;
    numbers(i, 5) *= 0x1p-9;
    numbers(i, 6) *= 0x1p7;
  }
  const auto sparse = SparseOf<TypeParam>(numbers, true);
  const Matrix<double> dense = sparse.Dense();
  const Workers workers(2);
  const auto scales = ScanColumns(sparse.view(), "a", {workers});
  ASSERT_TRUE(scales.ok()) << scales.status();
  EXPECT_EQ(scales->exponents,
            ScanColumns(dense.view(), "a", {workers})->exponents);
}

TYPED_TEST(CsrScanTest, NamesTheFirstNumberThatIsNotFinite) {
  const Workers workers(2);
  for (const double bad : {kInfinity, -kInfinity, std::nan("")}) {
    auto sparse =
        SparseOf<TypeParam>(SparseNumbers(3000, 5, 0.5, 1.0, Seed{4}));
    sparse.values[sparse.values.size() - 1] = RoundTo<TypeParam>(bad);
    sparse.values[1234] = RoundTo<TypeParam>(bad);
    const auto scales = ScanColumns(sparse.view(), "a", {workers});
    EXPECT_EQ(scales.status().code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(scales.status());
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, "NOT_FINITE");
    EXPECT_EQ(detail->field, "a.values");
    EXPECT_EQ(detail->metadata.at("index"), "1234");
  }
}

TEST(CsrScanExtremeTest, SquaresThatLeaveFloat64) {
  Matrix<double> numbers(50, 4);
  for (Index i = 0; i < 50; ++i) {
    numbers(i, 0) = 1e300;
    numbers(i, 1) = 1e-300;
    if (i % 3 == 0) numbers(i, 2) = 2.0;
  }
  const auto sparse = SparseOf<double>(numbers);
  const Workers workers(1);
  const auto scales = ScanColumns(sparse.view(), "a", {workers});
  ASSERT_TRUE(scales.ok());
  EXPECT_EQ(scales->exponents,
            ScanColumns(numbers.view(), "a", {workers})->exponents);
  EXPECT_EQ(scales->exponents[3], 0);  // no entries
}

TEST(CsrScanCostTest, BoundsWhatIsAllocated) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(20000, 20, 0.1, 1.0, Seed{5}));
  const Workers workers(3);
  const AllocationPeak peak;
  ASSERT_TRUE(ScanColumns(sparse.view(), "a", {workers}).ok());
  EXPECT_LE(static_cast<double>(peak.bytes()),
            BytesOfCsrScan(20000, 20, sparse.view().nonzeros(), 3) + 8192.0);
}

TEST(CsrScanStopTest, StopsBetweenBlocks) {
  const auto sparse =
      SparseOf<float>(SparseNumbers(20000, 20, 0.1, 1.0, Seed{5}));
  const Workers workers(1);
  StopSource source;
  source.StopAtLook(2);
  EXPECT_EQ(ScanColumns(sparse.view(), "a", {workers, source.token()})
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
