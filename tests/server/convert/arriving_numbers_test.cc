#include "server/convert/arriving_numbers.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/convert/matrix_upload.h"
#include "steelyard/matrix_view.h"
#include "steelyard/status.h"
#include "steelyard/workers.h"

namespace steelyard::server {
namespace {

constexpr Index kRows = 40;
constexpr Index kCols = 7;

template <typename T>
class ArrivingNumbersTest : public testing::Test {
 protected:
  static StorageType Type() {
    return std::is_same_v<T, double>  ? StorageType::kFloat64
           : std::is_same_v<T, float> ? StorageType::kFloat32
           : std::is_same_v<T, Half>  ? StorageType::kFloat16
                                      : StorageType::kBFloat16;
  }
  // Zeros, and perhaps one that is not finite.
  static std::vector<std::byte> Matrix(Index bad) {
    std::vector<std::byte> bytes(kRows * kCols * sizeof(T));
    if (bad >= 0) {
      // Every bit of an exponent: a NaN or an infinity in all four.
      std::memset(bytes.data() + bad * static_cast<Index>(sizeof(T)), 0xFF,
                  sizeof(T));
    }
    return bytes;
  }
  static MatrixLayout Layout() {
    return {.type = Type(),
            .extents = 3,
            .heads = 2,
            .rows = kRows / 2,
            .cols = kCols};
  }
  // In pieces, from an address that is a multiple of no number.
  static absl::Status Check(ArrivingNumbers& numbers,
                            const std::vector<std::byte>& bytes,
                            std::size_t piece, std::size_t shift) {
    std::vector<std::byte> moved(shift);
    moved.insert(moved.end(), bytes.begin(), bytes.end());
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      absl::Status status =
          numbers.Check(static_cast<std::int64_t>(at),
                        absl::MakeConstSpan(moved).subspan(
                            shift + at, std::min(piece, bytes.size() - at)));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
};

using Types = testing::Types<double, float, Half, BFloat16>;
TYPED_TEST_SUITE(ArrivingNumbersTest, Types);

// The words are those of the check of a whole matrix.
TYPED_TEST(ArrivingNumbersTest, ABadNumberIsNamedHoweverItIsCut) {
  const Workers workers(1);
  for (const Index bad : {Index{0}, Index{6}, Index{139}, Index{279}}) {
    const std::vector<std::byte> bytes = TestFixture::Matrix(bad);
    const absl::Status whole =
        CheckNumbers(TestFixture::Layout(), bytes.data(), {.workers = workers});
    ASSERT_EQ(DetailOf(whole)->reason, "NOT_FINITE");
    for (const std::size_t piece : {1U, 3U, 8U, 100U, 4096U}) {
      for (const std::size_t shift : {0U, 1U}) {
        ArrivingNumbers numbers(TestFixture::Layout());
        EXPECT_EQ(TestFixture::Check(numbers, bytes, piece, shift), whole)
            << bad << " " << piece;
      }
    }
  }
}

TYPED_TEST(ArrivingNumbersTest, AllOfThemAreLookedAtOnce) {
  const std::vector<std::byte> bytes = TestFixture::Matrix(-1);
  for (const std::size_t piece : {1U, 5U, 64U, 4096U}) {
    ArrivingNumbers numbers(TestFixture::Layout());
    EXPECT_FALSE(numbers.complete());
    EXPECT_TRUE(TestFixture::Check(numbers, bytes, piece, 1).ok());
    EXPECT_TRUE(numbers.complete());
  }
}

TYPED_TEST(ArrivingNumbersTest, AnUploadThatGoesOnIsNotComplete) {
  const std::vector<std::byte> bytes = TestFixture::Matrix(-1);
  ArrivingNumbers numbers(TestFixture::Layout());
  const auto rest = absl::MakeConstSpan(bytes).subspan(16);
  EXPECT_TRUE(numbers.Check(16, rest).ok());
  EXPECT_FALSE(numbers.complete());
}

TEST(SparseArrivingNumbersTest, ASparseMatrixIsLeftToTheCheckOfTheWhole) {
  const MatrixLayout layout{
      .sparse = true, .rows = 1, .cols = 1, .nonzeros = 1};
  const std::vector<std::byte> bytes(static_cast<std::size_t>(layout.size()),
                                     std::byte{0xFF});
  ArrivingNumbers numbers(layout);
  EXPECT_TRUE(numbers.Check(0, bytes).ok());
  EXPECT_FALSE(numbers.complete());
}

}  // namespace
}  // namespace steelyard::server
