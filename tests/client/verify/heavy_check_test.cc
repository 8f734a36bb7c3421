// The check must accept a right answer and notice every kind of wrong one.
#include "client/verify/heavy_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/client/verify/key_tensors.h"
#include "tests/support/attention_oracle.h"
#include "tests/support/long_double_householder.h"

namespace steelyard::verify {
namespace {

constexpr double kEpsilon = 0.05;

// The right rows, from the long double oracle.
std::vector<client::HeavyRow> RightRows(const Matrix<double>& queries,
                                        const Matrix<double>& keys) {
  const auto wide_queries = test::Widened(queries.view());
  const auto wide_keys = test::Widened(keys.view());
  const auto scores = test::BruteForceScores(wide_queries, wide_keys);
  std::vector<client::HeavyRow> rows;
  for (Index i = 0; i < queries.rows(); ++i) {
    client::HeavyRow row;
    long double normalizer = 0;
    for (Index l = 0; l < keys.rows(); ++l) {
      long double product = 0;
      for (Index c = 0; c < keys.cols(); ++c) {
        product += wide_queries(i, c) * wide_keys(l, c);
      }
      normalizer += product * product;
      if (scores(i, l) >= kEpsilon) {
        row.indices.push_back(l);
        row.scores.push_back(static_cast<double>(scores(i, l)));
        row.captured_mass += row.scores.back();
      }
    }
    int exponent = 0;
    row.normalizer = static_cast<double>(std::frexp(normalizer, &exponent));
    row.normalizer_exponent = exponent;
    row.undefined = normalizer == 0;
    rows.push_back(std::move(row));
  }
  return rows;
}

class HeavyCheckTest : public testing::Test {
 protected:
  HeavyCheckTest() {
    // The last query sees nothing.
    for (Index c = 0; c < queries_.cols(); ++c) queries_(19, c) = 0.0;
    query_tensor_ = test::TensorOf(queries_);
    right_ = RightRows(queries_, keys_);
  }

  HeavyCheck Run(const std::vector<client::HeavyRow>& rows) const {
    const Rows keys = HeadsOf(key_tensor_)[0];
    return CheckHeavyRows(keys, LeverageReference(keys),
                          HeadsOf(query_tensor_)[0], kEpsilon, rows);
  }

  // The first rule that `change`, applied to row 4, breaks.
  std::string BrokenBy(
      const std::function<void(client::HeavyRow*)>& change) const {
    std::vector<client::HeavyRow> rows = right_;
    change(&rows[4]);
    for (const Finding& finding : Run(rows).verdict.findings) {
      if (finding.outcome == Outcome::kBroken) return finding.rule;
    }
    return "";
  }

  const Matrix<double> keys_ = test::UnevenKeys(150, 6, 4, Seed{31});
  Matrix<double> queries_ = test::NormalMatrix(20, 6, Seed{32});
  const tensor_files::StoredTensor key_tensor_ = test::TensorOf(keys_);
  tensor_files::StoredTensor query_tensor_;
  std::vector<client::HeavyRow> right_;
};

TEST_F(HeavyCheckTest, TheRightAnswerHolds) {
  ASSERT_GE(right_[4].indices.size(), 1u);
  ASSERT_TRUE(right_[19].undefined);
  const HeavyCheck check = Run(right_);
  for (const Finding& finding : check.verdict.findings) {
    EXPECT_EQ(finding.outcome, Outcome::kHeld)
        << finding.rule << ": " << finding.detail;
  }
  EXPECT_EQ(check.queries, 20);
  EXPECT_EQ(check.expected, check.returned);
  EXPECT_GT(check.returned, 10);
}

TEST_F(HeavyCheckTest, EveryKindOfWrongRowIsNoticed) {
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) {
              row->indices.pop_back();
              row->scores.pop_back();
            }),
            "every score >= epsilon is returned");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) {
              row->indices.push_back(149);
              row->scores.push_back(0.06);
            }),
            "nothing below epsilon is returned");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) {
              row->indices.push_back(row->indices.back());
              row->scores.push_back(row->scores.back());
            }),
            "nothing below epsilon is returned");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) { row->scores[0] *= 1 + 1e-9; }),
            "every score is the brute-force score");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) { row->scores.clear(); }),
            "every score is the brute-force score");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) { row->captured_mass += 1e-6; }),
            "normalisers and captured mass");
  EXPECT_EQ(
      BrokenBy([](client::HeavyRow* row) { row->normalizer_exponent += 1; }),
      "normalisers and captured mass");
  EXPECT_EQ(BrokenBy([](client::HeavyRow* row) { row->undefined = true; }),
            "undefined rows");
}

TEST_F(HeavyCheckTest, AZeroQueryThatIsCalledDefinedIsNoticed) {
  std::vector<client::HeavyRow> rows = right_;
  rows[19].undefined = false;
  // Exactly 0 lies below the limit at which either is right.
  EXPECT_FALSE(Run(rows).verdict.held());
}

TEST_F(HeavyCheckTest, ScaleChangesNothing) {
  Matrix<double> keys = keys_;
  Matrix<double> queries = queries_;
  for (Index i = 0; i < keys.size(); ++i) {
    keys.data()[i] = std::ldexp(keys.data()[i], 900);
  }
  for (Index i = 0; i < queries.size(); ++i) {
    queries.data()[i] = std::ldexp(queries.data()[i], 900);
  }
  const auto key_tensor = test::TensorOf(keys);
  const auto query_tensor = test::TensorOf(queries);
  const Rows rows = HeadsOf(key_tensor)[0];
  const HeavyCheck check =
      CheckHeavyRows(rows, LeverageReference(rows), HeadsOf(query_tensor)[0],
                     kEpsilon, RightRows(queries, keys));
  EXPECT_TRUE(check.verdict.held());
  EXPECT_GT(check.returned, 10);
}

}  // namespace
}  // namespace steelyard::verify
