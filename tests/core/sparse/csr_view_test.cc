#include "steelyard/csr_view.h"

#include <gtest/gtest.h>

#include <limits>

#include "steelyard/status.h"
#include "tests/core/sparse/sparse_matrix.h"

namespace steelyard::test {
namespace {

class CheckCsrTest : public testing::Test {
 protected:
  // Rows 0 and 2 have entries, row 1 has none.
  CheckCsrTest() {
    matrix_.rows = 3;
    matrix_.cols = 4;
    matrix_.offsets = {0, 2, 2, 5};
    matrix_.columns = {0, 3, 0, 1, 3};
    matrix_.values = {1.0, 2.0, 3.0, 4.0, 5.0};
  }

  absl::Status Check(StopToken stop = {}) const {
    return CheckCsr(matrix_.view(), "a", {workers_, stop});
  }

  void ExpectWrong(const std::string& field, const std::string& message) const {
    const absl::Status status = Check();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const auto detail = DetailOf(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, "WRONG_SHAPE");
    EXPECT_EQ(detail->field, field);
    EXPECT_EQ(status.message(), message);
  }

  Workers workers_{2};
  SparseMatrix<double> matrix_;
};

TEST_F(CheckCsrTest, TakesRowsWithoutEntriesAndAMatrixWithoutAny) {
  EXPECT_TRUE(Check().ok());
  matrix_.offsets = {0, 0, 0, 0};
  matrix_.columns.clear();
  matrix_.values.clear();
  EXPECT_TRUE(Check().ok());
}

TEST_F(CheckCsrTest, TheFirstOffsetIsZero) {
  matrix_.offsets[0] = 1;
  ExpectWrong("a.row_offsets[0]", "a.row_offsets[0] is 1; it must be 0");
}

TEST_F(CheckCsrTest, OffsetsAscendAndEndAtTheNumberOfEntries) {
  matrix_.offsets[2] = 1;
  ExpectWrong("a.row_offsets[2]",
              "a.row_offsets[2] is 1; it must be in [2, 5]");
  matrix_.offsets[2] = 6;
  ExpectWrong("a.row_offsets[2]",
              "a.row_offsets[2] is 6; it must be in [2, 5]");
  matrix_.offsets[2] = std::numeric_limits<std::int64_t>::min();
  ExpectWrong("a.row_offsets[2]",
              "a.row_offsets[2] is -9223372036854775808; it must be in [2, 5]");
  matrix_.offsets[2] = 2;
  matrix_.offsets[3] = 4;
  ExpectWrong("a.row_offsets[3]",
              "a.row_offsets[3] is 4; the last offset must be the number of "
              "entries, 5");
}

TEST_F(CheckCsrTest, ColumnsAreThere) {
  matrix_.columns[1] = 4;
  ExpectWrong("a.column_indices[1]",
              "a.column_indices[1] is 4; in row 0 it must be in [1, 4): "
              "columns of a row ascend strictly");
  matrix_.columns[1] = -1;
  ExpectWrong("a.column_indices[1]",
              "a.column_indices[1] is -1; in row 0 it must be in [1, 4): "
              "columns of a row ascend strictly");
}

TEST_F(CheckCsrTest, ColumnsOfARowAscendStrictly) {
  matrix_.columns[3] = 0;
  ExpectWrong("a.column_indices[3]",
              "a.column_indices[3] is 0; in row 2 it must be in [1, 4): "
              "columns of a row ascend strictly");
  // The first of a row may be anything, whatever the row before ended with.
  matrix_.columns[3] = 1;
  EXPECT_TRUE(Check().ok());
}

// Some hundred pieces: the first bad entry in order, whoever finds it first.
TEST_F(CheckCsrTest, NamesTheFirstBadEntryOfALargeMatrix) {
  constexpr Index kRows = 1 << 20;
  matrix_.rows = kRows;
  matrix_.offsets.clear();
  for (Index i = 0; i <= kRows; ++i) matrix_.offsets.push_back(i);
  matrix_.columns.assign(kRows, 3);
  matrix_.values.assign(kRows, 1.0);
  EXPECT_TRUE(Check().ok());
  matrix_.columns[kRows - 2] = 9;
  matrix_.columns[kRows / 2] = 7;
  ExpectWrong("a.column_indices[524288]",
              "a.column_indices[524288] is 7; in row 524288 it must be in "
              "[0, 4): columns of a row ascend strictly");
}

TEST_F(CheckCsrTest, StopsWithTheReasonOfTheToken) {
  StopSource source;
  source.StopAtLook(1);
  EXPECT_EQ(Check(source.token()).code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace steelyard::test
