#include <cmath>
#include <limits>

#include "factor/factor.h"
#include "gtest/gtest.h"
#include "steelyard/status.h"
#include "tests/support/long_double_householder.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

using test::StoredMatrix;

template <typename T>
class ScanTypedTest : public testing::Test {};
using Storages = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(ScanTypedTest, Storages);

TYPED_TEST(ScanTypedTest, ScaledColumnsHaveNormsBetweenOneAndTwo) {
  const Workers workers(3);
  StoredMatrix<TypeParam> a =
      test::Stored<TypeParam>(test::NormalMatrix(33, 9, {1}));
  for (Index i = 0; i < 33; ++i) {
    a.Set(i, 3, 0.0);
    a.Set(i, 5, 8192.0 * a(i, 5));
    a.Set(i, 6, a(i, 6) / 4096.0);
  }
  const auto scales = ScanColumns(a.view(), "a", {workers});
  ASSERT_TRUE(scales.ok());
  ASSERT_EQ(scales->exponents.size(), 9U);
  EXPECT_EQ(scales->exponents[3], 0);
  for (Index c = 0; c < 9; ++c) {
    if (c == 3) continue;
    long double square = 0.0L;
    for (Index i = 0; i < 33; ++i) {
      square += static_cast<long double>(a(i, c)) * a(i, c);
    }
    const long double norm = std::ldexp(
        std::sqrt(square), -scales->exponents[static_cast<std::size_t>(c)]);
    EXPECT_GE(norm, 1.0L);
    EXPECT_LT(norm, 2.0L);
  }
}

TYPED_TEST(ScanTypedTest, FirstBadEntryInRowOrderWhateverTheWorkers) {
  // More entries than a panel holds, so that several tasks find one each.
  constexpr Index kRows = 3000;
  constexpr Index kCols = 300;
  StoredMatrix<TypeParam> a(kRows, kCols);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  a.Set(2999, 299, nan);
  a.Set(2000, 0, -std::numeric_limits<double>::infinity());
  a.Set(1500, 7, nan);
  a.Set(1500, 9, nan);
  for (const int count : {1, 2, 3, 4}) {
    const Workers workers(count);
    for (const absl::Status& status :
         {ScanColumns(a.view(), "keys", {workers}, 10).status(),
          CheckFinite(a.view(), "keys", {workers}, 10)}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      const auto detail = DetailOf(status);
      ASSERT_TRUE(detail.has_value());
      EXPECT_EQ(detail->reason, "NOT_FINITE");
      EXPECT_EQ(detail->field, "keys");
      EXPECT_EQ(detail->metadata.at("index"), std::to_string(1510 * kCols + 7));
    }
  }
}

TYPED_TEST(ScanTypedTest, EveryPositionOfASmallMatrixIsChecked) {
  const Workers workers(1);
  for (Index at = 0; at < 35; ++at) {
    StoredMatrix<TypeParam> a(5, 7);
    EXPECT_TRUE(CheckFinite(a.view(), "b", {workers}).ok());
    a.Set(at / 7, at % 7, std::numeric_limits<double>::infinity());
    EXPECT_EQ(
        DetailOf(CheckFinite(a.view(), "b", {workers}))->metadata.at("index"),
        std::to_string(at));
    EXPECT_FALSE(ScanColumns(a.view(), "b", {workers}).ok());
  }
}

TEST(ScanExtremesTest, NormsNeitherOverflowNorUnderflow) {
  const Workers workers(2);
  constexpr Index kRows = 100;
  const double largest = std::numeric_limits<double>::max();
  const double least = std::numeric_limits<double>::denorm_min();
  const double entries[] = {1e300, 1e-300, largest, least, 1e-160, 1e160};
  StoredMatrix<double> a(kRows, 7);
  for (Index i = 0; i < kRows; ++i) {
    for (Index c = 0; c < 6; ++c) a.Set(i, c, entries[c]);
  }
  // A column with both: the large one decides.
  a.Set(0, 6, 1e-300);
  a.Set(1, 6, 1e300);
  const auto scales = ScanColumns(a.view(), "a", {workers});
  ASSERT_TRUE(scales.ok());
  for (Index c = 0; c < 6; ++c) {
    // sqrt(100) times the entry, in long double, which holds all of these.
    const long double norm = 10.0L * static_cast<long double>(entries[c]);
    const long double scaled =
        std::ldexp(norm, -scales->exponents[static_cast<std::size_t>(c)]);
    EXPECT_GE(scaled, 1.0L) << entries[c];
    EXPECT_LT(scaled, 2.0L) << entries[c];
  }
  EXPECT_EQ(scales->exponents[6], std::ilogb(1e300));
}

TEST(ScanStopTest, EndsAtTheLookThatSaysStop) {
  const Workers workers(2);
  const StoredMatrix<float> a(4000, 500);
  StopSource whole;
  ASSERT_TRUE(ScanColumns(a.view(), "a", {workers, whole.token()}).ok());
  const std::int64_t looks = whole.token().looks();
  EXPECT_GT(looks, 4000 * 500 / (1 << 18));
  for (const std::int64_t look : {std::int64_t{1}, looks / 2, looks}) {
    StopSource scan;
    scan.StopAtLook(look);
    EXPECT_EQ(
        ScanColumns(a.view(), "a", {workers, scan.token()}).status().code(),
        absl::StatusCode::kCancelled);
    StopSource check;
    check.StopAtLook(look);
    EXPECT_EQ(CheckFinite(a.view(), "a", {workers, check.token()}).code(),
              absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace steelyard
