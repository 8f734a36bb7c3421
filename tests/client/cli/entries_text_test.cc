#include "client/cli/entries_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace steelyard::cli {
namespace {

using ::testing::HasSubstr;

std::string Printed(const client::RowMajorMatrix& numbers,
                    const std::vector<std::int32_t>& exponents, int64_t show) {
  std::ostringstream out;
  PrintEntries({"y", numbers, exponents}, show, out);
  return out.str();
}

TEST(EntriesTextTest, RowsUpToTheNumberAskedFor) {
  const client::RowMajorMatrix numbers =
      client::RowMajorMatrix::Constant(3, 2, 0.1);
  EXPECT_EQ(Printed(numbers, {}, 0), "");
  EXPECT_THAT(Printed(numbers, {}, 2), HasSubstr("\ny is 3 x 2\n"));
  EXPECT_THAT(Printed(numbers, {}, 2), HasSubstr("0.10000000000000001"));
  EXPECT_THAT(Printed(numbers, {}, 2), HasSubstr("(1 more rows"));
  EXPECT_THAT(Printed(numbers, {}, 9), ::testing::Not(HasSubstr("more rows")));
}

TEST(EntriesTextTest, WideMatricesAreCutAndExponentsTold) {
  const client::RowMajorMatrix wide = client::RowMajorMatrix::Ones(1, 5);
  EXPECT_THAT(Printed(wide, {}, 1), HasSubstr("  ...\n"));
  EXPECT_THAT(Printed(wide, {1, 2, 3, -4000, 5}, 1), HasSubstr("1 * 2^-4000"));
}

}  // namespace
}  // namespace steelyard::cli
