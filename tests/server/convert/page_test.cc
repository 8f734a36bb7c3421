#include "server/convert/page.h"

#include <string>

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

TEST(PageTest, SizesHaveADefaultAndALimit) {
  EXPECT_EQ(PageRequestOf(0, "")->size, 100u);
  EXPECT_EQ(PageRequestOf(1, "")->size, 1u);
  EXPECT_EQ(PageRequestOf(1000, "")->size, 1000u);
  EXPECT_EQ(PageRequestOf(0, "")->after, "");
  for (const int size : {-1, 1001}) {
    const absl::Status status = PageRequestOf(size, "").status();
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "page_size");
  }
}

TEST(PageTest, OnlyATokenThatWasGivenLeadsOn) {
  const std::string token = PageTokenOf("keys-7");
  EXPECT_EQ(PageRequestOf(3, token)->after, "keys-7");
  for (const std::string& bad :
       {std::string("keys-7"), token + "0", token.substr(1), std::string("."),
        std::string("keys-7.00000000"), std::string(1 << 16, 'x')}) {
    EXPECT_EQ(DetailOf(PageRequestOf(0, bad).status())->field, "page_token")
        << bad.substr(0, 40);
  }
}

}  // namespace
}  // namespace steelyard::server
