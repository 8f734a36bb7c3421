#include "sketch/sparse_sketch.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/support/matrices.h"

namespace steelyard {
namespace {

// S of `plan`, by the identity.
Matrix<double> Formed(const SketchPlan& plan, Index n) {
  Matrix<double> identity(n, n);
  for (Index i = 0; i < n; ++i) identity(i, i) = 1.0;
  const Workers workers(1);
  return *ApplySketch(plan, AnyMatrixView(identity.view()), {}, {workers});
}

TEST(SparseSketchTest, EveryColumnHasItsEntriesInDistinctRows) {
  for (const auto& [kind, entries] :
       {std::pair<SketchKind, Index>{SketchKind::kCountSketch, 1},
        std::pair<SketchKind, Index>{SketchKind::kSparseSign, 8}}) {
    for (const Index s : {Index{3}, Index{8}, Index{61}}) {
      const Index z = std::min(entries, s);
      const Matrix<double> formed = Formed({kind, s, {1}}, 200);
      for (Index j = 0; j < 200; ++j) {
        Index found = 0;
        for (Index i = 0; i < s; ++i) {
          if (formed(i, j) == 0.0) continue;
          ++found;
          EXPECT_EQ(std::abs(formed(i, j)),
                    1.0 / std::sqrt(static_cast<double>(z)));
        }
        EXPECT_EQ(found, z);
      }
    }
  }
}

// Counts of n entries that fall into each of the `cells` equally likely cells:
// within 6 standard deviations (false alarm below cells * 2e-9).
void ExpectEven(const std::vector<double>& counts, double n) {
  const double p = 1.0 / static_cast<double>(counts.size());
  for (const double count : counts) {
    EXPECT_NEAR(count, n * p, 6.0 * std::sqrt(n * p * (1.0 - p)));
  }
}

TEST(SparseSketchTest, RowsAndSignsAreEven) {
  constexpr Index kColumns = 2000;
  const Matrix<double> formed =
      Formed({SketchKind::kSparseSign, 64, {2}}, kColumns);
  std::vector<double> signs(2, 0.0);
  for (Index part = 0; part < 8; ++part) {
    std::vector<double> rows(8, 0.0);
    for (Index i = 0; i < 8; ++i) {
      for (Index j = 0; j < kColumns; ++j) {
        const double entry = formed(8 * part + i, j);
        if (entry == 0.0) continue;
        ++rows[static_cast<std::size_t>(i)];
        ++signs[entry > 0.0 ? 0 : 1];
      }
    }
    ExpectEven(rows, kColumns);
  }
  ExpectEven(signs, 8.0 * kColumns);
}

}  // namespace
}  // namespace steelyard
