#include "server/sets/set_name.h"

#include "gtest/gtest.h"
#include "steelyard/status.h"

namespace steelyard::server {
namespace {

TEST(SetNameTest, IdsAreShortLowerCaseWords) {
  const std::string longest = "a" + std::string(62, '9');
  for (const std::string& id :
       {std::string("a"), std::string("layer-7"), longest}) {
    EXPECT_TRUE(CheckSetId(id, "set_id").ok()) << id;
    EXPECT_EQ(*SetIdOf(SetName(id), "name"), id);
  }
  for (const std::string& id :
       {std::string(""), longest + "9", std::string("7a"), std::string("-a"),
        std::string("A"), std::string("a_b"), std::string("a/b"),
        std::string("a b"), std::string("\xC3\xA4"), std::string("a\0b", 3)}) {
    const absl::Status status = CheckSetId(id, "open.set_id");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << id;
    EXPECT_EQ(DetailOf(status)->reason, "FIELD_OUT_OF_RANGE");
    EXPECT_EQ(DetailOf(status)->field, "open.set_id");
  }
}

TEST(SetNameTest, NamesHaveTheCollectionInFront) {
  EXPECT_EQ(SetName("keys"), "universalSets/keys");
  EXPECT_EQ(DetailOf(SetIdOf("", "name").status())->reason, "FIELD_REQUIRED");
  for (const char* name :
       {"keys", "universalsets/keys", "universalSets/", "universalSets/a/b",
        "/universalSets/a", "matrices/keys"}) {
    EXPECT_EQ(DetailOf(SetIdOf(name, "name").status())->reason,
              "FIELD_OUT_OF_RANGE")
        << name;
  }
}

TEST(SetNameTest, AWrongNameIsQuotedInPart) {
  const std::string huge(1 << 20, 'x');
  EXPECT_LT(CheckSetId(huge, "set_id").message().size(), 300u);
}

TEST(SetNameTest, ChosenIdsAreValidAndDiffer) {
  const std::string one = NewSetId();
  EXPECT_TRUE(CheckSetId(one, "set_id").ok()) << one;
  EXPECT_NE(one, NewSetId());
}

}  // namespace
}  // namespace steelyard::server
